"""Configuration of the hub and of the service. ``./apportion up`` runs with this file.

Every option is a traitlet: of JupyterHub (see its documentation) or of ApportionService
(``python -m hub_ext.app --help-all``). Set options above or below the call; they win.
"""

import hub_ext

c = get_config()  # noqa: F821

# What one physical GPU is worth in the unit that users ask for, and the smallest step of it.
# c.ApportionService.fgpu_per_gpu = 1
# c.ApportionService.fgpu_quantum = 0.1

# How many times the cores of a node may be booked; each session keeps its own limit.
# c.ApportionService.cpu_overcommit = 4

# The service's database; by default SQLite in the data directory.
# c.ApportionService.db_url = "postgresql://apportion@db.example.org/apportion"

# Any authenticator of JupyterHub; by default accounts with passwords that an admin lets in.
# c.JupyterHub.authenticator_class = "oauthenticator.generic.GenericOAuthenticator"

hub_ext.configure(c, __file__)

# What the service may do in the hub, in full: see which servers there are, start and stop them.
# (hub_ext/wiring.py: SERVICE_SCOPES = ["list:users", "servers"])

"""Apportion: JupyterHub as a fair, shared GPU lab."""

from typing import Any

__version__ = "0.1.0"


def configure(c: Any, config_file: str) -> None:
    """Wire hub, service and spawners; see ``hub_ext.wiring``."""
    from hub_ext.wiring import configure as wire  # the CLI does not need what it imports

    wire(c, config_file)

"""Apportion: JupyterHub as a fair, shared GPU lab."""

__version__ = "0.1.0"

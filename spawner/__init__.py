"""JupyterHub spawners that wait in Apportion's queue before they start a server."""

"""Jupyter server extension of an Apportion session."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

__version__ = "0.1.0"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "apportion_lab"}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "apportion-lab"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    """Addresses that JupyterLab asks; the rest is ``_start_jupyter_server_extension``'s."""
    from apportion_lab.apps_handlers import add_app_handlers
    from apportion_lab.handlers import add_handlers

    add_handlers(app.web_app)
    add_app_handlers(app)


async def _start_jupyter_server_extension(app: ServerApp) -> None:
    """Called by jupyter_server once its event loop runs and its port is bound."""
    from apportion_lab.readiness import report_ready

    try:
        await report_ready(app.log)
    finally:
        singleuser = sys.modules.get("apportion_lab.singleuser")
        if singleuser is not None:
            singleuser.settled()

"""Others than a session's user who are connected to its server."""

from __future__ import annotations

import gc
from collections.abc import Iterator

from tornado.websocket import WebSocketHandler

_POLICY_VIOLATION = 1008
"""Close code of RFC 6455, section 7.4.1."""


def disconnect_guests(user: str) -> None:
    """Close the websockets of everybody but ``user``: kernels, terminals, apps.

    Access is checked when one is opened, and never again. Who still has access comes back at
    once, for JupyterLab opens anew what was closed.
    """
    for socket in _open_sockets():
        if getattr(socket.current_user, "username", None) != user:
            socket.close(_POLICY_VIOLATION, "This session is not shared any more.")


def _open_sockets() -> Iterator[WebSocketHandler]:
    """Of all handlers, whoever has added them; none of them keeps a list."""
    for each in gc.get_objects():
        if issubclass(type(each), WebSocketHandler) and each.ws_connection is not None:
            yield each

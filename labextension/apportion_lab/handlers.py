"""``GET apportion/session`` of this Jupyter server."""

from __future__ import annotations

import os

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from apportion_lab.session import HubSession


class SessionHandler(APIHandler):
    """Answers the pages of this server's user; says nothing of how the hub was asked."""

    _track_activity = False  # an open page is no sign of somebody at work

    @web.authenticated
    async def get(self) -> None:
        """404 outside Apportion."""
        session: HubSession | None = self.settings.get("apportion_session")
        if session is None:
            raise web.HTTPError(404)
        self.finish(await session.answer())


def add_handlers(app: web.Application) -> None:
    """Serve ``apportion/session`` below the server's base URL."""
    if os.environ.get("APPORTION_SESSION_URL"):
        app.settings["apportion_session"] = HubSession(os.environ)
    path = url_path_join(app.settings["base_url"], "apportion/session")
    app.add_handlers(".*$", [(path, SessionHandler)])

"""``apportion/...`` of this Jupyter server: what the pages in the browser ask and do.

Every handler says only "ok", "failed" with a sentence, "away" or "refused"; nothing of how the
hub was asked. They answer this server's users, who have come through the hub's login.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from apportion_lab.guests import disconnect_guests
from apportion_lab.hub import failed
from apportion_lab.session import HubSession

_LONGEST_LANGUAGE = 100


class _Handler(APIHandler):
    @property
    def session(self) -> HubSession:
        """Raises HTTPError 404 outside Apportion."""
        session: HubSession | None = self.settings.get("apportion_session")
        if session is None:
            raise web.HTTPError(404)
        return session

    @property
    def language(self) -> str:
        """In which the page is."""
        return self.request.headers.get("Accept-Language", "")[:_LONGEST_LANGUAGE]

    async def act(self, method: str, action: str, name: str | None = None) -> dict[str, Any]:
        """Send the body on; the answer is under ``name`` if it is one thing."""
        values = self.values()
        if values is None:
            told = failed("bad_value", "The body must be a JSON object.", "body")
        else:
            told = await self.session.act(method, action, values, self.language)
        if told["state"] == "ok":
            answer = told["answer"]
            told = {"state": "ok"} | (answer if name is None else {name: answer})
        self.finish(told)
        return told

    def values(self) -> dict[str, Any] | None:
        """The body; None when it is no JSON object."""
        values = None
        with suppress(ValueError, RecursionError):
            values = json.loads(self.request.body or b"{}")
        return values if isinstance(values, dict) else None


class _QuietHandler(_Handler):
    """Asked every few seconds by an open page: no sign of somebody at work, and no news."""

    _track_activity = False

    def _log(self) -> None:
        if self.get_status() >= 400:
            super()._log()


class SessionHandler(_QuietHandler):
    """``GET apportion/session``: while a page is open."""

    @web.authenticated
    async def get(self) -> None:
        """404 outside Apportion."""
        self.finish(await self.session.session(self.language))


class PanelHandler(_QuietHandler):
    """``GET apportion/panel``: while the panel is visible."""

    @web.authenticated
    async def get(self) -> None:
        """404 outside Apportion."""
        self.finish(await self.session.panel(self.language))


class ActionHandler(_Handler):
    """``POST apportion/session/ACTION``: extend, in-use, stop."""

    @web.authenticated
    async def post(self, action: str) -> None:
        """The session as it is afterwards."""
        await self.act("POST", action, "session")


class ShareHandler(_Handler):
    """``apportion/session/share``: a link that lets others in."""

    @web.authenticated
    async def post(self) -> None:
        """``url`` and for how long it can be used."""
        await self.act("POST", "share")

    @web.authenticated
    async def delete(self) -> None:
        """Take back links and access at once: this server forgets whom the hub has let in, and
        closes the connections that they have open."""
        told = await self.act("DELETE", "share")
        hub_auth = getattr(self.identity_provider, "hub_auth", None)
        if told["state"] == "ok" and hub_auth is not None:
            hub_auth.cache.clear()
            disconnect_guests(os.environ.get("JUPYTERHUB_USER", ""))


class ImageRequestHandler(_Handler):
    """``apportion/image-request``: an image of what is installed here."""

    @web.authenticated
    async def post(self) -> None:
        """``name``, ``description``."""
        await self.act("POST", "image-request")

    @web.authenticated
    async def delete(self) -> None:
        """Withdraw it."""
        await self.act("DELETE", "image-request")


def add_handlers(app: web.Application) -> None:
    """Serve ``apportion/...`` below the server's base URL."""
    if os.environ.get("APPORTION_SESSION_URL"):
        app.settings["apportion_session"] = HubSession(os.environ)
    routes = [
        ("apportion/session", SessionHandler),
        ("apportion/panel", PanelHandler),
        ("apportion/session/(extend|in-use|stop)", ActionHandler),
        ("apportion/session/share", ShareHandler),
        ("apportion/image-request", ImageRequestHandler),
    ]
    base_url = app.settings["base_url"]
    app.add_handlers(".*$", [(url_path_join(base_url, path), each) for path, each in routes])

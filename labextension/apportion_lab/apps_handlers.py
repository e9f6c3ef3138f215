"""``apportion/apps`` and ``apportion/ports`` of this Jupyter server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from apportion_lab.apps import App, Apps, UnknownApp
from apportion_lab.ports import listening_ports, probe

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

_NAME = r"([A-Za-z0-9._-]{1,64})"
_OWN_FROM = 32768
"""Ports above are the system's to give: kernels have many of them, and nobody types them."""


class _AppHandler(APIHandler):
    _track_activity = False  # a card that looks is no sign of somebody at work

    @property
    def apps(self) -> Apps:
        """Found with the first question: jupyter-server-proxy may be loaded after us."""
        apps: Apps | None = self.settings.get("apportion_apps")
        if apps is None:
            declared = self.settings["apportion_declared_apps"]
            apps = self.settings["apportion_apps"] = Apps(self.application, declared)
        return apps

    def app(self, name: str) -> App:
        """Raises HTTPError 404."""
        try:
            return self.apps.get(name)
        except UnknownApp:
            raise web.HTTPError(404, f"This image has no app '{name}'.") from None


class AppsHandler(_AppHandler):
    """``GET apportion/apps``."""

    @web.authenticated
    async def get(self) -> None:
        """Each with its state."""
        self.finish({"state": "ok", "apps": await self.apps.describe(self.base_url)})


class AppActionHandler(_AppHandler):
    """``POST apportion/apps/NAME/ACTION``: start, stop, restart. Waits for no app."""

    _track_activity = True

    @web.authenticated
    async def post(self, name: str, action: str) -> None:
        """The app as it is now; one that runs is not started again."""
        app = self.app(name)
        if action != "start":
            await app.stop()
        if action != "stop":
            app.start()
        self.finish({"state": "ok", "app": await app.describe(self.base_url)})


class AppLogHandler(_AppHandler):
    """``GET apportion/apps/NAME/log``: the end of what it has printed."""

    @web.authenticated
    async def get(self, name: str) -> None:
        """As text in JSON."""
        self.finish({"state": "ok", "log": self.app(name).printed()})


class PortsHandler(_AppHandler):
    """``GET apportion/ports``: those that programs of the session listen on."""

    @web.authenticated
    async def get(self) -> None:
        """Without this server's own, and those that the system gives."""
        own = self.settings.get("apportion_port")
        ports = [port for port in listening_ports() if port != own and port < _OWN_FROM]
        self.finish({"state": "ok", "ports": ports})


class PortHandler(_AppHandler):
    """``GET apportion/ports/N``: whether a page can be opened there."""

    @web.authenticated
    async def get(self, text: str) -> None:
        """``answer``: http, silent or closed. 400 for what is no port."""
        port = int(text)
        if not 0 < port < 65536:
            raise web.HTTPError(400, "A port is a whole number from 1 to 65535.")
        url = url_path_join(self.base_url, "proxy", str(port), "/")
        self.finish({"state": "ok", "port": port, "answer": await probe(port), "url": url})


def _declared(server: ServerApp) -> dict[str, Any]:
    """As jupyter-server-proxy reads them; none where it is not installed."""
    try:
        from jupyter_server_proxy.config import ServerProxy
    except ImportError:
        return {}
    return dict(ServerProxy(parent=server).servers)


def add_app_handlers(server: ServerApp) -> None:
    """Serve them below the server's base URL."""
    app = server.web_app
    app.settings["apportion_declared_apps"] = _declared(server)
    app.settings["apportion_port"] = server.port
    routes = [
        ("apportion/apps", AppsHandler),
        (f"apportion/apps/{_NAME}/(start|stop|restart)", AppActionHandler),
        (f"apportion/apps/{_NAME}/log", AppLogHandler),
        ("apportion/ports", PortsHandler),
        (r"apportion/ports/(\d{1,9})", PortHandler),
    ]
    base_url = app.settings["base_url"]
    app.add_handlers(".*$", [(url_path_join(base_url, path), each) for path, each in routes])

"""A hub as small as the service's pages need, in the same tornado application.

It logs in whoever is named (``/hub/login?user=NAME``), answers OAuth as JupyterHub does, and
has JupyterHub's own static files. A token is the name, as ``tests/service/rest_client.py`` has it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from jupyterhub._data import DATA_FILES_PATH
from jupyterhub.services.auth import HubOAuth
from tornado import web
from tornado.httputil import url_concat

from tests.service.rest_client import ACCESS, PREFIX, UserHandler

_STATIC = Path(DATA_FILES_PATH) / "static"
_USER = "small-hub-user"


class LoginHandler(web.RequestHandler):
    """``GET /hub/login?user=NAME&next=PATH``: nothing is asked, for nobody else can reach it."""

    def get(self) -> None:
        """Into a cookie; with the id of the browser's session that the hub gives to all."""
        user = self.get_query_argument("user")
        self.set_signed_cookie(_USER, user, path="/hub/", httponly=True)
        self.set_cookie("jupyterhub-session-id", secrets.token_hex(16), path="/", httponly=True)
        self.redirect(self.get_query_argument("next", PREFIX))


class AuthorizeHandler(web.RequestHandler):
    """The first step of OAuth: who is it? The code is the name."""

    def get(self) -> None:
        """Back to the service. 403 for somebody who has not logged in."""
        user = self.get_signed_cookie(_USER)
        if user is None:
            raise web.HTTPError(403, "Log in first.")
        back = self.get_query_argument("redirect_uri")
        answer = {"code": user.decode(), "state": self.get_query_argument("state")}
        self.redirect(url_concat(back, answer))


class TokenHandler(web.RequestHandler):
    """The second step, asked by the service."""

    def check_xsrf_cookie(self) -> None:
        """No browser asks this."""

    def post(self) -> None:
        """The token is the code, and so the name."""
        self.finish({"access_token": self.get_body_argument("code"), "token_type": "Bearer"})


HANDLERS = [
    (r"/hub/api/user", UserHandler),
    (r"/hub/api/oauth2/authorize", AuthorizeHandler),
    (r"/hub/api/oauth2/token", TokenHandler),
    (r"/hub/login", LoginHandler),
    (r"/hub/logo", web.RedirectHandler, {"url": "/hub/static/images/jupyterhub-80.png"}),
    (r"/hub/static/(.*)", web.StaticFileHandler, {"path": str(_STATIC)}),
]


def environment(port: int) -> Mapping[str, str]:
    """What JupyterHub tells a managed service, for a hub at this port."""
    return {
        "JUPYTERHUB_API_URL": f"http://127.0.0.1:{port}/hub/api",
        "JUPYTERHUB_API_TOKEN": "service-token",
        "JUPYTERHUB_CLIENT_ID": "service-apportion",
        "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([ACCESS]),
    }


def add_hub(application: web.Application) -> None:
    """Let the service's application be the hub, too. ``environment`` must be set by now."""
    application.add_handlers(".*", HANDLERS)
    HubOAuth.clear_instance()
    HubOAuth.instance(base_url=PREFIX)  # its default was read when it was imported

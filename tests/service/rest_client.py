"""The REST API as HTTP, with a small hub beside it that knows whose each token is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.services.auth import HubOAuth
from tornado import web
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from hub_ext.sessions.activity import Activity
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.submission import Submissions
from hub_ext.site import Site
from hub_ext.web.application import make_application
from hub_ext.web.live import LiveTopics

PREFIX = "/services/apportion/"
ACCESS = "access:services!service=apportion"


class UserHandler(web.RequestHandler):
    """``GET /hub/api/user``: a token is the name; "root" is an admin, "a+b" is a in group b."""

    def get(self) -> None:
        token = self.request.headers["Authorization"].partition(" ")[2]
        name, *groups = token.split("+")
        if name == "nobody":
            raise web.HTTPError(403)
        self.finish(
            {
                "kind": "user",
                "name": name,
                "admin": name == "root",
                "groups": groups,
                "scopes": [ACCESS],
            }
        )


class CountingQueue:
    """Counts how often the queue is told."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and JSON of an answer; {} when it has no body."""

    status: int
    body: dict[str, Any]

    @property
    def field(self) -> str:
        """The field at fault."""
        return str(self.body["error"]["field"])


@dataclass(frozen=True, slots=True)
class RestClient:
    """Asks the API as somebody."""

    base: str
    queue: CountingQueue

    async def __call__(
        self, method: str, path: str, body: Any = None, *, by: str = "root"
    ) -> Answer:
        """One request; ``body`` goes as JSON."""
        answer = await AsyncHTTPClient().fetch(
            f"{self.base}api/v1/{path}",
            method=method,
            headers={"Authorization": f"token {by}"},
            body=None if body is None else json.dumps(body),
            allow_nonstandard_methods=True,
            raise_error=False,
        )
        return Answer(answer.code, json.loads(answer.body) if answer.body else {})


@asynccontextmanager
async def serving(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    *,
    add: Callable[[web.Application], None] = lambda application: None,
) -> AsyncIterator[RestClient]:
    """Serve the API of ``site`` on a free port while the context lasts.

    ``add`` is given the applications of the hub and of the service, for what else they need.
    """
    hub, service = bind_unused_port(), bind_unused_port()
    for name, value in {
        "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub[1]}/hub/api",
        "JUPYTERHUB_API_TOKEN": "service-token",
        "JUPYTERHUB_CLIENT_ID": "service-apportion",
        "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([ACCESS]),
    }.items():
        monkeypatch.setenv(name, value)
    HubOAuth.clear_instance()
    queue = CountingQueue()
    parts: Any = SimpleNamespace(
        site=site,
        queue=queue,
        submissions=Submissions(site),
        launcher=Launcher(site),
        live=LiveTopics(site.changes, site.database.changed_tables),
        activity=Activity(site.hub, lambda: False),
        spawner_token="spawner-token",
    )
    applications = [
        web.Application([("/hub/api/user", UserHandler)]),
        make_application(parts),
    ]
    for application in applications:
        add(application)
    servers = [HTTPServer(application) for application in applications]
    for server, (socket, _) in zip(servers, (hub, service), strict=True):
        server.add_sockets([socket])
    try:
        yield RestClient(f"http://127.0.0.1:{service[1]}{PREFIX}", queue)
    finally:
        for server in servers:
            server.stop()
        HubOAuth.clear_instance()

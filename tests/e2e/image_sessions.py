"""Servers of built images for the tests: asking them, and a hub that they can ask."""

from __future__ import annotations

import http.server
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from hub_ext import __version__

BASE = f"apportion/base:{__version__}"
VERSIONS = {
    "1.8": "apportion/data-science:sklearn-1.8",
    "1.9": "apportion/data-science:sklearn-1.9",
}
TOKEN = "a-token-of-this-test"


def eventually(what: str, check: Callable[[], Any], limit_s: float = 120) -> Any:
    """The first true result of ``check``; its own errors count as not yet."""
    deadline = time.monotonic() + limit_s
    problem: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if result := check():
                return result
        except (OSError, ValueError) as error:
            problem = error
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen in {limit_s} s ({problem!r})")


class Server:
    """The Jupyter server of a container, asked over the bridge network."""

    def __init__(self, container: Any, prefix: str = "/") -> None:
        self._container, self._prefix = container, prefix
        eventually("the server's start", lambda: self.get("api"))

    def get(self, path: str, *, data: Any = None, token: str = TOKEN, **headers: str) -> bytes:
        """The body of the answer. Raises urllib's HTTPError."""
        self._container.reload()
        if self._container.status == "exited":
            pytest.fail(self._container.logs().decode())
        address = self._container.attrs["NetworkSettings"]["IPAddress"]
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(
            f"http://{address}:8888{self._prefix}{path}",
            data=body,
            headers={
                "Authorization": f"token {token}",
                "Content-Type": "application/json",
                **headers,
            },
        )
        with urllib.request.urlopen(request, timeout=100) as answer:
            return bytes(answer.read())

    def json(self, path: str, **options: Any) -> Any:
        """The answer's JSON."""
        return json.loads(self.get(path, **options))


class FakeHub(http.server.ThreadingHTTPServer):
    """As much of a hub as a single-user server asks for."""

    def __init__(self, address: str) -> None:
        super().__init__((address, 0), FakeHubHandler)
        self.calls: list[tuple[str, str]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where containers reach it."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}/hub"


class FakeHubHandler(http.server.BaseHTTPRequestHandler):
    """Knows one user with one token."""

    server: FakeHub

    def do_GET(self) -> None:
        user = {
            "name": "ada",
            "kind": "user",
            "groups": [],
            "session_id": None,
            "scopes": ["access:servers!server=ada/"],
        }
        known = self.headers.get("Authorization") in (f"token {TOKEN}", None)
        self._answer(200 if known else 403, {"version": "6.1.1", **user})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.calls.append((self.path, self.headers.get("Authorization") or ""))
        self._answer(200, {})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-JupyterHub-Version", "6.1.1")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def hub_environment(hub: FakeHub) -> dict[str, str]:
    """What a spawner gives to the server of ada."""
    return {
        "JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:8888",
        "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_API_URL": f"{hub.url}/api",
        "JUPYTERHUB_API_TOKEN": TOKEN,
        "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-ada",
        "JUPYTERHUB_USER": "ada",
        "JUPYTERHUB_ACTIVITY_URL": f"{hub.url}/api/users/ada/activity",
        "JUPYTERHUB_OAUTH_CALLBACK_URL": "/user/ada/oauth_callback",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:servers!server=ada/"]',
        "JUPYTERHUB_OAUTH_SCOPES": '["access:servers!server=ada/"]',
        "APPORTION_READY_URL": f"{hub.url}/apportion/ready/ada/",
        "APPORTION_PUBLIC_URL": "https://hub.example",
    }

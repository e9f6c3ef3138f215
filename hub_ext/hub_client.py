"""The hub's REST API, as far as the service needs it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient

_PAGE = 200
_CONNECTIONS = 200
"""Stopping a whole course at once must not queue up behind tornado's default of 10."""
_ACCEPTED = 202


class HubUnavailable(Exception):
    """The hub gave no answer; it may be restarting."""


class HubRefused(Exception):
    """The hub answered with an error; ``status`` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class HubServer:
    """A server that the hub counts as active; ``active_at``: last activity (Unix s)."""

    user: str
    name: str
    ready: bool
    pending: str | None
    active_at: float | None = None


class HubClient:
    """Starts, stops and lists servers. Raises HubUnavailable or HubRefused."""

    def __init__(self, api_url: str, token: str) -> None:
        self._api_url = api_url.rstrip("/")
        self._token = token
        self._client = SimpleAsyncHTTPClient(force_instance=True, max_clients=_CONNECTIONS)

    async def start_server(
        self, user: str, server_name: str, display_name: str, options: dict[str, Any]
    ) -> None:
        """Ask for a start; returns as soon as the hub has accepted it."""
        body: dict[str, Any] = {"user_options": options}
        if server_name:
            body["display_name"] = display_name
        await self._call("POST", _server_path(user, server_name), body)

    async def stop_server(self, user: str, server_name: str) -> bool:
        """Ask for a stop. True while the hub is still at it; False when nothing runs (any more)."""
        try:
            response = await self._call("DELETE", _server_path(user, server_name))
        except HubRefused as refusal:
            if refusal.status in {400, 404}:
                return False
            raise
        return response.code == _ACCEPTED

    async def server(self, user: str, server_name: str) -> HubServer | None:
        """One server as the hub sees it now; None when it is not active."""
        path = f"/users/{quote(user, safe='')}/servers/{quote(server_name, safe='')}"
        try:
            found = json.loads((await self._call("GET", path)).body)
        except HubRefused as refusal:
            if refusal.status == 404:
                return None
            raise
        if not found["ready"] and not found["pending"]:
            return None
        return _server(user, server_name, found)

    async def active_servers(self) -> dict[tuple[str, str], HubServer]:
        """Every active server by (user, server name)."""
        servers: dict[tuple[str, str], HubServer] = {}
        offset = 0
        while True:
            path = f"/users?state=active&offset={offset}&limit={_PAGE}"
            users = json.loads((await self._call("GET", path)).body)
            for user in users:
                for name, server in (user.get("servers") or {}).items():
                    servers[user["name"], name] = _server(user["name"], name, server)
            if len(users) < _PAGE:
                return servers
            offset += _PAGE

    async def has_several_users(self) -> bool:
        """Whether anybody has an account besides the one who made the first."""
        return len(json.loads((await self._call("GET", "/users?limit=2")).body)) > 1

    async def _call(self, method: str, path: str, body: Any = None) -> HTTPResponse:
        request = HTTPRequest(
            self._api_url + path,
            method=method,
            headers={"Authorization": f"token {self._token}"},
            body=None if body is None else json.dumps(body),
            allow_nonstandard_methods=True,
            connect_timeout=5,
            request_timeout=60,
        )
        try:
            return await self._client.fetch(request)
        except HTTPClientError as error:
            if error.code == 599 or error.code in {502, 503, 504}:
                raise HubUnavailable(str(error)) from error
            raise HubRefused(error.code, _message(error)) from error
        except OSError as error:
            raise HubUnavailable(str(error)) from error


def _server(user: str, name: str, found: dict[str, Any]) -> HubServer:
    active = found.get("last_activity")
    return HubServer(
        user=user,
        name=name,
        ready=bool(found["ready"]),
        pending=found["pending"],
        active_at=datetime.fromisoformat(active).timestamp() if active else None,
    )


def _server_path(user: str, server_name: str) -> str:
    path = f"/users/{quote(user, safe='')}"
    return f"{path}/servers/{quote(server_name, safe='')}" if server_name else f"{path}/server"


def _message(error: HTTPClientError) -> str:
    """The hub's own words, if it gave any."""
    body = error.response.body if error.response is not None else b""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error)

"""The queue service's REST interface, as the spawner uses it.

Every answer is either a typed value or one of the errors below, so that a caller decides by kind
and never by status code: refused (tell the user), gone (ask again), conflict (somebody else ended
the session), unavailable (wait and try again).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import ValidationError
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from .grant import SessionView

API = "/services/apportion/api/v1"
#: One open long poll per waiting session; tornado's default of 10 would stall the eleventh.
MAX_OPEN_REQUESTS = 10_000
#: The service answers a wait after this many seconds at the latest.
LONGEST_WAIT_S = 25.0
#: The engine walks through the files of a session that is to become an image.
SLOW_WORK_S = 60.0


class ServiceError(Exception):
    """Base of everything that can go wrong between a spawner and the queue service."""


class ServiceUnavailable(ServiceError):
    """Not reachable, restarting or failing: nothing is decided, try again later."""


class ServiceDenied(ServiceError):
    """The service does not accept the spawner's token: a fault of the installation."""


class SessionGone(ServiceError):
    """The service knows no such session."""


class SessionConflict(ServiceError):
    """The session's status does not allow this any more (cancelled, ending, another run)."""


class RequestRefused(ServiceError):
    """The user's request is not acceptable; ``message`` is written for the user.

    ``status_code`` is 400 (bad value), 403, 409 (a field that another request stands in the way
    of), 422 (over a limit) or 429.
    """

    def __init__(self, status_code: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.message = message
        self.field = field


@dataclass(frozen=True)
class Ending:
    """How a session ended: TERMINATED, CANCELLED or ERROR, and why.

    ``server_gone``: nothing of its server is left, the service need not look.
    ``run_id``: the run that ended. The service ignores it for a session that has been reclaimed
    since and waits or runs again, so that a late report ends nothing but its own run.
    """

    outcome: str
    message: str = ""
    server_gone: bool = False
    run_id: int | None = None


@dataclass(frozen=True)
class Account:
    """A user as the hub knows them now; groups and the admin's right decide about projects."""

    name: str
    groups: tuple[str, ...] = ()
    admin: bool = False

    @classmethod
    def of(cls, user: Any) -> Account:
        """From the hub's own object."""
        groups = tuple(sorted(group.name for group in user.groups))
        return cls(user.name, groups, bool(user.admin))

    def fields(self) -> dict[str, Any]:
        """As the service's requests carry it."""
        return {"user": self.name, "groups": list(self.groups), "admin": self.admin}


class ServiceClient:
    """Asynchronous client of the spawner half of the service's REST interface."""

    def __init__(self, base_url: str, token: str, *, request_timeout_s: float = 10.0) -> None:
        self._api = base_url.rstrip("/") + API
        self._token = token
        self._timeout_s = request_timeout_s
        self._http = SimpleAsyncHTTPClient(force_instance=True, max_clients=MAX_OPEN_REQUESTS)

    def close(self) -> None:
        self._http.close()

    async def request_session(
        self,
        account: Account,
        server_name: str,
        display_name: str,
        options: Mapping[str, Any],
        *,
        joins: str = "",
    ) -> SessionView:
        """Find the live session of (user, server name), or queue a new one.

        joins: the id of the only one that will do; when it has ended, that is the answer.
        """
        body: dict[str, Any] = {
            **account.fields(),
            "server_name": server_name,
            "display_name": display_name,
            "options": dict(options),
        }
        if joins:
            body["joins"] = joins
        return _session(await self._post("/spawner/requests", body))

    async def wait(self, session_id: str, since: int, timeout_s: float) -> SessionView:
        """The session as soon as its version exceeds ``since``, or after ``timeout_s`` seconds."""
        query = urlencode({"since": since, "timeout": f"{timeout_s:g}"})
        path = f"/spawner/sessions/{quote(session_id, safe='')}/wait?{query}"
        return _session(await self._call("GET", path, timeout_s=timeout_s + self._timeout_s))

    async def report_status(
        self,
        session_id: str,
        to: str,
        *,
        run_id: int | None = None,
        container_id: str | None = None,
    ) -> SessionView:
        """Move the session on; SessionConflict if it, or this run of it, may not go there."""
        body = _known({"to": to, "run_id": run_id, "container_id": container_id})
        return _session(
            await self._post(f"/spawner/sessions/{quote(session_id, safe='')}/status", body)
        )

    async def end(self, session_id: str, ending: Ending) -> None:
        """Close the session and free its slice. Repeating it changes nothing."""
        path = f"/spawner/sessions/{quote(session_id, safe='')}/ended"
        await self._post(path, _known(asdict(ending)))

    async def end_by_server(self, user: str, server_name: str, ending: Ending) -> None:
        """Like ``end`` when the request may have been stored but its id never arrived."""
        body = {"user": user, "server_name": server_name, **asdict(ending)}
        await self._post("/spawner/ended", _known(body))

    async def lookup(self, user: str, server_name: str) -> dict[str, Any]:
        """The live session of a server as the service words it; SessionGone if there is none."""
        query = urlencode({"user": user, "server_name": server_name})
        return await self._call("GET", f"/spawner/lookup?{query}")

    async def launch_form(
        self,
        account: Account,
        server_name: str,
        *,
        language: str = "en",
        refused: Mapping[str, Any] | None = None,
    ) -> str:
        """The HTML of the launch form's fields.

        refused: what was sent (``fields``) and why it comes back (``message``, ``field``).
        """
        body = {**account.fields(), "server_name": server_name, "language": language}
        if refused is not None:
            body["refused"] = dict(refused)
        return str((await self._post("/spawner/launch-form", body))["html"])

    async def dry_run(self, account: Account, options: Mapping[str, Any]) -> dict[str, Any]:
        """When and where these options would start; RequestRefused as for a real request."""
        body = {**account.fields(), "options": dict(options)}
        return await self._post("/spawner/dry-run", body)

    async def glances(self, session_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """How these sessions stand, by id; those that the service does not know are left out."""
        answer = await self._post("/spawner/glances", {"ids": list(session_ids)})
        found = answer.get("sessions")
        if not isinstance(found, dict):
            raise ServiceError("the queue service sent no sessions")
        return found

    async def own(
        self,
        account: Account,
        session_id: str,
        what: str,
        values: Mapping[str, Any],
        *,
        method: str = "POST",
        language: str = "en",
    ) -> dict[str, Any]:
        """Ask or do something with the account's own session, answered in his language.

        what: panel, extend, in-use, stop or image-request. Raises RequestRefused,
        SessionConflict with the sentence for the user.
        """
        path = f"/spawner/sessions/{quote(session_id, safe='')}/{what}"
        body = json.dumps({**values, **account.fields()})
        timeout_s = SLOW_WORK_S if what == "image-request" else None
        return await self._call(method, path, body=body, timeout_s=timeout_s, language=language)

    async def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._call("POST", path, body=json.dumps(body))

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: str | None = None,
        timeout_s: float | None = None,
        language: str = "",
    ) -> dict[str, Any]:
        headers = HTTPHeaders({"Authorization": f"token {self._token}"})
        if body is not None:
            headers["Content-Type"] = "application/json"
        if language:
            headers["Accept-Language"] = language
        request = HTTPRequest(
            self._api + path,
            method=method,
            headers=headers,
            body=body,
            connect_timeout=5.0,
            request_timeout=timeout_s or self._timeout_s,
            follow_redirects=False,
            allow_nonstandard_methods=True,  # what is withdrawn is named in a body
        )
        try:
            response = await self._http.fetch(request, raise_error=False)
        except (HTTPClientError, OSError) as e:
            raise ServiceUnavailable(f"the queue service does not answer: {e}") from e
        return _answer(response)


def _known(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}


def _session(answer: dict[str, Any]) -> SessionView:
    try:
        return SessionView.model_validate(answer)
    except ValidationError as e:
        raise ServiceError(f"the queue service sent a session that does not fit: {e}") from e


def _answer(response: HTTPResponse) -> dict[str, Any]:
    """The response's JSON object, or the typed error that its status stands for."""
    status = response.code
    if 200 <= status < 300:
        return _json_object(response)
    if status == 401:
        raise ServiceDenied("the queue service does not accept the spawner's token")
    if status == 404:
        raise SessionGone("the queue service knows no such session")
    error = _error_of(response)
    if status == 409 and "field" not in error:
        raise SessionConflict(error["message"])
    if 400 <= status < 500:
        raise RequestRefused(status, error["code"], error["message"], error.get("field"))
    raise ServiceUnavailable(f"the queue service answers {status}")


def _json_object(response: HTTPResponse) -> dict[str, Any]:
    if not response.body:
        return {}
    try:
        value = json.loads(response.body)
    except ValueError as e:
        raise ServiceUnavailable("the queue service sent no JSON") from e
    if not isinstance(value, dict):
        raise ServiceUnavailable("the queue service sent no JSON object")
    return value


def _error_of(response: HTTPResponse) -> dict[str, Any]:
    fallback = {"code": "refused", "message": f"The queue service answered {response.code}."}
    try:
        error = _json_object(response).get("error")
    except ServiceUnavailable:
        return fallback
    return {**fallback, **error} if isinstance(error, dict) else fallback

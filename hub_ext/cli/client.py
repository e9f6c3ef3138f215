"""The REST API as the commands use it: JSON in and out, events, and errors in words.

Only the standard library, for a quick start. The token goes to one address only: redirects
are not followed, and it is never part of an error.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from hub_ext import __version__

API = "/services/apportion/api/v1/"
TIMEOUT_S = 60.0
"""The longest that a request may take; a dry run on a busy service waits for a pass."""
EVENTS_TIMEOUT_S = 60.0
"""Events come with a heartbeat every 20 s; a stream that is still for so long is dead."""
_PAGE = 500
"""Largest page of results."""
_CHECK = "Check the address (--url URL), or ask whoever runs it."
_LOOK = "What was asked for may still happen: look before you ask again (apportion list)."


class ClientError(Exception):
    """A request that failed, with what to do about it."""

    def __init__(self, message: str, way_out: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.way_out = way_out


class ServiceAway(ClientError):
    """No answer, or none of the service: it may be back soon."""


class Refused(ClientError):
    """The service says no. field: "" or the one at fault, as in "quota.fgpu"."""

    def __init__(self, message: str, way_out: str = "", *, status: int, field: str = "") -> None:
        super().__init__(message, way_out)
        self.status = status
        self.field = field


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to an address that nobody has named."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None: the redirect is the answer."""


class Client:
    """Requests as the owner of a token. url: of the hub, without a slash at its end."""

    timeout_s = TIMEOUT_S

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if _is_this_machine(url):  # a proxy for the outside world cannot reach it
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, *path: str, **query: Any) -> dict[str, Any]:
        """Raises ClientError, as all that follow."""
        return self._api("GET", path, query=query)

    def post(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make or do something."""
        return self._api("POST", path, body=body)

    def patch(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change something."""
        return self._api("PATCH", path, body=body)

    def delete(self, *path: str) -> dict[str, Any]:
        """End or remove something."""
        return self._api("DELETE", path)

    def pages(self, *path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every page of a list, as long as there are more and the caller wants them."""
        while True:
            page = self.get(*path, **{"limit": _PAGE, **query})
            yield page
            if page.get("after") is None:
                return
            query["after"] = page["after"]

    def whole(self, name: str, *path: str, **query: Any) -> dict[str, Any]:
        """All pages of the list ``name`` in one."""
        items = [item for page in self.pages(*path, **query) for item in page[name]]
        return {name: items, "after": None}

    def hub_user(self) -> dict[str, Any]:
        """Whose token this is, as the hub says."""
        return self._json("GET", f"{self.url}/hub/api/user")

    @contextmanager
    def events(self, *path: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The data of server-sent events, until the stream ends. Raises ClientError."""
        with self._open("GET", self._address(path), timeout_s=EVENTS_TIMEOUT_S) as stream:
            yield _data(stream)

    def _api(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        given = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        parameters = f"?{urlencode(given)}" if given else ""
        return self._json(method, self._address(path) + parameters, body)

    def _address(self, path: tuple[str, ...]) -> str:
        return self.url + API + "/".join(quote(part, safe="") for part in path)

    def _json(
        self, method: str, address: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        with self._open(method, address, body) as answer:
            try:
                text = answer.read()
            except (OSError, http.client.HTTPException):
                raise ServiceAway(f"The answer of {self.url} broke off.", _LOOK) from None
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise _no_service(self.url, answer.status)
        return values

    @contextmanager
    def _open(
        self,
        method: str,
        address: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        headers = {"User-Agent": f"apportion/{__version__}", "Accept": "*/*"}
        data = None
        if body is not None:
            data = json.dumps(body, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(address, data, headers, method=method)
        request.add_unredirected_header("Authorization", f"token {self._token}")
        with _connection_errors(self.url):
            try:
                answer = self._opener.open(request, timeout=timeout_s or self.timeout_s)
            except urllib.error.HTTPError as error:
                with error:
                    raise _refusal(self.url, error) from None
        with answer:
            yield answer


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _data(stream: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """The JSON of each event, up to the end of the stream or its first damage."""
    while True:
        try:
            line = stream.readline()
        except (OSError, http.client.HTTPException):
            return
        if not line.endswith(b"\n"):
            return
        if line.startswith(b"data:"):
            try:
                yield json.loads(line.removeprefix(b"data:"))
            except ValueError:
                return


@contextmanager
def _connection_errors(url: str) -> Iterator[None]:
    """What the network, the name service or TLS says, in words. Raises ServiceAway."""
    try:
        yield
    except urllib.error.URLError as error:  # before the request was sent
        if isinstance(error.reason, TimeoutError):
            raise ServiceAway(f"{url} gave no answer in time.", _CHECK) from None
        raise _unreachable(url, error.reason) from None
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from None


def _unreachable(url: str, reason: object) -> ServiceAway:
    if isinstance(reason, TimeoutError):
        return ServiceAway(f"{url} gave no answer in time.", _LOOK)
    if isinstance(reason, ssl.SSLError):
        return ServiceAway(
            f"No secure connection to {url}: {reason.reason or reason}.",
            "Name the site's CA bundle in SSL_CERT_FILE, or check the address.",
        )
    if isinstance(reason, socket.gaierror):
        return ServiceAway(f"The host of {url} is unknown.", _CHECK)
    way_out = _CHECK
    if _is_this_machine(url):
        way_out = "Start it with './apportion up', or name another address: --url URL."
    detail = "" if isinstance(reason, ConnectionRefusedError) else f" ({reason})"
    return ServiceAway(f"Nothing answers at {url}{detail}.", way_out)


def _no_service(url: str, status: int) -> ServiceAway:
    if status in (502, 503, 504):
        return ServiceAway(
            f"The hub at {url} answers, its service 'apportion' does not ({status}).",
            "The hub starts it again within seconds. If not: './apportion doctor' on its machine.",
        )
    return ServiceAway(
        f"What answers at {url} is not Apportion (status {status}).",
        "Give the address of the hub as in the browser: --url http://HOST:8000",
    )


def _refusal(url: str, error: urllib.error.HTTPError) -> ClientError:
    """An answer of 300 and above. 5xx that come from a restart count as away."""
    if error.code in range(300, 400):
        place = error.headers.get("Location", "")
        return ServiceAway(f"{url} sends elsewhere: {place}.", "Give that address with --url.")
    try:
        values = json.loads(error.read())
        body = values.get("error", values)  # the hub's own API has no "error" around it
        message = str(body["message"])
    except (ValueError, RecursionError, OSError, http.client.HTTPException):
        return _no_service(url, error.code)
    except (AttributeError, TypeError, KeyError):  # JSON of somebody else
        return _no_service(url, error.code)
    if error.code >= 500:
        return ServiceAway(f"{message} ({error.code})", "Try again in a moment.")
    way_out = ""
    if error.code == 401 or (error.code == 403 and "error" not in values):
        message = f"The token is not valid for {url}, or has expired."
        way_out = "Get a new one: apportion login"
    field = str(body.get("field") or "")
    return Refused(message, way_out, status=error.code, field=field)

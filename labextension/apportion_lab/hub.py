"""Calls to the hub with this server's own token, and what an answer means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tornado.httpclient import HTTPRequest, HTTPResponse

SESSION_PATH = "/apportion/session/"
AWAY: dict[str, Any] = {"state": "away"}
REFUSED: dict[str, Any] = {"state": "refused"}


def hub_request(
    url: str,
    environ: Mapping[str, str],
    *,
    method: str,
    timeout_s: float,
    values: Mapping[str, Any] | None = None,
    language: str = "",
) -> HTTPRequest:
    """The call; with the hub's own certificates when it runs with ``internal_ssl``.

    values: sent as JSON; language: as in an Accept-Language header.
    """
    token = environ.get("JUPYTERHUB_API_TOKEN", "")
    headers = {"Authorization": f"token {token}"}
    body = b"" if method == "POST" else None
    if values is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(values).encode()
    if language:
        headers["Accept-Language"] = language
    return HTTPRequest(
        url,
        method=method,
        headers=headers,
        body=body,
        allow_nonstandard_methods=True,  # what is withdrawn may be named in a body
        connect_timeout=timeout_s,
        request_timeout=timeout_s,
        follow_redirects=False,
        client_key=environ.get("JUPYTERHUB_SSL_KEYFILE") or None,
        client_cert=environ.get("JUPYTERHUB_SSL_CERTFILE") or None,
        ca_certs=environ.get("JUPYTERHUB_SSL_CLIENT_CA") or None,
    )


def own_address(environ: Mapping[str, str], what: str) -> str:
    """Where the hub answers ``what`` about this session; "" outside Apportion.

    APPORTION_SESSION_URL is HUB/apportion/session/USER/SERVER; the others stand beside it.
    """
    hub, found, server = environ.get("APPORTION_SESSION_URL", "").rpartition(SESSION_PATH)
    return f"{hub}/apportion/{what}/{server}" if found else ""


def read_answer(response: HTTPResponse) -> dict[str, Any]:
    """``{"state": "ok", "answer": {...}}``, "failed" with the service's error, "refused" when
    the hub does not take this server's token, or "away"."""
    try:
        told = json.loads(response.body) if response.body else {}
    except ValueError:
        told = None
    if 200 <= response.code < 300 and isinstance(told, dict):
        return {"state": "ok", "answer": told}
    error = told.get("error") if isinstance(told, dict) else None
    if 400 <= response.code < 500 and isinstance(error, dict) and error.get("message"):
        return failed(*(str(error.get(name) or "") for name in ("code", "message", "field")))
    return REFUSED if response.code == 403 else AWAY


def failed(code: str, message: str, field: str = "") -> dict[str, Any]:
    """What was asked for is not done; ``message`` is for the user."""
    error = {"code": code, "message": message} | ({"field": field} if field else {})
    return {"state": "failed", "error": error}

"""Calls to the hub with this server's own token."""

from __future__ import annotations

from collections.abc import Mapping

from tornado.httpclient import HTTPRequest


def hub_request(
    url: str, environ: Mapping[str, str], *, method: str, timeout_s: float
) -> HTTPRequest:
    """The call; with the hub's own certificates when it runs with ``internal_ssl``."""
    token = environ.get("JUPYTERHUB_API_TOKEN", "")
    return HTTPRequest(
        url,
        method=method,
        headers={"Authorization": f"token {token}"},
        body=b"" if method == "POST" else None,
        connect_timeout=timeout_s,
        request_timeout=timeout_s,
        follow_redirects=False,
        client_key=environ.get("JUPYTERHUB_SSL_KEYFILE") or None,
        client_cert=environ.get("JUPYTERHUB_SSL_CERTFILE") or None,
        ca_certs=environ.get("JUPYTERHUB_SSL_CLIENT_CA") or None,
    )

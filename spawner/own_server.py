"""A session's own server asks the hub: at which addresses, and proved by its own token."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from jupyterhub.utils import url_escape_path, url_path_join
from tornado import web

if TYPE_CHECKING:
    from .mixin import ApportionSpawnerMixin


def hub_addresses(hub_env: dict[str, Any], server_key: tuple[str, str]) -> dict[str, str]:
    """Variables with the hub's addresses for this server; reachable like the hub's API."""
    hub = str(hub_env["JUPYTERHUB_API_URL"]).rstrip("/").removesuffix("/api")
    server = [url_escape_path(part) for part in server_key]
    return {
        "APPORTION_READY_URL": str(url_path_join(hub, "apportion/ready", *server)),
        "APPORTION_SESSION_URL": str(url_path_join(hub, "apportion/session", *server)),
    }


def live_spawner(user: Any, server_name: str) -> ApportionSpawnerMixin | None:
    """The spawner that exists; looking must not make one."""
    if user is None or server_name not in user.spawners:
        return None
    spawner: ApportionSpawnerMixin = user.spawners[server_name]
    return spawner


def spawner_of_token(handler: Any, user_name: str, server_name: str) -> ApportionSpawnerMixin:
    """The spawner whose server sent the request to ``handler``.

    Raises HTTPError 403, the same whatever is wrong.
    """
    spawner = live_spawner(handler.find_user(user_name), server_name)
    scheme, _, token = handler.request.headers.get("Authorization", "").partition(" ")
    known = spawner.api_token if spawner is not None else ""
    matches = hmac.compare_digest(token.encode(), known.encode())
    if spawner is None or not known or scheme.lower() != "token" or not matches:
        raise web.HTTPError(403)
    return spawner

"""A session's own server asks the hub: at which addresses, and proved by its own token."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from jupyterhub import orm
from jupyterhub.utils import url_escape_path, url_path_join
from sqlalchemy import inspect
from tornado import web
from traitlets.config import LoggingConfigurable

if TYPE_CHECKING:
    from .mixin import ApportionSpawnerMixin


ASK_AGAIN_S = 15.0
"""Within so long a token that an admin has revoked is taken no more; s."""


class KnownByToken(LoggingConfigurable):
    """The part of a spawner that knows its server's token.

    JupyterHub forgets the token of a running server when it is restarted; its hash is kept with
    the spawner's state (``token_hash``), and put back (``saved_hash``).
    """

    api_token: Any
    orm_spawner: Any
    saved_hash = ""
    _known = True
    _stored_as = ""
    """The token's hash in the hub's database, which is its own for each."""
    _asked_at = float("-inf")
    """When the hub's database was last asked whether the token is revoked; monotonic s."""

    @property
    def server_key(self) -> tuple[str, str]:
        """Names of its user and of its server."""
        raise NotImplementedError

    @property
    def token_hash(self) -> str:
        """SHA-256 of the token; "" without one."""
        return _hash(self.api_token) if self.api_token else self.saved_hash

    def is_of(self, token: str) -> bool:
        """Whether it is the server's, and not revoked."""
        known = self.token_hash
        if not known or not hmac.compare_digest(_hash(token), known):
            return False
        now = time.monotonic()
        if now - self._asked_at > ASK_AGAIN_S:
            self._known, self._asked_at = self.hub_knows(token), now
        return self._known

    def hub_knows(self, token: str) -> bool:
        """Whether the hub's database has it."""
        database = inspect(self.orm_spawner).session
        if not self._stored_as:
            found = orm.APIToken.find(database, token)
            self._stored_as = "" if found is None else found.hashed
        known = orm.APIToken.find_prefix(database, token).filter_by(hashed=self._stored_as)
        return known.with_entities(orm.APIToken.id).first() is not None

    def start_polling(self) -> None:
        """The server runs: from now on it is found without asking the hub's database."""
        super().start_polling()
        _running[self.server_key] = self

    def clear_state(self) -> None:
        """The server is gone, and its token with it."""
        super().clear_state()
        self.saved_hash = ""
        self._stored_as, self._asked_at = "", float("-inf")


_running: WeakValueDictionary[tuple[str, str], Any] = WeakValueDictionary()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


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
    scheme, _, token = handler.request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "token" and token:
        running = _running.get((user_name, server_name))
        if running is not None and running.is_of(token):
            found: ApportionSpawnerMixin = running
            return found
        spawner = live_spawner(handler.find_user(user_name), server_name)
        if spawner is not None and spawner.is_of(token):
            return spawner
    raise web.HTTPError(403)

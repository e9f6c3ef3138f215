"""The hub's own few extra addresses: readiness, the pending page's polling, the form's dry run.

Mounted by ``c.JupyterHub.extra_handlers`` under /hub/. They belong to the hub, because only the
hub holds the live spawners and its users' cookies.
"""

from __future__ import annotations

import json
from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from tornado import web

from hub_ext.web import translation
from hub_ext.web.launch.forecast import in_readers_language

from .mixin import ApportionSpawnerMixin
from .notices import (
    ActionHandler,
    ImageRequestHandler,
    OwnServerHandler,
    PanelHandler,
    SessionHandler,
    ShareHandler,
)
from .own_server import live_spawner, spawner_of_token
from .page_language import language_of
from .service_client import Account, Ending, RequestRefused, ServiceError, SessionGone

NOT_FOUND = "No access to resources or resources not found"
SERVICE_AWAY = "The queue service is restarting; your place is kept."


class ReadyHandler(OwnServerHandler):
    """``POST apportion/ready/USER/SERVER``: a server says, with its own token, that it serves."""

    async def post(self, user_name: str, server_name: str = "") -> None:
        spawner = spawner_of_token(self, user_name, server_name or "")
        spawner.mark_server_ready()
        self.set_status(204)


class _SpawnerHandler(APIHandler):
    def require(self, scope: str, user_name: str, server_name: str) -> Any:
        """The user, if the requester may do ``scope`` to that server; one 404 for all else."""
        if self.current_user is None:
            raise web.HTTPError(403, "Missing or invalid credentials.")
        if not self.has_scope(f"{scope}!server={user_name}/{server_name}"):
            raise web.HTTPError(404, NOT_FOUND)
        user = self.find_user(user_name)
        if user is None:
            raise web.HTTPError(404, NOT_FOUND)
        return user

    def spawner_of(self, user: Any) -> ApportionSpawnerMixin:
        """Any spawner of the user: the way to the service."""
        spawner: ApportionSpawnerMixin = user.spawner
        return spawner

    def refuse(self, error: RequestRefused) -> None:
        self.set_status(error.status_code)
        body = {"code": error.code, "message": error.message, "field": error.field}
        known = {"error": {k: v for k, v in body.items() if v is not None}}
        self.finish(json.dumps(_in_readers_language(self, known)))


def _in_readers_language(handler: Any, answer: dict[str, Any]) -> Any:
    """The texts for people in it in the language of who asks."""
    with translation.written_in(language_of(handler)):
        return in_readers_language(answer)


class QueueHandler(_SpawnerHandler):
    """``GET apportion/queue/USER/SERVER``: where a server's request stands.

    For the pending page when its event stream has broken off (the hub was restarted).
    ``DELETE`` gives up a request that only the service still knows.
    """

    async def get(self, user_name: str, server_name: str = "") -> None:
        user = self.require("read:servers", user_name, server_name)
        spawner = live_spawner(user, server_name)
        answer: dict[str, Any] = {
            "pending": spawner.pending if spawner else None,
            "ready": bool(spawner and spawner.ready),
            "url": user.server_url(server_name),
        }
        if spawner is not None and spawner.pending == "spawn" and spawner.journal.latest:
            answer.update(spawner.journal.latest)
        elif not answer["ready"]:
            answer["queue"] = await self._stored(user, server_name)
        self.finish(json.dumps(_in_readers_language(self, answer)))

    async def delete(self, user_name: str, server_name: str = "") -> None:
        user = self.require("delete:servers", user_name, server_name)
        spawner = live_spawner(user, server_name)
        if spawner is not None and spawner.active:
            raise web.HTTPError(409, "The server is active: stop it by the hub's own API.")
        try:
            await self.spawner_of(user).service.end_by_server(
                user_name, server_name, Ending("CANCELLED", "Cancelled by the user.")
            )
        except SessionGone:
            pass
        except ServiceError as e:
            raise web.HTTPError(503, SERVICE_AWAY) from e
        self.set_status(204)

    async def _stored(self, user: Any, server_name: str) -> dict[str, Any] | None:
        try:
            session = await self.spawner_of(user).service.lookup(user.name, server_name)
        except SessionGone:
            return None
        except ServiceError:
            return {"status": "PENDING", "reason": SERVICE_AWAY}
        reason = session.get("reason") or {}
        return {
            "session_id": session.get("id"),
            "status": session.get("status"),
            "position": session.get("position"),
            "estimate_s": session.get("estimate_s"),
            "reason": reason.get("message", ""),
            "help": reason.get("help") or "",
        }


class DryRunHandler(_SpawnerHandler):
    """``POST apportion/dry-run/USER/SERVER``: when would these options start?

    The body is the launch options. The user is the one of the address, for whom the requester
    must be allowed to start servers.
    """

    async def post(self, user_name: str, server_name: str = "") -> None:
        user = self.require("start:servers", user_name, server_name)
        options = self.get_json_body()
        if not isinstance(options, dict):
            raise web.HTTPError(400, "The body must be a JSON object.")
        try:
            forecast = await self.spawner_of(user).service.dry_run(Account.of(user), options)
        except RequestRefused as e:
            self.refuse(e)
        except ServiceError as e:
            raise web.HTTPError(503, "The queue service is restarting.") from e
        else:
            self.finish(json.dumps(_in_readers_language(self, forecast)))


_SERVER = r"([^/]+)(?:/([^/]*))?"

#: For ``c.JupyterHub.extra_handlers``
extra_handlers = [
    (rf"/apportion/ready/{_SERVER}", ReadyHandler),
    (rf"/apportion/session/{_SERVER}", SessionHandler),
    (rf"/apportion/panel/{_SERVER}", PanelHandler),
    (rf"/apportion/do/(extend|in-use|stop)/{_SERVER}", ActionHandler),
    (rf"/apportion/do/image-request/{_SERVER}", ImageRequestHandler),
    (rf"/apportion/do/share/{_SERVER}", ShareHandler),
    (rf"/apportion/queue/{_SERVER}", QueueHandler),
    (rf"/apportion/dry-run/{_SERVER}", DryRunHandler),
]

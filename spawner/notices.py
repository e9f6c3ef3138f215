"""The hub's answers to a session's own server: its state, its panel, and what its user does.

Each is about that session alone, authorised by that server's own token and by nothing else.
"""

from __future__ import annotations

import json
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.utils import url_path_join
from tornado import web
from tornado.httputil import url_concat

from hub_ext.web import translation
from hub_ext.web.launch.forecast import in_readers_language

from .mixin import ApportionSpawnerMixin
from .own_server import spawner_of_token
from .page_language import language_of
from .service_client import Account, RequestRefused, ServiceError, SessionConflict, SessionGone

#: What a session may know of itself; nothing of others can be in it.
FIELDS = (
    *("id", "name", "project", "status", "fgpu", "gpu_memory_mib", "cpu_milli", "memory_mib"),
    *("simulated", "notice", "alerts", "preemptible", "requeue", "use", "time"),
)
_MOST_BODY = 64 * 1024
NO_LINKS = "Links to sessions are switched off at this site."


class OwnServerHandler(BaseHandler):
    """Takes no cookie, so that there is nothing to forge; every refusal looks the same."""

    _accept_cookie_auth = False
    _accept_token_auth = False

    async def prepare(self) -> None:
        """Nobody is logged in here, and nobody need be looked up."""
        self._jupyterhub_user = None

    def check_xsrf_cookie(self) -> None:
        """Authorised by the server's token alone."""

    def write_error(self, status_code: int, **_: Any) -> None:
        """No page: programs ask here."""
        self.finish({"status": status_code, "message": self._reason})

    def reply(self, answer: dict[str, Any], status: int = 200) -> None:
        """JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(answer))

    def refuse(self, status: int, code: str, message: str, field: str | None = None) -> None:
        """A sentence for the user, which the service has said in his language."""
        error = {"code": code, "message": message} | ({"field": field} if field else {})
        self.reply({"error": error}, status)

    def values(self) -> dict[str, Any]:
        """The body. Raises HTTPError 400."""
        try:
            values = json.loads(self.request.body or b"{}")
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict) or len(self.request.body) > _MOST_BODY:
            raise web.HTTPError(400, "The body must be a small JSON object.")
        return values

    async def own(
        self,
        spawner: ApportionSpawnerMixin,
        what: str,
        values: dict[str, Any],
        method: str = "POST",
    ) -> dict[str, Any] | None:
        """The service's answer about this session; None when it has been refused already."""
        try:
            return await spawner.service.own(
                *(Account.of(spawner.user), session_id_of(spawner), what, values),
                method=method,
                language=language_of(self),
            )
        except RequestRefused as e:
            self.refuse(e.status_code, e.code, e.message, e.field)
        except SessionConflict as e:
            self.refuse(409, "conflict", str(e))
        except SessionGone as e:
            raise web.HTTPError(404) from e
        except ServiceError as e:
            raise web.HTTPError(503) from e
        return None

    def reply_session(
        self, spawner: ApportionSpawnerMixin, session: dict[str, Any], age_s: float = 0.0
    ) -> None:
        """The session in a few lines, as it was ``age_s`` seconds ago."""
        answer = {field: session.get(field) for field in FIELDS}
        answer["page"] = f"{_home(self, spawner.service_name)}/sessions/{session['id']}"
        self.reply(answer | {"age_s": age_s})


class QuietHandler(OwnServerHandler):
    """Asked every few seconds by every open page, which would fill the log."""

    def _log(self) -> None:
        if self.get_status() >= 400:
            super()._log()


class SessionHandler(QuietHandler):
    """``GET apportion/session/USER/SERVER``: how the session stands, in a few lines."""

    async def get(self, user_name: str, server_name: str = "") -> None:
        """404 when the service knows no such session, 503 while it is away."""
        spawner = spawner_of_token(self, user_name, server_name or "")
        try:
            session, age_s = await spawner.glances.of(session_id_of(spawner))
        except SessionGone as e:
            raise web.HTTPError(404) from e
        except ServiceError as e:
            raise web.HTTPError(503) from e
        with translation.written_in(language_of(self)):
            session = in_readers_language(session)
        self.reply_session(spawner, session, age_s)


class PanelHandler(QuietHandler):
    """``GET apportion/panel/USER/SERVER``: all that the panel shows."""

    async def get(self, user_name: str, server_name: str = "") -> None:
        """What the hub knows itself is put in: addresses, and whether others may get in."""
        spawner = spawner_of_token(self, user_name, server_name or "")
        panel = await self.own(spawner, "panel", {})
        if panel is None:
            return
        home = _home(self, spawner.service_name)
        links = {name: f"{home}/{path}" for name, path in panel["links"].items()}
        panel |= {"links": links, "page": links["page"], "shared": spawner.is_shared}
        panel["can"] |= {"share": spawner.share_links and panel["status"] == "RUNNING"}
        if panel["image_request"] is not None:
            panel["image_request"]["page"] = links["page"]
        self.reply(panel)


class ActionHandler(OwnServerHandler):
    """``POST apportion/do/ACTION/USER/SERVER``: extend, in-use or stop."""

    async def post(self, action: str, user_name: str, server_name: str = "") -> None:
        """The session as it is afterwards."""
        spawner = spawner_of_token(self, user_name, server_name or "")
        session = await self.own(spawner, action, self.values())
        spawner.glances.forget()
        if session is not None:
            self.reply_session(spawner, session)


class ImageRequestHandler(OwnServerHandler):
    """``POST`` and ``DELETE apportion/do/image-request/USER/SERVER``."""

    async def post(self, user_name: str, server_name: str = "") -> None:
        """``name``, ``description``: ask for an image of the session."""
        await self._ask(spawner_of_token(self, user_name, server_name or ""), "POST")

    async def delete(self, user_name: str, server_name: str = "") -> None:
        """Withdraw that."""
        await self._ask(spawner_of_token(self, user_name, server_name or ""), "DELETE")

    async def _ask(self, spawner: ApportionSpawnerMixin, method: str) -> None:
        answer = await self.own(spawner, "image-request", self.values(), method)
        if answer is not None:
            page = f"{_home(self, spawner.service_name)}/sessions/{session_id_of(spawner)}"
            self.reply({"image_request": answer["image_request"] | {"page": page}})


class ShareHandler(OwnServerHandler):
    """``POST`` and ``DELETE apportion/do/share/USER/SERVER``: links that let others in."""

    async def post(self, user_name: str, server_name: str = "") -> None:
        """A new link, which the hub shows this once."""
        spawner = spawner_of_token(self, user_name, server_name or "")
        if not spawner.share_links:
            with translation.written_in(language_of(self)):
                self.refuse(**in_readers_language(_refusal(NO_LINKS)))
            return
        code, lasts_s = spawner.share()
        path = url_concat(f"{self.hub.base_url}accept-share", {"code": code})
        public_url = self.settings.get("public_url")
        url = public_url._replace(path=path).geturl() if public_url else path
        self.reply({"url": url, "seconds_left": lasts_s})

    async def delete(self, user_name: str, server_name: str = "") -> None:
        """Take back all of it: links, and the access of whoever has used one."""
        spawner_of_token(self, user_name, server_name or "").unshare()
        self.set_status(204)


def session_id_of(spawner: ApportionSpawnerMixin) -> str:
    """Of the session that this spawner's server belongs to. Raises HTTPError 404."""
    if spawner.placement is None:
        raise web.HTTPError(404)
    return spawner.placement.session_id


def _refusal(message: str) -> dict[str, Any]:
    return {"status": 403, "code": "forbidden", "message": message}


def _home(handler: Any, service_name: str) -> str:
    """Where the user's browser finds the service, without a slash at the end."""
    service = handler.services.get(service_name)
    if service is not None:
        return str(service.href).rstrip("/")
    return str(url_path_join(handler.base_url, "services", service_name))

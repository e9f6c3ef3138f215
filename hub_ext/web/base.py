"""What every handler shares: who asks, JSON in and out, errors as DESIGN 10 has them."""

from __future__ import annotations

import hmac
import json
import logging
from dataclasses import dataclass
from typing import Any, cast

from jupyterhub.services.auth import HubOAuthenticated
from tornado import web

from hub_ext.db.models import SessionRow
from hub_ext.errors import ApportionError, BadValue, Forbidden, NotFound
from hub_ext.projects.membership import Role, roles_of
from hub_ext.projects.permissions import Action, may
from hub_ext.sessions.activity import Activity
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.site import Site
from hub_ext.web import translation
from hub_ext.web.live import LiveTopics
from hub_ext.web.request_summary import without_secrets
from hub_ext.web.sentences import sentence

log = logging.getLogger(__name__)

_MAX_BODY = 1024 * 1024
_CSP = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline';"
    " frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What handlers work with."""

    site: Site
    submissions: Submissions
    launcher: Launcher
    queue: Queue
    live: LiveTopics
    activity: Activity
    spawner_token: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a user of the hub, with the groups he has there."""

    name: str
    admin: bool
    groups: frozenset[str] = frozenset()


class BaseHandler(HubOAuthenticated, web.RequestHandler):
    """Security headers and the parts of the service."""

    @property
    def parts(self) -> Parts:
        """The running service."""
        return cast(Parts, self.settings["parts"])

    @property
    def site(self) -> Site:
        """The site that is served."""
        return self.parts.site

    def choose_language(self) -> None:
        """As the user has set it here, else as his browser asks for it; programs ask for none."""
        accepted = self.request.headers.get("Accept-Language", "")
        translation.use(translation.choose(self.get_cookie(translation.COOKIE), accepted))

    @property
    def caller(self) -> Caller:
        """Who asks. Only after ``prepare`` has let the request through."""
        user = cast(dict[str, Any], self.current_user)
        groups = frozenset(user.get("groups") or ())
        return Caller(user["name"], bool(user.get("admin")), groups)

    def set_default_headers(self) -> None:
        """No sniffing, no framing, scripts from here only."""
        self.set_header("Content-Security-Policy", _CSP)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.clear_header("Server")

    async def identify(self) -> bool:
        """Ask the hub who this is, without holding up anybody else."""
        user = await self.hub_auth.get_user(self, sync=False)
        allowed = (
            user
            and user["kind"] == "user"  # a service of the hub has no sessions of its own
            and self.hub_auth.check_scopes(self.hub_scopes or set(), user)
        )
        self._hub_auth_user_cache = user if allowed else None
        return bool(allowed)

    def submitter(self, user: str = "") -> Submitter:
        """The caller as the one who submits; an admin may do so for another ``user``."""
        caller = self.caller
        if user in {"", caller.name}:
            return Submitter(caller.name, caller.groups, caller.admin)
        return Submitter(user, admin=caller.admin, by=caller.name)

    def visible_session(self, session_id: str) -> SessionRow:
        """A session that the caller may see; the same 404 for missing and for others'.

        His own, those of projects that he instructs, and to an admin all.
        """
        row, caller = self.site.store.get(session_id), self.caller
        if row.user == caller.name or caller.admin:
            return row
        if may(self.roles().get(row.project), Action.ROSTER):
            return row
        raise NotFound("There is no such session.")

    def may_read_log(self, row: SessionRow) -> bool:
        """Whether the caller may read what this session prints; it may be private."""
        caller = self.caller
        if row.user == caller.name or caller.admin:
            return True
        return may(self.roles().get(row.project), Action.LOGS)

    def readable_log(self, session_id: str) -> SessionRow:
        """A session whose log the caller may read. Raises NotFound, Forbidden."""
        row = self.visible_session(session_id)
        if not self.may_read_log(row):
            raise Forbidden("Only its user and admins may read the log of a session.")
        return row

    def roles(self) -> dict[str, Role]:
        """What the caller is, by project, in those that are not archived."""
        caller = self.caller
        with self.site.database.transaction() as db:
            return roles_of(db, self.site.policy, caller.name, caller.groups, caller.admin)

    def _request_summary(self) -> str:
        """As every line of the log about this request begins."""
        return without_secrets(super()._request_summary())

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """A refusal is no accident: no traceback for it."""
        if not isinstance(value, ApportionError):
            super().log_exception(typ, value, tb)


class ApiHandler(BaseHandler):
    """JSON only; a caller without login gets 401, never a redirect."""

    async def prepare(self) -> None:
        """Identify the caller."""
        self.choose_language()
        if not await self.identify():
            raise web.HTTPError(401, "Log in, or send a JupyterHub token.")

    def body(self) -> Any:
        """The JSON of the request. Raises BadValue."""
        if len(self.request.body) > _MAX_BODY:
            raise BadValue("The body is larger than 1 MiB.", field="body")
        try:
            values = json.loads(self.request.body or b"{}")
            json.dumps(values, ensure_ascii=False).encode()  # half a character is no text
        except (ValueError, RecursionError) as error:
            raise BadValue(f"The body is not JSON: {error}.", field="body") from None
        return values

    def reply(self, value: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(value))

    def whole_number(self, name: str, default: int, low: int, high: int) -> int:
        """A query parameter within bounds. Raises BadValue."""
        text = self.get_query_argument(name, str(default))
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else low - 1
        if not low <= number <= high:
            raise BadValue(f"'{name}' must be a whole number from {low} to {high}.", field=name)
        return number

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Every error in the one shape; nothing of the inside."""
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, ApportionError):
            told = error.as_json()["error"] | {"message": sentence(error.message)}
            self.reply({"error": told}, error.status)
            return
        codes = {401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method"}
        message = "Something went wrong here; the log of the service says more."
        if isinstance(error, web.HTTPError) and status_code < 500:
            message = error.log_message or error.reason or self._reason
        code = codes.get(status_code, "internal" if status_code >= 500 else "bad_request")
        self.reply({"error": {"code": code, "message": sentence(message)}}, status_code)


class SpawnerApiHandler(ApiHandler):
    """For the spawners inside the hub alone: a secret that only the two share."""

    async def prepare(self) -> None:
        """401 for anybody else."""
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        expected = self.parts.spawner_token
        good = hmac.compare_digest(token.strip().encode(), expected.encode())
        if scheme.lower() != "token" or not good:
            raise web.HTTPError(401, "This is for the spawners of the hub.")

    def check_xsrf_cookie(self) -> None:
        """No cookie is read here."""


class UnknownPathHandler(ApiHandler):
    """Any other path below the API."""

    async def prepare(self) -> None:
        """Nobody learns more than that."""
        raise web.HTTPError(404, "There is nothing here.")

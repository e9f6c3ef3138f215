"""What a session's own JupyterLab asks and does, by way of the hub: each only of this session.

The hub has checked the server's token, and says who its user is; a session of somebody else is
not found.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from hub_ext.db.models import SessionRow
from hub_ext.errors import ApportionError, BadValue, Conflict, NotFound
from hub_ext.images.requests import ImageRequests, NewImageRequest
from hub_ext.sessions.edits import MAX_LIFETIME_S, apply_change, read_session_change
from hub_ext.sessions.glance import glances
from hub_ext.sessions.keeping import use_now
from hub_ext.sessions.launch import bad_value
from hub_ext.sessions.panel import image_request_json, panel
from hub_ext.sessions.store import Why
from hub_ext.sessions.submission import Submitter
from hub_ext.web.api.spawner import SpawnerHandler
from hub_ext.web.launch.forecast import in_readers_language

MOST_SESSIONS = 1000
"""Of one question."""
_STORAGE_LIMIT_S = 1.0
"""A storage that does not answer holds up nothing else of the panel."""


class GlancesHandler(SpawnerHandler):
    """How the sessions stand whose pages are open."""

    def post(self) -> None:
        """``ids``: of which; those that are not there are left out."""
        values = self.body()
        ids = values.get("ids") if isinstance(values, dict) else None
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            raise BadValue("'ids' must be a list of texts.", field="ids")
        if len(ids) > MOST_SESSIONS:
            raise BadValue(f"'ids' names at most {MOST_SESSIONS}.", field="ids")
        self.reply({"sessions": glances(self.site, self.parts.activity, ids)})


class _OwnHandler(SpawnerHandler):
    """One session, for its user, in his language."""

    async def prepare(self) -> None:
        """As for all spawners; the hub says in which language its user reads."""
        await super().prepare()
        self.choose_language()

    def own_session(self, session_id: str, values: Any) -> tuple[Submitter, SessionRow]:
        """The user that the hub names, and his session. Raises BadValue, NotFound."""
        who = self.named_user(values)
        row = self.site.store.get(session_id)
        if row.user != who.user:
            raise NotFound("There is no such session.")
        return who, row

    def reply_translated(self, value: dict[str, Any], status: int = 200) -> None:
        """With the sentences in it in the reader's language."""
        self.reply(in_readers_language(value), status)

    def reply_glance(self, row: SessionRow) -> None:
        """As the session stands now."""
        self.reply_translated(glances(self.site, self.parts.activity, [row.id])[row.id])


class PanelHandler(_OwnHandler):
    """Everything that the panel shows."""

    async def post(self, session_id: str) -> None:
        """A question; it is POST because it tells who asks."""
        who, row = self.own_session(session_id, self.body())
        free_bytes = await self._free_bytes()
        request = ImageRequests(self.site).newest(row.id)
        with self.site.database.transaction() as db:
            row = db.get_one(SessionRow, row.id)
            found = panel(
                *(db, self.site, self.parts.activity, who, row),
                free_bytes=free_bytes,
                request=request,
                now=time.time(),
            )
        self.reply_translated(found)

    async def _free_bytes(self) -> int | None:
        """What the storage has left; None when it does not say."""
        with suppress(ApportionError, OSError, TimeoutError):
            async with asyncio.timeout(_STORAGE_LIMIT_S):
                return await self.site.folders.storage.free_bytes()
        return None


class ExtendHandler(_OwnHandler):
    """More time."""

    def post(self, session_id: str) -> None:
        """``seconds`` are added to its lifetime, within its user's limits."""
        values = self.body()
        who, row = self.own_session(session_id, values)
        seconds = values.get("seconds")
        if type(seconds) is not int or not 0 < seconds <= MAX_LIFETIME_S:
            raise BadValue("'seconds' is how much longer, a whole number above 0.", field="seconds")
        if row.lifetime_s is None:
            raise Conflict("Its lifetime has no limit.", field="seconds")
        change = read_session_change({"lifetime_s": row.lifetime_s + seconds})
        self.reply_glance(apply_change(self.site, who, row.id, change))


class InUseHandler(_OwnHandler):
    """Somebody says "I am here"."""

    def post(self, session_id: str) -> None:
        """It counts as used from now on; a warning that it is idle is withdrawn."""
        who, row = self.own_session(session_id, self.body())
        self.reply_glance(use_now(self.site, self.parts.activity, row.id, by=who.user))


class StopHandler(_OwnHandler):
    """The end, as on the session's page."""

    def post(self, session_id: str) -> None:
        """The answer is immediate. 409 when it has ended."""
        who, row = self.own_session(session_id, self.body())
        why = Why(f"Stopped by {who.user}.", "stopped")
        self.reply_glance(self.parts.launcher.stop(row.id, why, by=who.user))


class ImageRequestHandler(_OwnHandler):
    """An image of what is installed in the session."""

    async def post(self, session_id: str) -> None:
        """Ask for one: ``name``, ``description``."""
        values = self.body()
        who, row = self.own_session(session_id, values)
        wanted = {name: values[name] for name in ("name", "description") if name in values}
        try:
            new = NewImageRequest.model_validate(wanted)
        except ValidationError as error:
            raise bad_value(error) from None
        request = await ImageRequests(self.site).ask(row, who.user, new)
        self.reply_translated({"image_request": image_request_json(request)}, 201)

    async def delete(self, session_id: str) -> None:
        """Withdraw the newest one. 409 when it is worked on, or there is none."""
        who, row = self.own_session(session_id, self.body())
        requests = ImageRequests(self.site)
        newest = requests.newest(row.id)
        if newest is None:
            raise Conflict("No image of this session has been asked for.")
        request = requests.cancel(newest.id, who.user)
        self.reply_translated({"image_request": image_request_json(request)})

"""``/api/v1/sessions`` and ``/api/v1/dry-run``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

from tornado.iostream import StreamClosedError

from hub_ext.errors import BadValue
from hub_ext.nodes import inventory
from hub_ext.projects.body import is_user_name
from hub_ext.projects.permissions import Action, may
from hub_ext.sessions.changes import Change
from hub_ext.sessions.edits import apply_change, read_session_change
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.listing import Wanted, find_page, read_place, read_sort
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why, is_live
from hub_ext.sessions.views import forecast_json, history_json, session_json
from hub_ext.web.base import ApiHandler
from hub_ext.web.session_filters import read_node, read_statuses, read_text

_HEARTBEAT_S = 20.0


class SessionsHandler(ApiHandler):
    """The queue's front door."""

    def get(self) -> None:
        """Sessions, newest first or by ``sort``.

        ``all=1``: of everybody (admin). ``project``: of all in it (its instructors).
        ``live=1``: not the ended; ``ended=1``: those alone. ``q``, ``status``, ``node`` filter.
        """
        limit = self.whole_number("limit", 50, 1, 500)
        sort = read_sort(self.get_query_argument("sort", ""), "new")
        place = read_place(self.get_query_argument("after", ""), sort, "after")
        with self.site.database.transaction() as db:
            page = find_page(db, self._wanted(), sort=sort, place=place, limit=limit)
            listed = [session_json(self.site, row) for row in page.rows]
        after: str | int | None = page.after
        if after is not None and sort == "new":  # as it was before there was a choice
            after = page.rows[-1].order
        self.reply({"sessions": listed, "after": after, "total": page.total})

    def _wanted(self) -> Wanted:
        """Raises BadValue."""
        everybody = self.get_query_argument("all", "") == "1" and self.caller.admin
        project = self.get_query_argument("project", "") or None
        if project is not None and may(self.roles().get(project), Action.ROSTER):
            everybody = True
        live, ended = (self.get_query_argument(name, "") == "1" for name in ("live", "ended"))
        return Wanted(
            user=None if everybody else self.caller.name,
            projects=None if project is None else [project],
            ended=None if live == ended else ended,
            statuses=read_statuses(self),
            text=read_text(self),
            node=read_node(self),
        )

    async def post(self) -> None:
        """Submit; the answer lists the stored sessions. ``user`` is for admins."""
        values = self.body()
        user = self.caller.name
        if isinstance(values, dict) and "user" in values:
            wanted = values.pop("user")
            if wanted != user and not self.caller.admin:
                raise BadValue("Only an admin submits for somebody else.", field="user")
            if not isinstance(wanted, str) or not is_user_name(wanted):
                raise BadValue("'user' is the name of a user.", field="user")
            user = wanted
        request = read_launch_request(values)
        await inventory.refresh_images(self.site, unless_known=request.image or "")
        rows = self.parts.submissions.submit(self.submitter(user), request)
        self.reply({"sessions": [session_json(self.site, row) for row in rows]}, 201)


class SessionHandler(ApiHandler):
    """One session."""

    def get(self, session_id: str) -> None:
        """How it stands."""
        self.reply(session_json(self.site, self.visible_session(session_id)))

    def patch(self, session_id: str) -> None:
        """Change its priority (while it waits), lifetime, or whether it may be reclaimed."""
        row = self.visible_session(session_id)
        change = read_session_change(self.body())
        row = apply_change(self.site, self.submitter(), row.id, change)
        self.reply(session_json(self.site, row))

    def delete(self, session_id: str) -> None:
        """Cancel it while it waits, stop it otherwise; the answer is immediate."""
        row = self.visible_session(session_id)
        who = self.caller.name
        verb = "Cancelled" if row.status == Status.PENDING else "Stopped"
        row = self.parts.launcher.stop(row.id, Why(f"{verb} by {who}.", "stopped"), by=who)
        self.reply(session_json(self.site, row), 202)


class HistoryHandler(ApiHandler):
    """The story of one session."""

    def get(self, session_id: str) -> None:
        """Every transition, the oldest first."""
        row = self.visible_session(session_id)
        self.reply({"history": [history_json(step) for step in self.site.store.history(row.id)]})


class DryRunHandler(ApiHandler):
    """What would happen."""

    async def post(self) -> None:
        """The same checks and the same scheduler as a real submission; stores nothing."""
        request = read_launch_request(self.body())
        await inventory.refresh_images(self.site, unless_known=request.image or "")
        submitter = self.submitter()
        self.reply(forecast_json(await self.parts.submissions.forecast_soon(submitter, request)))


class EventStream(ApiHandler):
    """Server-sent events; one ``session`` event a change."""

    _stop: Callable[[], None] | None = None

    def initialize(self) -> None:
        """Sessions to tell about, each once however often it has changed meanwhile."""
        self._changed: dict[str, None] = {}
        self._news = asyncio.Event()
        self._gone = False

    async def stream(self, wanted: str | None) -> None:
        """Send changes of one session (until it has ended), or of all that the caller sees."""
        self._stop = self.site.changes.listen(lambda change: self._note(change, wanted))
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        if wanted is not None:
            self._changed[wanted] = None
            self._news.set()
        with suppress(StreamClosedError):
            await self.flush()
            while not self._gone and await self._send_news(wanted):
                continue

    def _note(self, change: Change, wanted: str | None) -> None:
        theirs = change.user == self.caller.name or self.caller.admin
        if theirs and wanted in {None, change.session_id}:
            self._changed[change.session_id] = None
            self._news.set()

    async def _send_news(self, wanted: str | None) -> bool:
        """Wait and send. False when nothing more will come."""
        try:
            async with asyncio.timeout(_HEARTBEAT_S):
                await self._news.wait()
        except TimeoutError:
            self.write(": still here\n\n")
        self._news.clear()
        changed, self._changed = self._changed, {}
        goes_on = True
        for session_id in () if self._gone else changed:
            row = self.site.store.get(session_id)
            body = json.dumps(session_json(self.site, row))
            self.write(f"event: session\nid: {row.id}.{row.version}\ndata: {body}\n\n")
            goes_on = wanted is None or is_live(row)
        if not self._gone:
            await self.flush()
        return goes_on

    def on_connection_close(self) -> None:
        """The browser has gone: let the stream end."""
        self._gone = True
        self._news.set()

    def on_finish(self) -> None:
        """Stop listening."""
        if self._stop is not None:
            self._stop()


class SessionEventsHandler(EventStream):
    """Changes of one session."""

    async def get(self, session_id: str) -> None:
        """Stream until it has ended."""
        await self.stream(self.visible_session(session_id).id)


class AllEventsHandler(EventStream):
    """Changes of all sessions that the caller may see."""

    async def get(self) -> None:
        """Stream until the caller leaves."""
        await self.stream(None)

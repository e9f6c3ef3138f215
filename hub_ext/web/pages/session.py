"""The page of one session: all about it, its story, its log, and the image it can become."""

from __future__ import annotations

import hashlib
from typing import Any

from hub_ext.db.models import MemberRow, ProjectRow, SessionRow
from hub_ext.folders.session_mounts import Mount
from hub_ext.images.request_states import UNFINISHED
from hub_ext.images.requests import ImageRequests, request_json
from hub_ext.nodes.engine import SavingEngine
from hub_ext.projects.limits import limits_of
from hub_ext.sessions.logs import SessionLog, read_log
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import is_live
from hub_ext.web.pages.images import MOVING
from hub_ext.web.pages.page import Page
from hub_ext.web.pages.session_card import card
from hub_ext.web.pages.session_story import story

LINES = (100, 500, 2000)
"""Of the log, to choose from."""
_STOP_POLLING = 286
"""htmx's own: nothing more will come."""


class _OfSession(Page):
    """A page about one session."""

    section = ""

    def lines(self) -> int:
        """How many of the log are wanted; 0: none."""
        text = self.get_query_argument("lines", "")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
        return min(number, LINES[-1])

    def image_part(self, row: SessionRow) -> dict[str, Any]:
        """The newest request, for its user and admins, and whether the caller can ask."""
        request = None
        if row.user == self.caller.name or self.caller.admin:
            request = self._newest_request(row.id)
        state = "" if request is None else request["state"]
        may_ask = (
            row.user == self.caller.name
            and row.status == Status.RUNNING
            and isinstance(self.site.engine, SavingEngine)
            and state not in UNFINISHED
        )
        return {
            "image_request": request,
            "may_ask": may_ask,
            "moving": state in MOVING,
            "approved_at_once": self.site.policy.approve_own_images,
        }

    def _newest_request(self, session_id: str) -> dict[str, Any] | None:
        row = ImageRequests(self.site).newest(session_id)
        return None if row is None else request_json(row)


class SessionImage(_OfSession):
    """The live part about the image."""

    def get(self, session_id: str) -> None:
        """As on the page."""
        row = self.visible_session(session_id)
        self.show("images_session.html", session=card(self, row), **self.image_part(row))


class SessionPage(_OfSession):
    """One session and its story; with ``lines`` its log too."""

    async def get(self, session_id: str) -> None:
        """Where it stands and how it came there."""
        row = self.visible_session(session_id)
        lines = self.lines()
        may_read_log = self.may_read_log(row)
        log = None
        if lines and may_read_log:
            log = await read_log(self.site, row, lines)
        part = self.request.headers.get("HX-Target") == "session"  # it is renewed: no news in it
        self.show(
            "session.html",
            session=card(self, row),
            steps=story(self.site.store.history(row.id)),
            folders=_folders(row),
            most_hours=self._most_hours(row),
            may_read_log=may_read_log,
            log=log,
            digest="" if log is None else _digest(log),
            lines=lines,
            choices=LINES,
            said=[] if part else self.said(),
            **self.image_part(row),
        )

    def _most_hours(self, row: SessionRow) -> float | None:
        """How long a member's session may last in its project."""
        with self.site.database.transaction() as db:
            project = db.get(ProjectRow, row.project)
            if project is None:
                return None
            most = limits_of(project, db.get(MemberRow, (row.project, row.user))).max_lifetime_s
        return None if most is None else most / 3600


class SessionLogPart(_OfSession):
    """The live part with the log."""

    async def get(self, session_id: str) -> None:
        """``lines``: so many. ``seen``: what the page shows already; 204 when it is the same."""
        row = self.readable_log(session_id)
        lines = self.lines() or LINES[0]
        log = await read_log(self.site, row, lines)
        digest = _digest(log)
        live = is_live(self.site.store.get(row.id))
        if live and digest == self.get_query_argument("seen", ""):
            self.set_status(204)
            self.finish()
            return
        self.set_status(200 if live else _STOP_POLLING, "OK")
        session = card(self, row)
        self.show("session_log.html", session=session, log=log, digest=digest, lines=lines)


def _digest(log: SessionLog) -> str:
    return hashlib.sha256(repr(log).encode()).hexdigest()[:16]


def _folders(row: SessionRow) -> list[Mount]:
    return [Mount.read(values, row.user) for values in row.mounts]

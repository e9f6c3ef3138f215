"""The end of all sessions of a project, and of those below it, at once: the class is over.

What runs is warned and stopped by the culler (``endings.py``), what waits is cancelled. The
time is kept with each session, so that neither a restart nor another warning loses it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from hub_ext.db.models import SessionRow
from hub_ext.errors import Conflict
from hub_ext.projects import audit
from hub_ext.projects.permissions import Action, By, require
from hub_ext.projects.tree import with_below
from hub_ext.sessions.changes import Change
from hub_ext.sessions.endings import ASKED
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.notices import EVICTIONS, Notice, warn_in, withdraw
from hub_ext.sessions.status import LIVE, Status
from hub_ext.sessions.store import Why
from hub_ext.site import Site

_ELSEWHERE = {Status.RUNNING, Status.PENDING, Status.TERMINATING}
"""All but these are between the queue and running, or on the way out to come back."""


@dataclass(frozen=True, slots=True)
class Live:
    """Ids of the sessions there are to end."""

    running: tuple[str, ...]
    starting: tuple[str, ...]
    waiting: tuple[str, ...]

    @property
    def count(self) -> int:
        """All of them."""
        return len(self.running) + len(self.starting) + len(self.waiting)


@dataclass(frozen=True, slots=True)
class Ended:
    """How many were warned, stopped and cancelled; when (Unix s) those that were warned stop."""

    warned: int
    stopped: int
    cancelled: int
    stops_at: float | None


def live_of(db: Session, projects: Collection[str], spare: str | None = None) -> Live:
    """What there is to end; ``spare``: the user whose sessions stay."""
    query = select(SessionRow.id, SessionRow.status).where(*_theirs(projects, spare))
    rows = [(row.id, row.status) for row in db.execute(query.order_by(SessionRow.order))]
    return Live(
        running=tuple(key for key, status in rows if status == Status.RUNNING),
        starting=tuple(key for key, status in rows if status not in _ELSEWHERE),
        waiting=tuple(key for key, status in rows if status == Status.PENDING),
    )


async def end_all(
    site: Site, launcher: Launcher, project: str, *, by: By, warning_s: float, spare: str | None
) -> Ended:
    """End them; those that run after a warning of so many seconds, 0: now. Raises Forbidden.

    Again does nothing more: an earlier end stays. What waits goes first, so that nothing takes
    a place that has just come free. Others are served in between.
    """
    require(by.role, Action.END, "Only instructors and admins end all sessions of a project.")
    until, why = time.time() + warning_s, f"{by.user} ends all sessions of project {project}."
    with site.database.transaction() as db:
        names = with_below(db, project)
        live = live_of(db, names, spare)
        changes = _mark(db, live, why, until, warned=warning_s > 0)
        if live.count:
            said = {
                "running": len(live.running),
                "starting": len(live.starting),
                "waiting": len(live.waiting),
                "warning_s": warning_s,
            }
            audit.note(db, by.user, "project.end_sessions", project, project, None, said)
    for change in changes:
        site.changes.announce(change)
    reason = Why(why, ASKED)
    cancelled = await _stop_each(launcher, live.waiting, reason, by.user)
    at_once = live.starting if warning_s > 0 else (*live.starting, *live.running)
    stopped = await _stop_each(launcher, at_once, reason, by.user)
    warned = len(live.running) if warning_s > 0 else 0
    return Ended(warned, stopped, cancelled, until if warned else None)


def _mark(db: Session, live: Live, why: str, until: float, *, warned: bool) -> list[Change]:
    """Have them end at ``until`` at the latest; returns what is to be announced."""
    changes = []
    for session_id in (*live.running, *live.starting, *live.waiting):
        row = db.get_one(SessionRow, session_id)
        if row.ends_at is not None and row.ends_at <= until:
            continue
        marked = update(SessionRow).where(SessionRow.id == session_id)
        db.execute(marked.values(ends_at=until, ends_why=why))
        sooner = row.stops_at is not None and row.stops_at <= until
        if (
            warned
            and row.status == Status.RUNNING
            and not sooner
            and row.notice_code not in EVICTIONS
        ):
            warn_in(db, session_id, Notice(ASKED, why, until))
        changes.append(Change(session_id, row.user, row.project))
    return changes


async def _stop_each(launcher: Launcher, session_ids: Sequence[str], why: Why, by: str) -> int:
    """How many were stopped. If this ends in the middle, the culler goes on with the rest."""
    stopped = 0
    for session_id in session_ids:
        with suppress(Conflict):  # it has ended by itself
            launcher.stop(session_id, why, by=by)
            stopped += 1
        await asyncio.sleep(0)
    return stopped


def marked(db: Session, projects: Collection[str]) -> Sequence[SessionRow]:
    """Running sessions that somebody has asked to end, the first to end first."""
    query = select(SessionRow).where(
        SessionRow.project.in_(projects),
        SessionRow.status == Status.RUNNING,
        SessionRow.ends_at.is_not(None),
    )
    return db.scalars(query.order_by(SessionRow.ends_at, SessionRow.order)).all()


def call_off(site: Site, project: str, *, by: By) -> int:
    """Let run on what was to end; how many. Raises Forbidden."""
    require(by.role, Action.END, "Only instructors and admins call that off.")
    with site.database.transaction() as db:
        rows = marked(db, with_below(db, project))
        for row in rows:
            row.ends_at, row.ends_why = None, None
        if rows:
            said = {"sessions": len(rows)}
            audit.note(db, by.user, "project.end_called_off", project, project, None, said)
        warned = [row.id for row in rows if row.notice_code == ASKED]
    for session_id in warned:
        withdraw(site.store, session_id, f"{by.user} has called off the end of all sessions.")
    return len(rows)


def _theirs(projects: Collection[str], spare: str | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        SessionRow.project.in_(projects),
        SessionRow.status.in_(LIVE),
    ]
    return found if spare is None else [*found, SessionRow.user != spare]

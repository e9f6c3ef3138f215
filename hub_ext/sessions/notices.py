"""Warnings: a session is going to be stopped, when, and why; and taking that back."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy.orm import Session

from hub_ext.db.models import SessionRow
from hub_ext.errors import Conflict, NotFound
from hub_ext.sessions.changes import Change
from hub_ext.sessions.status import GRANTED
from hub_ext.sessions.store import NO_NOTICE, SessionStore, Why, amend

EVICTIONS = frozenset({"reclaim", "preempt"})
"""Notice codes of sessions that are to make room for others."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Why and when (Unix s) a session will be stopped; ``evicted_for``: for which session."""

    code: str
    message: str
    stops_at: float
    evicted_for: str | None = None


def warn(store: SessionStore, session_id: str, notice: Notice) -> SessionRow | None:
    """Store the warning, with a row in the history. None when the session has moved on."""
    with store.database.transaction() as db:
        row = warn_in(db, session_id, notice)
    if row is not None:
        store.changes.announce(Change(row.id, row.user, row.project))
    return row


def warn_in(db: Session, session_id: str, notice: Notice) -> SessionRow | None:
    """As ``warn``, inside the caller's transaction, which then announces the change."""
    left_s = max(0, round(notice.stops_at - time.time()))
    why = Why(f"{notice.message} It is stopped in {left_s} s.", notice.code)
    by = "scheduler" if notice.evicted_for else "service"
    try:
        return amend(
            db,
            session_id,
            why,
            by=by,
            allowed=GRANTED,
            notice_code=notice.code,
            notice_message=notice.message,
            stops_at=notice.stops_at,
            evicted_for=notice.evicted_for,
        )
    except (Conflict, NotFound):
        return None


def withdraw(store: SessionStore, session_id: str, message: str) -> SessionRow | None:
    """Take a warning back. None when it is too late: the session is being stopped."""
    why = Why(f"The warning is withdrawn: {message}", "notice_withdrawn")
    try:
        return store.amend(session_id, why, by="service", allowed=GRANTED, **NO_NOTICE)
    except (Conflict, NotFound):
        return None

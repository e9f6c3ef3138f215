"""Rows of sessions: every transition is one transaction with its row in the history.

``UPDATE ... WHERE status IN (...)`` decides races: of a cancel and a grant exactly one
finds its row (DESIGN 3).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.models import HistoryRow, RunRow, SessionRow, SliceRow
from hub_ext.errors import Conflict, NotFound
from hub_ext.sessions.changes import Change, Changes
from hub_ext.sessions.status import BOOKED, ENDED, Status, sources


@dataclass(frozen=True, slots=True)
class NewSession:
    """Everything a PENDING session starts with. Units as in the table."""

    user: str
    server_name: str
    name: str
    project: str
    image: str
    image_title: str
    preset: str | None
    gpu_milli: int
    cpu_milli: int
    memory_mib: int
    lifetime_s: int | None
    options: dict[str, Any]
    mounts: list[dict[str, Any]]
    kind: str = "interactive"
    priority: int = 0
    preemptible: bool = False
    requeue: bool = True
    not_before: float | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class Why:
    """Reason of a transition, as the history tells it."""

    message: str = ""
    code: str = ""
    help: str = ""


NO_NOTICE: dict[str, Any] = {
    "notice_code": "",
    "notice_message": "",
    "stops_at": None,
    "evicted_for": None,
}
"""Columns of a session that nobody is going to stop."""

_UNBOOKED: dict[str, Any] = {
    "node": None,
    "container_id": None,
    "gpu_memory_mib": 0,
    "scheduled_at": None,
    "running_at": None,
    "run_id": None,
    "alerts": [],
}
"""Columns of a session that is back in the queue."""


class SessionStore:
    """The sessions of this deployment."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self.database = database
        self.changes = changes

    def add(self, db: Session, new: NewSession, *, by: str) -> SessionRow:
        """Store a PENDING session. Raises Conflict when its server name is in use.

        The caller announces it after its transaction has been committed.
        """
        now = time.time()
        # max + 1 is safe: this process is the only one that writes, one transaction at a time.
        row = SessionRow(
            order=(db.scalar(select(func.max(SessionRow.order))) or 0) + 1,
            status=Status.PENDING,
            submitted_at=now,
            changed_at=now,
            slices=[],
            reason_code="new",
            reason_message="Just submitted; the scheduler has not looked at it yet.",
            **{name: getattr(new, name) for name in NewSession.__dataclass_fields__},
        )
        db.add(row)
        try:
            db.flush()
        except IntegrityError as error:
            if "server_name" not in str(error.orig) and "uq_sessions_live" not in str(error.orig):
                raise
            raise Conflict(
                f"You already have a session '{new.server_name or 'default'}'."
                " Stop it first, or choose another name.",
                field="name",
            ) from error
        db.add(_history(row.id, "", Status.PENDING, Why("Submitted."), by, now))
        return row

    def get(self, session_id: str) -> SessionRow:
        """One session. Raises NotFound."""
        with self.database.transaction() as db:
            return one_session(db, session_id)

    def live(self, user: str, server_name: str) -> SessionRow | None:
        """The live session behind a server of the hub, if there is one."""
        with self.database.transaction() as db:
            return live_session(db, user, server_name)

    def last(self, user: str, server_name: str) -> SessionRow | None:
        """The newest session of a hub server, live or ended."""
        query = select(SessionRow).where(
            SessionRow.user == user, SessionRow.server_name == server_name
        )
        with self.database.transaction() as db:
            return db.scalar(query.order_by(SessionRow.order.desc()).limit(1))

    def find(
        self,
        *,
        user: str | None = None,
        project: str | None = None,
        statuses: Collection[Status] | None = None,
        limit: int | None = None,
        before: int | None = None,
    ) -> Sequence[SessionRow]:
        """Sessions, the newest first; ``before`` is the order to continue below."""
        query = select(SessionRow).order_by(SessionRow.order.desc())
        if user is not None:
            query = query.where(SessionRow.user == user)
        if project is not None:
            query = query.where(SessionRow.project == project)
        if statuses is not None:
            query = query.where(SessionRow.status.in_(statuses))
        if before is not None:
            query = query.where(SessionRow.order < before)
        with self.database.transaction() as db:
            return db.scalars(query.limit(limit)).all()

    def history(self, session_id: str) -> Sequence[HistoryRow]:
        """The transitions of a session, the oldest first."""
        with self.database.transaction() as db:
            query = select(HistoryRow).where(HistoryRow.session_id == session_id)
            return db.scalars(query.order_by(HistoryRow.id)).all()

    def transition(
        self,
        session_id: str,
        to: Status,
        why: Why,
        *,
        by: str,
        allowed: Collection[Status] | None = None,
        **values: Any,
    ) -> SessionRow:
        """Move a session on. Raises NotFound, or Conflict naming where it stands.

        ``allowed`` narrows the statuses it may come from. An end frees the slices.
        """
        with self.database.transaction() as db:
            row = move(db, session_id, to, why, by=by, allowed=allowed, **values)
        self.changes.announce(Change(session_id, row.user, row.project))
        return row

    def amend(
        self,
        session_id: str,
        why: Why,
        *,
        by: str,
        allowed: Collection[Status],
        **values: Any,
    ) -> SessionRow:
        """Change columns of a session that stays where it is, with a row in its history.

        Raises NotFound, or Conflict when its status is not in ``allowed``.
        """
        with self.database.transaction() as db:
            row = amend(db, session_id, why, by=by, allowed=allowed, **values)
        self.changes.announce(Change(session_id, row.user, row.project))
        return row

    def note_attempt(self, session_id: str) -> int:
        """Count a start that is being asked of the hub; returns how many there were."""
        with self.database.transaction() as db:
            row = one_session(db, session_id)
            row.attempts += 1
            return row.attempts


def live_session(db: Session, user: str, server_name: str) -> SessionRow | None:
    """The live row of a hub server, inside the caller's transaction."""
    return db.scalar(
        select(SessionRow).where(
            SessionRow.user == user,
            SessionRow.server_name == server_name,
            SessionRow.ended_at.is_(None),
        )
    )


def move(
    db: Session,
    session_id: str,
    to: Status,
    why: Why,
    *,
    by: str,
    allowed: Collection[Status] | None = None,
    **values: Any,
) -> SessionRow:
    """The transition itself, inside the caller's transaction (see ``transition``)."""
    origins = sources(to) if allowed is None else sources(to) & frozenset(allowed)
    now = time.time()
    before = one_session(db, session_id).status
    if to in ENDED:
        values |= {"ended_at": now, "position": None, "expected_at": None}
        values |= {"alerts": [], **NO_NOTICE}
    if to is Status.PENDING:
        values |= _UNBOOKED | NO_NOTICE
    done = db.execute(
        update(SessionRow)
        .where(SessionRow.id == session_id, SessionRow.status.in_(origins))
        .values(
            status=to,
            changed_at=now,
            version=SessionRow.version + 1,
            reason_code=why.code,
            reason_message=why.message,
            reason_help=why.help,
            **values,
        )
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict(f"The session is {before}; it cannot become {to} any more.")
    if to not in BOOKED:
        _free(db, session_id, now)
    db.add(_history(session_id, before, to, why, by, now))
    db.flush()
    db.expire_all()
    return one_session(db, session_id)


def amend(
    db: Session,
    session_id: str,
    why: Why,
    *,
    by: str,
    allowed: Collection[Status],
    **values: Any,
) -> SessionRow:
    """The change itself, inside the caller's transaction (see ``SessionStore.amend``)."""
    status = one_session(db, session_id).status
    done = db.execute(
        update(SessionRow)
        .where(SessionRow.id == session_id, SessionRow.status.in_(allowed))
        .values(version=SessionRow.version + 1, **values)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict(f"The session is {status}; this cannot be changed any more.")
    db.add(_history(session_id, status, Status(status), why, by, time.time()))
    db.flush()
    db.expire_all()
    return one_session(db, session_id)


def _free(db: Session, session_id: str, now: float) -> None:
    """The booking is over: slices and run."""
    db.execute(delete(SliceRow).where(SliceRow.session_id == session_id))
    db.execute(
        update(RunRow)
        .where(RunRow.session_id == session_id, RunRow.ended_at.is_(None))
        .values(ended_at=now)
    )


def one_session(db: Session, session_id: str) -> SessionRow:
    """One row, inside the caller's transaction. Raises NotFound."""
    row = db.get(SessionRow, session_id)
    if row is None:
        raise NotFound("There is no such session.")
    return row


def _history(session_id: str, before: str, to: Status, why: Why, by: str, at: float) -> HistoryRow:
    return HistoryRow(
        session_id=session_id,
        at=at,
        from_status=before,
        to_status=to,
        code=why.code,
        message=why.message,
        by=by,
    )


def is_live(row: SessionRow) -> bool:
    """Whether the session has not ended yet."""
    return row.ended_at is None

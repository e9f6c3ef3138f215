"""Rows of sessions: every transition is one transaction with its row in the history.

``UPDATE ... WHERE status IN (...)`` decides races: of a cancel and a grant exactly one
finds its row (DESIGN 3).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, lazyload

from hub_ext.db.connection import Database
from hub_ext.db.models import HistoryRow, SessionRow, SliceRow
from hub_ext.errors import Conflict, NotFound
from hub_ext.sessions.changes import Change, Changes
from hub_ext.sessions.status import ENDED, Status, sources


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


@dataclass(frozen=True, slots=True)
class GrantedSlice:
    """A part of a device that a grant books, in milli-GPU."""

    device: int
    uuid: str
    milli: int
    simulated: bool


@dataclass(frozen=True, slots=True)
class Why:
    """Reason of a transition, as the history tells it."""

    message: str = ""
    code: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """What a waiting session is told: why, its place (from 1), when it may start (Unix s)."""

    session_id: str
    why: Why
    position: int
    expected_at: float | None


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
            id=uuid.uuid4().hex,
            order=(db.scalar(select(func.max(SessionRow.order))) or 0) + 1,
            status=Status.PENDING,
            submitted_at=now,
            changed_at=now,
            slices=[],
            reason_code="new",
            reason_message="Just submitted; the scheduler has not looked at it yet.",
            **{field: getattr(new, field) for field in NewSession.__dataclass_fields__},
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
            return _one(db, session_id)

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
        statuses: Collection[Status] | None = None,
        limit: int | None = None,
        before: int | None = None,
    ) -> Sequence[SessionRow]:
        """Sessions, the newest first; ``before`` is the order to continue below."""
        query = select(SessionRow).order_by(SessionRow.order.desc())
        if user is not None:
            query = query.where(SessionRow.user == user)
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
        self.changes.announce(Change(session_id, row.user))
        return row

    def grant(
        self, session_id: str, node: str, slices: Sequence[GrantedSlice], memory_mib: int, why: Why
    ) -> SessionRow:
        """Book node and slices for a PENDING session. Raises Conflict when it was cancelled."""
        now = time.time()
        with self.database.transaction() as db:
            row = move(
                db,
                session_id,
                Status.SCHEDULED,
                why,
                by="scheduler",
                allowed={Status.PENDING},
                node=node,
                gpu_memory_mib=memory_mib,
                scheduled_at=now,
                position=None,
                expected_at=None,
                attempts=0,
            )
            for part in slices:
                db.add(
                    SliceRow(
                        session_id=session_id,
                        node=node,
                        device=part.device,
                        uuid=part.uuid,
                        milli=part.milli,
                        simulated=part.simulated,
                    )
                )
            db.flush()
            db.refresh(row)
        self.changes.announce(Change(session_id, row.user))
        return row

    def explain(self, waits: Sequence[Wait]) -> None:
        """Renew reason, position and estimate of PENDING sessions where they changed."""
        changed = []
        query = select(SessionRow).where(SessionRow.status == Status.PENDING)
        with self.database.transaction() as db:
            pending = {
                row.id: row for row in db.scalars(query.options(lazyload(SessionRow.slices)))
            }
            for wait in waits:
                row = pending.get(wait.session_id)
                if row is None or not _news(row, wait):
                    continue
                row.reason_code, row.reason_message = wait.why.code, wait.why.message
                row.reason_help, row.position = wait.why.help, wait.position
                row.expected_at = wait.expected_at
                row.version += 1
                changed.append(Change(row.id, row.user, of_status=False))
        for change in changed:
            self.changes.announce(change)

    def note_attempt(self, session_id: str) -> int:
        """Count a start that is being asked of the hub; returns how many there were."""
        with self.database.transaction() as db:
            row = _one(db, session_id)
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
    before = _one(db, session_id).status
    if to in ENDED:
        values |= {"ended_at": now, "position": None, "expected_at": None}
        db.execute(delete(SliceRow).where(SliceRow.session_id == session_id))
    if to is Status.PENDING:
        values |= {"node": None, "container_id": None, "gpu_memory_mib": 0, "scheduled_at": None}
        db.execute(delete(SliceRow).where(SliceRow.session_id == session_id))
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
    db.add(_history(session_id, before, to, why, by, now))
    db.flush()
    db.expire_all()
    return _one(db, session_id)


def _one(db: Session, session_id: str) -> SessionRow:
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


def _news(row: SessionRow, wait: Wait) -> bool:
    """Whether a wait says something else than the row; estimates may drift by 30 s."""
    old = (row.reason_code, row.reason_message, row.reason_help, row.position)
    if old != (wait.why.code, wait.why.message, wait.why.help, wait.position):
        return True
    if row.expected_at is None or wait.expected_at is None:
        return row.expected_at is not wait.expected_at
    return abs(row.expected_at - wait.expected_at) >= 30


def is_live(row: SessionRow) -> bool:
    """Whether the session has not ended yet."""
    return row.ended_at is None

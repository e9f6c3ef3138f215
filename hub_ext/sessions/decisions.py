"""What a scheduling pass has decided, written in one transaction.

A session that was cancelled or has moved on meanwhile keeps that; the rest is written.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.orm import Session

from hub_ext.db.models import RunRow, SessionRow, SliceRow
from hub_ext.errors import Conflict, NotFound
from hub_ext.sessions.changes import Change
from hub_ext.sessions.notices import Notice, warn_in
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import SessionStore, Why, move

_ESTIMATE_DRIFT_S = 30
"""An estimate that moves by less is no news."""

_TOLD = (
    SessionRow.id,
    SessionRow.user,
    SessionRow.project,
    SessionRow.reason_code,
    SessionRow.reason_message,
    SessionRow.reason_help,
    SessionRow.position,
    SessionRow.expected_at,
)
"""What a waiting session was told last."""


@dataclass(frozen=True, slots=True)
class GrantedSlice:
    """A part of a device that a grant books: milli-GPU, and MiB of its memory."""

    device: int
    uuid: str
    milli: int
    memory_mib: int
    simulated: bool
    enforcer: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """A booking for a PENDING session.

    preemptible: as it was when this was decided; the quota may allow it only so.
    """

    session_id: str
    node: str
    slices: Sequence[GrantedSlice]
    preemptible: bool
    why: Why


@dataclass(frozen=True, slots=True)
class Wait:
    """What a waiting session is told: why, its place (from 1), when it may start (Unix s)."""

    session_id: str
    why: Why
    position: int
    expected_at: float | None


def write_decisions(
    store: SessionStore,
    grants: Sequence[Grant] = (),
    evictions: Sequence[tuple[str, Notice]] = (),
    waits: Sequence[Wait] = (),
) -> None:
    """Book, warn and explain; ``evictions``: session ids with their notices."""
    changed: list[Change] = []
    with store.database.transaction() as db:
        for grant in grants:
            row = _grant(db, grant)
            changed += [Change(row.id, row.user, row.project)] if row is not None else []
        for session_id, notice in evictions:
            row = _evict(db, session_id, notice)
            changed += [Change(row.id, row.user, row.project)] if row is not None else []
        changed += _explain(db, waits)
    for change in changed:
        store.changes.announce(change)


def _grant(db: Session, grant: Grant) -> SessionRow | None:
    """Book node and slices; a run begins. None when the session was cancelled or changed."""
    now = time.time()
    asked = db.get(SessionRow, grant.session_id)
    if asked is None or asked.preemptible != grant.preemptible:
        return None
    try:
        row = move(
            db,
            grant.session_id,
            Status.SCHEDULED,
            grant.why,
            by="scheduler",
            allowed={Status.PENDING},
            node=grant.node,
            gpu_memory_mib=sum(part.memory_mib for part in grant.slices),
            scheduled_at=now,
            position=None,
            expected_at=None,
            attempts=0,
        )
    except (Conflict, NotFound):
        return None
    row.run_id = _begin_run(db, row, now)
    for part in grant.slices:
        db.add(
            SliceRow(
                session_id=row.id,
                node=grant.node,
                device=part.device,
                uuid=part.uuid,
                milli=part.milli,
                simulated=part.simulated,
                enforcer=part.enforcer,
                memory_mib=part.memory_mib,
            )
        )
    db.flush()
    return row


def _begin_run(db: Session, row: SessionRow, now: float) -> int:
    run = RunRow(
        session_id=row.id,
        user=row.user,
        project=row.project,
        gpu_milli=row.gpu_milli,
        cpu_milli=row.cpu_milli,
        memory_mib=row.memory_mib,
        started_at=now,
    )
    db.add(run)
    db.flush()
    return run.id


def _evict(db: Session, session_id: str, notice: Notice) -> SessionRow | None:
    """Warn, unless the session that it is for has been cancelled or the victim has moved on.

    One that will end by itself before that keeps its own warning.
    """
    claimant = db.get(SessionRow, notice.evicted_for)
    if claimant is None or claimant.status != Status.PENDING:
        return None
    victim = db.get(SessionRow, session_id)
    if victim is None or (victim.stops_at is not None and victim.stops_at <= notice.stops_at):
        return None
    return warn_in(db, session_id, notice)


def _explain(db: Session, waits: Sequence[Wait]) -> list[Change]:
    """Renew reason, position and estimate of PENDING sessions where they changed."""
    query = select(*_TOLD).where(SessionRow.status == Status.PENDING)
    pending = {told.id: told for told in db.execute(query)}
    news = [
        wait
        for wait in waits
        if wait.session_id in pending and _is_news(pending[wait.session_id], wait)
    ]
    if not news:
        return []
    table = SessionRow.__table__
    renew = (
        update(table)  # type: ignore[arg-type]
        .where(table.c.id == bindparam("session_id"))
        .values(
            reason_code=bindparam("code"),
            reason_message=bindparam("message"),
            reason_help=bindparam("help"),
            position=bindparam("place"),
            expected_at=bindparam("at"),
            version=table.c.version + 1,
        )
    )
    db.connection().execute(
        renew,
        [
            {
                "session_id": wait.session_id,
                "code": wait.why.code,
                "message": wait.why.message,
                "help": wait.why.help,
                "place": wait.position,
                "at": wait.expected_at,
            }
            for wait in news
        ],
    )
    told = [pending[wait.session_id] for wait in news]
    return [Change(row.id, row.user, row.project, of_status=False) for row in told]


def _is_news(row: Row[*tuple[Any, ...]], wait: Wait) -> bool:
    """Whether a wait says something else than the row."""
    old = (row.reason_code, row.reason_message, row.reason_help, row.position)
    if old != (wait.why.code, wait.why.message, wait.why.help, wait.position):
        return True
    if row.expected_at is None or wait.expected_at is None:
        return row.expected_at is not wait.expected_at
    return abs(row.expected_at - wait.expected_at) >= _ESTIMATE_DRIFT_S

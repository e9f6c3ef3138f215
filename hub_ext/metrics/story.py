"""What has become of sessions since the last look, counted from their histories.

Every transition is a row there, written with it: nothing that happens can be forgotten here,
and nothing has to be called where it happens.
"""

from __future__ import annotations

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import HistoryRow, SessionRow
from hub_ext.metrics.instruments import Instruments
from hub_ext.sessions.status import ENDED, Status
from hub_ext.sessions.waiting_times import first_runs, newest_run


class Story:
    """Remembers how far it has read; what was before it began counts for nothing."""

    def __init__(self, db: Session) -> None:
        self._transition = _newest_transition(db)
        self._run = newest_run(db)

    def tell(self, db: Session, instruments: Instruments) -> None:
        """Count what is new."""
        newest = _newest_transition(db)
        for code, project, before, after, count in db.execute(_new(self._transition, newest)):
            _count(instruments, code, project, (before, after), count)
        for seconds in db.scalars(_starts(self._transition, newest)):
            instruments.start_s.observe(max(0.0, seconds))
        for run in first_runs(db, self._run):
            self._run = run.id
            instruments.wait_s.observe(run.waited_s)
        self._transition = newest


def _newest_transition(db: Session) -> int:
    return db.scalar(select(func.max(HistoryRow.id))) or 0


def _new(after: int, newest: int) -> Select[str, str, str, str, int]:
    columns = (HistoryRow.code, SessionRow.project, HistoryRow.from_status, HistoryRow.to_status)
    query = select(*columns, func.count()).join(SessionRow, SessionRow.id == HistoryRow.session_id)
    query = query.where(HistoryRow.id > after, HistoryRow.id <= newest)
    return query.where(HistoryRow.from_status != HistoryRow.to_status).group_by(*columns)


def _starts(after: int, newest: int) -> Select[float]:
    """Seconds from grant to running."""
    query = select(HistoryRow.at - SessionRow.scheduled_at)
    query = query.join(SessionRow, SessionRow.id == HistoryRow.session_id)
    return query.where(
        HistoryRow.id > after,
        HistoryRow.id <= newest,
        HistoryRow.from_status != HistoryRow.to_status,
        HistoryRow.to_status == Status.RUNNING,
        SessionRow.scheduled_at.is_not(None),
    )


def _count(
    instruments: Instruments, code: str, project: str, step: tuple[str, str], count: int
) -> None:
    before, after = step
    if not before:
        instruments.submitted.labels(project).inc(count)
    elif after == Status.RUNNING:
        instruments.started.labels(project).inc(count)
    elif after == Status.PREEMPTED:
        instruments.evictions.labels(project, code or "unknown").inc(count)
    if after in ENDED:
        instruments.ended.labels(project, after.lower()).inc(count)
    if after == Status.ERROR:
        instruments.failures.labels(code or "unknown").inc(count)

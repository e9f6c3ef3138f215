"""How long sessions have waited: from when they might start until their first grant.

That is from submission, or from the time before which its user did not want it to start.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, exists, func, select
from sqlalchemy.orm import Session, aliased

from hub_ext.db.models import RunRow, SessionRow
from hub_ext.projects.periods import Period

_KEPT_S = 400 * 86400.0
"""What began longer ago is not read."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Of the sessions that started in some stretch of time; s, None when none started."""

    count: int
    median_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class FirstRun:
    """The first grant of a session: ``waited_s`` until then."""

    id: int
    project: str
    started_at: float
    waited_s: float


class WaitingTimes:
    """Keeps what it has read: a first grant never changes, and 100,000 are two megabytes."""

    def __init__(self) -> None:
        self._last_id = 0
        self._started_at = array("d")
        self._waited_s = array("d")

    def over(self, db: Session, period: Period, now: float) -> tuple[Waits, list[Waits]]:
        """Over the whole period, and in each of its steps."""
        self._read(db, now)
        started_at, waited_s = np.array(self._started_at), np.array(self._waited_s)
        inside = (started_at >= period.begin) & (started_at < period.end)
        started_at, waited_s = started_at[inside], waited_s[inside]
        steps = ((started_at - period.begin) / period.step_s).astype(int)
        order = np.argsort(steps, kind="stable")
        cuts = np.searchsorted(steps[order], np.arange(1, period.steps))
        return _waits(waited_s), [_waits(part) for part in np.split(waited_s[order], cuts)]

    def _read(self, db: Session, now: float) -> None:
        for run in first_runs(db, self._last_id, since=now - _KEPT_S):
            self._last_id = run.id
            self._started_at.append(run.started_at)
            self._waited_s.append(run.waited_s)


def first_runs(db: Session, after_id: int, since: float = 0.0) -> Sequence[FirstRun]:
    """First grants with a higher id, in its order."""
    earlier = aliased(RunRow)
    query = (
        select(
            RunRow.id,
            RunRow.project,
            RunRow.started_at,
            SessionRow.submitted_at,
            SessionRow.not_before,
        )
        .join(SessionRow, SessionRow.id == RunRow.session_id)
        .where(
            RunRow.id > after_id,
            RunRow.started_at > since,
            ~exists().where(earlier.session_id == RunRow.session_id, earlier.id < RunRow.id),
        )
        .order_by(RunRow.id)
    )
    return [_first_run(row) for row in db.execute(query)]


def newest_run(db: Session) -> int:
    """The highest id of a run; 0 when there is none."""
    return db.scalar(select(func.max(RunRow.id))) or 0


def _first_run(row: Row[int, str, float, float, float | None]) -> FirstRun:
    number, project, started_at, submitted_at, not_before = row
    waited_s = started_at - max(submitted_at, not_before or 0.0)
    return FirstRun(number, project, started_at, max(0.0, waited_s))


def _waits(waited_s: NDArray[np.float64]) -> Waits:
    if not len(waited_s):
        return Waits(0, None, None)
    median, p95 = np.percentile(waited_s, (50, 95))
    return Waits(len(waited_s), float(median), float(p95))

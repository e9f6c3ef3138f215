"""What projects held over time, from their runs: exact means for each of equal steps.

Times are Unix s. GPUs are physical devices, CPUs cores, memory GiB. The database adds up the
runs by the steps in which they begin and end, so that a year of them is a few thousand rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Integer, Select, and_, cast, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hub_ext.db.models import RunRow
from hub_ext.projects.periods import Period
from hub_ext.projects.tree import Rows, lineage

GPU, CPU, MEMORY = "gpu", "cpu", "memory"
RESOURCES = {
    GPU: (RunRow.gpu_milli, 1000.0),
    CPU: (RunRow.cpu_milli, 1000.0),
    MEMORY: (RunRow.memory_mib, 1024.0),
}
"""The column of each, and how much in it is one GPU, one core, one GiB."""


@dataclass(frozen=True, slots=True)
class Use:
    """What each project held of one resource in each step of a period, up to ``now``."""

    period: Period
    now: float
    held: Mapping[str, NDArray[np.float64]]
    """By project, for each step GPU-seconds, core-seconds or GiB-seconds."""

    @property
    def projects(self) -> list[str]:
        """Those that held something, by name."""
        return sorted(self.held)

    def mean(self, project: str) -> list[float | None]:
        """GPUs, cores or GiB that it held in the mean of each step; None: yet to come.

        Of the step under way, the mean of what has passed.
        """
        begins = np.array(self.period.times)
        passed = np.clip(self.now - begins, 0.0, self.period.step_s)
        return [
            float(amount / seconds) if seconds > 0 else None
            for amount, seconds in zip(self._of(project), passed, strict=True)
        ]

    def total(self, project: str) -> float:
        """GPU-hours, core-hours or GiB-hours of the whole period."""
        return float(self._of(project).sum() / 3600)

    def with_below(self, rows: Rows) -> Use:
        """The same, where those below a project count for it."""
        found: dict[str, NDArray[np.float64]] = {}
        for name, held in self.held.items():
            for row in lineage(rows, name):
                found[row.name] = found[row.name] + held if row.name in found else held
        return Use(self.period, self.now, found)

    def _of(self, project: str) -> NDArray[np.float64]:
        held = self.held.get(project)
        return np.zeros(self.period.steps) if held is None else held


def use_over_time(
    db: Session,
    period: Period,
    now: float,
    resource: str = GPU,
    projects: Collection[str] | None = None,
) -> Use:
    """What these projects (None: all) held themselves; what runs now counts until now."""
    held: dict[str, NDArray[np.float64]] = {}
    column, unit = RESOURCES[resource]
    for project, *group in db.execute(_by_steps(db, period, now, column, projects)):
        of_project = held.setdefault(project, np.zeros(period.steps))
        _add(of_project, period, _Group(*group))
    return Use(period, now, {project: amounts / unit for project, amounts in held.items()})


def gpu_hours_by_user(
    db: Session, begin: float, end: float, now: float, projects: Collection[str] | None = None
) -> dict[tuple[str, str], float]:
    """GPU-hours by (project, user) between two times, of these projects (None: all)."""
    end = min(end, now)
    first, last = _within(db, begin, end)
    amount = func.sum(RunRow.gpu_milli * (last - first)) / (RESOURCES[GPU][1] * 3600)
    query = select(RunRow.project, RunRow.user, amount)
    query = query.where(RunRow.gpu_milli > 0, *_touching(begin, end, projects))
    rows = db.execute(query.group_by(RunRow.project, RunRow.user))
    return {(project, user): float(hours) for project, user, hours in rows}


def _by_steps(
    db: Session,
    period: Period,
    now: float,
    column: InstrumentedAttribute[int],
    projects: Collection[str] | None,
) -> Select[Any, Any, Any, Any, Any, Any]:
    """Of the runs of a project that begin and end in the same two steps, the sums.

    Times count from the period's begin: sums of whole Unix times would lose their seconds.
    """
    end = min(period.end, now)
    first, last = _within(db, period.begin, end)
    runs = (
        select(
            RunRow.project,
            column.label("amount"),
            (first - period.begin).label("begins"),
            (last - period.begin).label("ends"),
        )
        .where(column > 0, *_touching(period.begin, end, projects))
        .subquery()
    )
    return select(
        runs.c.project,
        _floor(db, runs.c.begins / period.step_s).label("first"),
        _floor(db, runs.c.ends / period.step_s).label("last"),
        func.sum(runs.c.amount),
        func.sum(runs.c.amount * runs.c.begins),
        func.sum(runs.c.amount * runs.c.ends),
    ).group_by(runs.c.project, "first", "last")


def _within(
    db: Session, begin: float, end: float
) -> tuple[ColumnElement[float], ColumnElement[float]]:
    """Begin and end of a run as far as they are between two times."""
    started, ended = RunRow.started_at, func.coalesce(RunRow.ended_at, end)
    if _is_postgresql(db):
        return func.greatest(started, begin), func.least(ended, end)
    return func.max(started, begin), func.min(ended, end)


def _touching(
    begin: float, end: float, projects: Collection[str] | None
) -> Sequence[ColumnElement[bool]]:
    """Runs that have a part between two times."""
    lasting = or_(RunRow.ended_at.is_(None), RunRow.ended_at > begin)
    which = and_(RunRow.started_at < end, lasting)
    return [which] if projects is None else [which, RunRow.project.in_(projects)]


def _floor(db: Session, value: ColumnElement[Any]) -> ColumnElement[int]:
    """Of a number that is not negative. PostgreSQL's cast rounds; SQLite may have no floor."""
    return cast(func.floor(value) if _is_postgresql(db) else value, Integer)


def _is_postgresql(db: Session) -> bool:
    return db.get_bind().dialect.name == "postgresql"


@dataclass(frozen=True, slots=True)
class _Group:
    """Runs that all begin in the step ``first`` and end in ``last``: sums of what they held,
    and of that times their begin and times their end, in s from the begin of the period."""

    first: int
    last: int
    amount: float
    at_begin: float
    at_end: float


def _add(held: NDArray[np.float64], period: Period, runs: _Group) -> None:
    """Spread them over the steps: amount x s."""
    last, step_s = min(runs.last, period.steps - 1), period.step_s
    first = min(runs.first, last)
    if first == last:
        held[first] += runs.at_end - runs.at_begin
        return
    held[first] += runs.amount * (first + 1) * step_s - runs.at_begin
    held[first + 1 : last] += runs.amount * step_s
    held[last] += runs.at_end - runs.amount * last * step_s

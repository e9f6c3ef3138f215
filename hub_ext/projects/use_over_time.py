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
from sqlalchemy import ColumnElement, Integer, and_, case, cast, func, or_, select
from sqlalchemy.orm import Session

from hub_ext.db.models import RunRow
from hub_ext.projects.tree import Rows, lineage

GPU, CPU, MEMORY = "gpu", "cpu", "memory"
_UNITS = {GPU: 1000.0, CPU: 1000.0, MEMORY: 1024.0}
"""How much of a column is one GPU, one core, one GiB; in the order of the columns."""
_AMOUNTS = (RunRow.gpu_milli, RunRow.cpu_milli, RunRow.memory_mib)


@dataclass(frozen=True, slots=True)
class Period:
    """``steps`` equal steps from ``begin`` to ``end``. Raises ValueError when there are none."""

    begin: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1 or self.end <= self.begin:
            raise ValueError(f"{self.begin:g} to {self.end:g} has no {self.steps} steps.")

    @property
    def step_s(self) -> float:
        """Length of a step."""
        return (self.end - self.begin) / self.steps

    @property
    def times(self) -> list[float]:
        """When each step begins."""
        return [self.begin + step * self.step_s for step in range(self.steps)]


@dataclass(frozen=True, slots=True)
class Use:
    """What each project held in each step of a period, up to ``now``."""

    period: Period
    now: float
    _held: Mapping[str, NDArray[np.float64]]
    """By project, resource seconds in the columns' units: one row a resource, one column a step."""

    @property
    def projects(self) -> list[str]:
        """Those that held something, by name."""
        return sorted(self._held)

    def mean(self, project: str, resource: str = GPU) -> list[float | None]:
        """GPUs, cores or GiB that it held in the mean of each step; None: yet to come.

        Of the step under way, the mean of what has passed.
        """
        passed = self._passed()
        amounts = self._amounts(project, resource)
        return [
            float(amount / seconds) if seconds > 0 else None
            for amount, seconds in zip(amounts, passed, strict=True)
        ]

    def total(self, project: str, resource: str = GPU) -> float:
        """GPU-hours, core-hours or GiB-hours of the whole period."""
        return float(self._amounts(project, resource).sum() / 3600)

    def with_below(self, rows: Rows) -> Use:
        """The same, where those below a project count for it."""
        found: dict[str, NDArray[np.float64]] = {}
        for name, held in self._held.items():
            for row in lineage(rows, name):
                found[row.name] = found[row.name] + held if row.name in found else held
        return Use(self.period, self.now, found)

    def _amounts(self, project: str, resource: str) -> NDArray[np.float64]:
        held = self._held.get(project)
        if held is None:
            return np.zeros(self.period.steps)
        return held[[*_UNITS].index(resource)] / _UNITS[resource]

    def _passed(self) -> NDArray[np.float64]:
        """Seconds of each step that have passed."""
        begins = np.array(self.period.times)
        return np.clip(self.now - begins, 0.0, self.period.step_s)


def use_over_time(
    db: Session, period: Period, now: float, projects: Collection[str] | None = None
) -> Use:
    """What these projects (None: all) held themselves; what runs now counts until now."""
    held: dict[str, NDArray[np.float64]] = {}
    for project, first, last, *sums in db.execute(_by_steps(db, period, now, projects)):
        added = _spread(period, int(first), int(last), np.array(sums, dtype=float))
        held[project] = held[project] + added if project in held else added
    return Use(period, now, held)


def gpu_hours_by_user(
    db: Session, begin: float, end: float, now: float, projects: Collection[str] | None = None
) -> dict[tuple[str, str], float]:
    """GPU-hours by (project, user) between two times, of these projects (None: all)."""
    first, last = _within(begin, min(end, now))
    amount = func.sum(RunRow.gpu_milli * (last - first)) / (_UNITS[GPU] * 3600)
    query = select(RunRow.project, RunRow.user, amount).where(
        RunRow.gpu_milli > 0, *_touching(begin, min(end, now), projects)
    )
    rows = db.execute(query.group_by(RunRow.project, RunRow.user))
    return {(project, user): float(hours) for project, user, hours in rows}


def _by_steps(db: Session, period: Period, now: float, projects: Collection[str] | None) -> Any:
    """Of the runs of a project that begin and end in the same two steps, the sums.

    Times count from the period's begin: sums of whole Unix times would lose their seconds.
    """
    end = min(period.end, now)
    first, last = _within(period.begin, end)
    begins, ends = first - period.begin, last - period.begin
    step = period.step_s
    columns: list[ColumnElement[Any]] = [
        _floor(db, begins / step).label("first"),
        _floor(db, ends / step).label("last"),
        *(func.sum(amount) for amount in _AMOUNTS),
        *(func.sum(amount * begins) for amount in _AMOUNTS),
        *(func.sum(amount * ends) for amount in _AMOUNTS),
    ]
    query = select(RunRow.project, *columns).where(*_touching(period.begin, end, projects))
    return query.group_by(RunRow.project, "first", "last")


def _within(begin: float, end: float) -> tuple[ColumnElement[float], ColumnElement[float]]:
    """Begin and end of a run as far as they are between two times."""
    first = case((RunRow.started_at < begin, begin), else_=RunRow.started_at)
    last = case((RunRow.ended_at < end, RunRow.ended_at), else_=end)
    return first, last


def _touching(
    begin: float, end: float, projects: Collection[str] | None
) -> Sequence[ColumnElement[bool]]:
    """Runs that have a part between two times."""
    lasting = or_(RunRow.ended_at.is_(None), RunRow.ended_at > begin)
    which = and_(RunRow.started_at < end, lasting)
    return [which] if projects is None else [which, RunRow.project.in_(projects)]


def _floor(db: Session, value: ColumnElement[float]) -> ColumnElement[Any]:
    """Of a number that is not negative. PostgreSQL's cast rounds; SQLite may have no floor."""
    if db.get_bind().dialect.name == "postgresql":
        return cast(func.floor(value), Integer)
    return cast(value, Integer)


def _spread(
    period: Period, first: int, last: int, sums: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Resource seconds in each step, of runs that all begin in ``first`` and end in ``last``.

    ``sums``: amounts, amounts x begin, amounts x end; three resources each.
    """
    amounts, at_begin, at_end = sums.reshape(3, -1)
    step, steps = period.step_s, period.steps
    held = np.zeros((len(amounts), steps))
    if last >= steps:  # they end with the period: on the edge of a step that is not there
        last, at_end = steps - 1, amounts * (period.end - period.begin)
    first = min(first, last)
    if first == last:
        held[:, first] = at_end - at_begin
        return held
    held[:, first] = amounts * ((first + 1) * step) - at_begin
    held[:, first + 1 : last] = (amounts * step)[:, None]
    held[:, last] = at_end - amounts * (last * step)
    return held

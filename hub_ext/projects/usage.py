"""GPU time that projects have used, from their runs; what runs now counts until now.

Times are Unix s, amounts GPU-hours of a physical device. Those below a project count for it.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session, aliased

from hub_ext.db.models import DeviceRow, NodeRow, ProjectRow, RunRow
from hub_ext.projects.tree import Rows, lineage
from hub_ext.scheduling.model import GPU

_MILLI_GPU_H = GPU * 3600.0
_REFRESH_S = 60.0
"""How old the sum of what has ended may be."""
_SETTLED_S = 120.0
"""Runs that ended so long ago are all written down: they are added up once, for good."""
_HALF_LIVES = 12
"""Older use is forgotten: it weighs less than 1 : 4000."""


def gpu_hours(db: Session, names: Collection[str], now: float) -> dict[str, float]:
    """What each of these projects has used in its term (from ``valid_from``, else ever)."""
    return _sums(db, names, now, RunRow.gpu_milli > 0)


def _sums(
    db: Session, names: Collection[str], now: float, which: ColumnElement[bool]
) -> dict[str, float]:
    """GPU-hours by project, of some runs only; one query."""
    if not names:
        return {}
    tree = (
        select(
            ProjectRow.name.label("top"),
            ProjectRow.name.label("project"),
            func.coalesce(ProjectRow.valid_from, 0.0).label("since"),
        )
        .where(ProjectRow.name.in_(names))
        .cte("tree", recursive=True)
    )
    child = aliased(ProjectRow)
    tree = tree.union(
        select(tree.c.top, child.name, tree.c.since).where(child.parent == tree.c.project)
    )
    begin = case((RunRow.started_at < tree.c.since, tree.c.since), else_=RunRow.started_at)
    end = func.coalesce(RunRow.ended_at, now)
    seconds = case((end > begin, end - begin), else_=0.0)
    query = (
        select(tree.c.top, func.sum(RunRow.gpu_milli * seconds))
        .join(RunRow, RunRow.project == tree.c.project)
        .where(which)
        .group_by(tree.c.top)
    )
    used = {top: amount / _MILLI_GPU_H for top, amount in db.execute(query)}
    return {name: used.get(name, 0.0) for name in names}


class UsageHistory:
    """Answers the same questions several times a second; held by whoever asks so often.

    What ended long ago is added up once, or once a minute, and not at every question.
    """

    def __init__(self) -> None:
        self._ended: dict[str, float] = {}
        self._ended_of: object = None
        self._ended_until = 0.0
        self._decayed = _DecayedUse()

    def budgets(self, db: Session, rows: Collection[ProjectRow], now: float) -> dict[str, float]:
        """GPU-hours used in the term by each of all projects ``rows`` that has a budget."""
        names = [row.name for row in rows if row.budget_gpu_h is not None]
        if not names:
            return {}
        self._settle(db, rows, names, now)
        found = dict(self._ended)
        for later in _not_ended(self._ended_until):
            for name, used in _sums(db, names, now, later).items():
                found[name] += used
        return found

    def _settle(
        self, db: Session, rows: Collection[ProjectRow], names: Collection[str], now: float
    ) -> None:
        """Bring the sum of what has ended forward; afresh if something else is asked."""
        before, until = self._ended_until, now - _SETTLED_S
        asked = [(row.name, row.parent, row.valid_from, row.budget_gpu_h) for row in rows]
        if asked != self._ended_of or until < before:
            self._ended = _sums(db, names, now, _ended(None, until))
        elif until - before > _REFRESH_S:
            for name, used in _sums(db, names, now, _ended(before, until)).items():
                self._ended[name] += used
        else:
            return
        self._ended_of, self._ended_until = asked, until

    def shares(self, db: Session, rows: Rows, now: float, half_life_s: float) -> dict[str, float]:
        """Past use of each project as a part of the cluster's GPUs, from 0 to 1.

        GPU time weighs half as much for each half-life that has passed; the same of the
        whole cluster is 1. At most a minute old.
        """
        own = self._decayed.by_project(db, now, half_life_s)
        gpus = _gpus(db)
        if not gpus or not own:
            return {}
        used: dict[str, float] = {}
        for name, amount in own.items():
            for project in lineage(rows, name):
                used[project.name] = used.get(project.name, 0.0) + amount
        return {name: min(1.0, amount / (gpus * GPU)) for name, amount in used.items()}


class _DecayedUse:
    """milli-GPU that a project held in the mean, by use that fades with a half-life."""

    def __init__(self) -> None:
        self._settled: dict[str, float] = {}
        self._settled_at: float | None = None
        self._known: dict[str, float] = {}
        self._known_at: float | None = None

    def by_project(self, db: Session, now: float, half_life_s: float) -> dict[str, float]:
        """Without those below it. Worked out anew when it is a minute old."""
        if self._known_at is None or not 0 <= now - self._known_at <= _REFRESH_S:
            self._settle(db, now, half_life_s)
            assert self._settled_at is not None
            fade = _weight(self._settled_at, now, half_life_s)
            known = {name: amount * fade for name, amount in self._settled.items()}
            for later in _not_ended(self._settled_at):
                _add(db, known, later, now, half_life_s)
            self._known, self._known_at = known, now
        return self._known

    def _settle(self, db: Session, now: float, half_life_s: float) -> None:
        """Bring the sum of what has ended forward; afresh if the clock was put back."""
        before, until = self._settled_at, now - _SETTLED_S
        if before is None or until < before:
            before, settled = until - _HALF_LIVES * half_life_s, {}
        else:
            fade = _weight(before, until, half_life_s)
            settled = {name: amount * fade for name, amount in self._settled.items()}
        _add(db, settled, _ended(before, until), until, half_life_s)
        self._settled, self._settled_at = settled, until


def _add(
    db: Session, to: dict[str, float], which: ColumnElement[bool], at: float, half_life_s: float
) -> None:
    """Add runs as they weigh at ``at``: the integral of their faded use, per half-life / ln 2."""
    query = select(RunRow.project, RunRow.gpu_milli, RunRow.started_at, RunRow.ended_at)
    for project, milli, started_at, ended_at in db.execute(query.where(which)):
        end = at if ended_at is None else min(ended_at, at)
        begin = min(started_at, end)
        amount = milli * (_weight(end, at, half_life_s) - _weight(begin, at, half_life_s))
        to[project] = to.get(project, 0.0) + amount


def _weight(then: float, now: float, half_life_s: float) -> float:
    return float(2.0 ** ((then - now) / half_life_s))


def _ended(after: float | None, until: float) -> ColumnElement[bool]:
    used = and_(RunRow.gpu_milli > 0, RunRow.ended_at <= until)
    return used if after is None else and_(used, RunRow.ended_at > after)


def _not_ended(until: float) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Asked for one by one: for both at once no index would be used."""
    used = RunRow.gpu_milli > 0
    return and_(used, RunRow.ended_at.is_(None)), and_(used, RunRow.ended_at > until)


def _gpus(db: Session) -> int:
    """GPUs of the site that work."""
    query = (
        select(func.count())
        .select_from(DeviceRow)
        .join(NodeRow, NodeRow.name == DeviceRow.node)
        .where(DeviceRow.problem == "", NodeRow.problem == "")
    )
    return db.scalar(query) or 0

"""The first page of a project: what it holds of its quota, now and over the term, and who waits."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from typing import Any

from sqlalchemy.orm import Session

from hub_ext.db.models import ProjectRow
from hub_ext.projects import desk
from hub_ext.projects.membership import Role
from hub_ext.projects.periods import Period, latest
from hub_ext.projects.permissions import Action, may
from hub_ext.projects.report import term_of
from hub_ext.projects.shares import quota_now
from hub_ext.projects.tree import with_below
from hub_ext.projects.usage import gpu_hours
from hub_ext.projects.use_over_time import use_over_time
from hub_ext.scheduling.model import UNLIMITED
from hub_ext.sessions.class_over import marked
from hub_ext.sessions.views import session_json
from hub_ext.web.pages.projects import ProjectPage, amounts
from hub_ext.web.translation import gettext as _

_WAITING_SHOWN = 50
_IDLE_SHOWN = 50
_TOP = 10
_STEPS = 60
_LEAST_STEP_S = 600.0
"""A term that has just begun is not cut into seconds."""


class OverviewPage(ProjectPage):
    """As far as the caller's role goes."""

    def get(self, name: str) -> None:
        """``part=1``: only what changes by itself."""
        row, by = self.opened(name)
        now = time.time()
        with self.site.database.transaction() as db:
            names = with_below(db, name)
            context = self._of_all(db, row, names, now)
            if may(by.role, Action.REPORT):
                context |= self._of_class(db, row, names, now)
        instructors = self.site.projects.roster.members(name, role=Role.INSTRUCTOR)
        self.show_project(
            "project_now.html" if self.is_part else "project.html",
            row,
            by,
            tab="",
            instructors=[each.user for each in instructors],
            quota_now=amounts(quota_now(row, now, self._tz), self._per_gpu),
            **context,
        )

    @property
    def _tz(self) -> Any:
        return self.site.policy.timezone

    @property
    def _per_gpu(self) -> int:
        return self.site.policy.unit.per_gpu

    def _of_all(
        self, db: Session, row: ProjectRow, names: Collection[str], now: float
    ) -> dict[str, Any]:
        """What members see too."""
        since, until = term_of(row, now)
        return {
            "today": self._plot(db, row, names, latest("day", now, self._tz), now),
            "term": self._plot(db, row, names, _term_period(since, until), now),
            "since": since,
            "budget_used": gpu_hours(db, [row.name], now)[row.name] * self._per_gpu,
        }

    def _plot(
        self, db: Session, row: ProjectRow, names: Collection[str], period: Period, now: float
    ) -> dict[str, Any]:
        """What it held in the mean, with the quota as it is now."""
        use = use_over_time(db, period, now, projects=names)
        held: list[float | None] = [0.0 if begin < now else None for begin in period.times]
        for name in use.projects:
            held = [
                None if mine is None else (so_far or 0.0) + mine * self._per_gpu
                for so_far, mine in zip(held, use.mean(name), strict=True)
            ]
        series: list[dict[str, Any]] = [{"label": _("held"), "values": _rounded(held)}]
        quota = quota_now(row, now, self._tz).gpu_milli
        if quota != UNLIMITED:
            line = [quota / 1000 * self._per_gpu] * period.steps
            series.append({"label": _("quota"), "values": line, "line": True})
        return {"times": period.times, "unit": "fGPU", "kind": "area", "series": series}

    def _of_class(
        self, db: Session, row: ProjectRow, names: Collection[str], now: float
    ) -> dict[str, Any]:
        """What an instructor looks at in class."""
        activity = self.parts.activity
        activity.watch()
        waiting, total = desk.waiting(db, names, _WAITING_SHOWN)
        since, until = term_of(row, now)
        top = desk.top_users(db, names, since, until, now, _TOP)
        ending = marked(db, names)
        return {
            "waiting": [session_json(self.site, each) for each in waiting],
            "waiting_total": total,
            "idle": [
                {"session": session_json(self.site, each.row), "since": each.since}
                for each in desk.idle(db, names, activity.of, now)[:_IDLE_SHOWN]
            ],
            "activity_known": activity.known,
            "top_users": [(user, hours * self._per_gpu) for user, hours in top],
            "ending": len(ending),
            "ends_at": ending[-1].ends_at if ending else None,
        }


def _term_period(since: float, until: float) -> Period:
    """The term up to now in equal steps, of which none is too short."""
    steps = max(1, min(_STEPS, math.ceil((until - since) / _LEAST_STEP_S)))
    return Period(min(since, until - _LEAST_STEP_S), until, steps)


def _rounded(values: list[float | None]) -> list[float | None]:
    return [None if value is None else round(value, 3) for value in values]

"""An instructor's further pages of a project: messages, the end of the class, report, audit."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy.orm import Session

from hub_ext import announcements
from hub_ext.projects import audit
from hub_ext.projects.limits import LARGEST
from hub_ext.projects.periods import Period
from hub_ext.projects.permissions import Action
from hub_ext.projects.report import Report, report_csv, report_of
from hub_ext.projects.tree import with_below
from hub_ext.projects.use_over_time import use_over_time
from hub_ext.projects.views import audit_json
from hub_ext.sessions.class_over import live_of, marked
from hub_ext.web.api.announcements import announcement_json
from hub_ext.web.audit_text import sentences
from hub_ext.web.pages.projects import ProjectPage
from hub_ext.web.translation import gettext as _

_MESSAGES_SHOWN = 100
_AUDIT_PER_PAGE = 50
_WEEK_S = 7 * 86400.0
_MOST_BARS = 60


class MessagesPage(ProjectPage):
    """What members are told."""

    def get(self, name: str) -> None:
        """The newest first, with a form for the next one."""
        row, by = self.opened(name, Action.ANNOUNCE)
        now = time.time()
        with self.site.database.transaction() as db:
            rows = announcements.all_of(db, name, _MESSAGES_SHOWN)
            messages = [announcement_json(each, now) for each in rows]
        self.show_project(
            "project_messages.html",
            row,
            by,
            tab="messages",
            messages=messages,
            longest=announcements.LONGEST,
        )


class StopPage(ProjectPage):
    """The end of the class: what would be stopped, and how."""

    def get(self, name: str) -> None:
        """With numbers, also of the projects below."""
        row, by = self.opened(name, Action.END)
        with self.site.database.transaction() as db:
            names = with_below(db, name)
            live, others = live_of(db, names), live_of(db, names, by.user)
            ending = marked(db, names)
        self.show_project(
            "project_stop.html",
            row,
            by,
            tab="stop",
            live=live,
            own=live.count - others.count,
            below=len(names) - 1,
            ending=len(ending),
            ends_at=ending[-1].ends_at if ending else None,
            warning_s=self.site.policy.ending_warning_s,
        )


class ReportPage(ProjectPage):
    """The report on the term, to read, print and save."""

    def get(self, name: str) -> None:
        """By user, the most use first."""
        row, by = self.opened(name, Action.REPORT)
        now = time.time()
        with self.site.database.transaction() as db:
            found = report_of(db, row, now)
            plot = self._plot(db, found, with_below(db, name), now)
        per_gpu = self.site.policy.unit.per_gpu
        users = sorted(found.users, key=lambda each: (-each.gpu_hours, -each.sessions, each.user))
        self.show_project(
            "project_report.html",
            row,
            by,
            tab="report",
            report=found,
            users=users,
            per_gpu=per_gpu,
            plot_data=plot,
        )

    def _plot(self, db: Session, found: Report, names: list[str], now: float) -> dict[str, Any]:
        """fGPU-hours week by week; of a short term, by equal parts."""
        length = max(found.until - found.since, 1.0)
        steps = min(_MOST_BARS, max(1, round(length / _WEEK_S)))
        period = Period(found.until - length, found.until, steps)
        use = use_over_time(db, period, now, projects=names)
        hours = period.step_s / 3600 * self.site.policy.unit.per_gpu
        totals = [0.0] * steps
        for name in use.projects:
            for step, mean in enumerate(use.mean(name)):
                totals[step] += (mean or 0.0) * hours
        series = [{"label": _("fGPU-hours"), "values": [round(each, 3) for each in totals]}]
        return {"times": period.times, "unit": _("fGPU-hours"), "kind": "bar", "series": series}


class ReportCsv(ProjectPage):
    """The same to save."""

    def get(self, name: str) -> None:
        """One line a user."""
        row, _by = self.opened(name, Action.REPORT)
        with self.site.database.transaction() as db:
            found = report_of(db, row, time.time())
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="{name}-report.csv"')
        self.set_header("Cache-Control", "no-store")
        self.finish("\ufeff" + report_csv(found, self.site.policy.unit))


class AuditPage(ProjectPage):
    """Who changed what."""

    def get(self, name: str) -> None:
        """The newest first; ``after``: below this entry."""
        row, by = self.opened(name, Action.AUDIT)
        after = self.whole_number("after", LARGEST, 0, LARGEST)
        with self.site.database.transaction() as db:
            rows = audit.entries(
                db,
                audit.Wanted(project=name),
                readable=[name],
                limit=_AUDIT_PER_PAGE + 1,
                below=after,
            )
        page = rows[:_AUDIT_PER_PAGE]
        unit = self.site.policy.unit
        self.show_project(
            "project_audit.html",
            row,
            by,
            tab="audit",
            entries=[audit_json(each) | {"said": sentences(each, unit)} for each in page],
            first=after == LARGEST,
            more=page[-1].id if len(rows) > _AUDIT_PER_PAGE else None,
        )

"""The dashboard: what there is, who holds it, who waits, and how it was used. For admins."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tornado import web

from hub_ext.db.models import DeviceRow
from hub_ext.errors import BadValue, NotFound
from hub_ext.fgpu import GPU_MILLI
from hub_ext.first_steps import first_steps
from hub_ext.nodes.groups import closed_groups, list_groups
from hub_ext.nodes.occupancy import IDLE_AFTER_S, Fleet, read_fleet
from hub_ext.projects.holdings import holdings
from hub_ext.projects.periods import NAMED
from hub_ext.projects.tree import Rows, read_projects
from hub_ext.sessions.queue_summary import live_counts, total, waiting
from hub_ext.sessions.status import Status
from hub_ext.web.dashboard import now as at_once
from hub_ext.web.dashboard import plots, wording
from hub_ext.web.dashboard.now import NodeFilter
from hub_ext.web.pages.page import Page
from hub_ext.web.translation import gettext as _

_USUAL_PERIOD = "day"
_LONGEST_FILTER = 100


class DashboardView(Page):
    """What the page and its live parts share."""

    section = "dashboard"

    async def prepare(self) -> None:
        """403 for everybody who is no admin."""
        await super().prepare()
        if not self._finished and not self.caller.admin:
            raise web.HTTPError(403, _("Only an admin sees the dashboard."))

    def node_filter(self) -> NodeFilter:
        """From the address; what cannot be is no filter."""
        group, node, view = (
            self.get_query_argument(name, "").strip()[:_LONGEST_FILTER]
            for name in ("group", "node", "view")
        )
        free = self.get_query_argument("free", "") == "1"
        return NodeFilter(group, node, free, view if view in {"cards", "strips"} else "")

    def period(self) -> str:
        """Name of a period. Raises BadValue."""
        name = self.get_query_argument("period", _USUAL_PERIOD)
        if name not in NAMED:
            known = ", ".join(NAMED)
            message = _("'period' is one of %(periods)s.") % {"periods": known}
            raise BadValue(message, field="period")
        return name

    def project(self, rows: Rows) -> str:
        """The one whose use is shown; "": all. Raises NotFound."""
        name = self.get_query_argument("project", "")
        if name and name not in rows:
            raise NotFound(_("There is no such project."))
        return name

    async def now(self) -> dict[str, Any]:
        """What changes from moment to moment."""
        self.parts.activity.watch()
        busy = await self.site.readings.busy(self.site.nodes.values())
        wanted, policy, moment = self.node_filter(), self.site.policy, time.time()
        with self.site.database.transaction() as db:
            rows = read_projects(db)
            closed = closed_groups(db, moment, policy.timezone)
            fleet = read_fleet(db, closed, moment, self.parts.activity.of, busy)
            groups, own, held = waiting(db), live_counts(db), holdings(db, rows)
            names = [group.name for group in list_groups(db)]
        nodes = [node for node in fleet.nodes if wanted.lets_through(node)]
        strips, colours = wanted.strips(len(nodes)), plots.colours(rows)
        lines = at_once.project_lines(rows, own, held, policy.unit, moment, policy.timezone)
        return {
            **self._headline(fleet, own),
            "gpus": at_once.gpu_totals(fleet, policy.unit),
            "activity_known": self.parts.activity.known,
            "idle_minutes": round(IDLE_AFTER_S / 60),
            "nodes": at_once.node_cards(nodes, policy.unit, colours, in_full=not strips),
            "nodes_in_all": len(fleet.nodes),
            "strips": strips,
            "groups": names,
            "wanted": wanted,
            "queue": at_once.queue_lines(groups[: at_once.REASONS_SHOWN], policy.unit, moment),
            "reasons_left_out": len(groups[at_once.REASONS_SHOWN :]),
            "waiting_otherwise": total(groups[at_once.REASONS_SHOWN :]),
            "projects": lines,
            "projects_left_out": len(own) - len(lines),
        }

    def _headline(self, fleet: Fleet, own: Any) -> dict[str, Any]:
        counts = dict.fromkeys(Status, 0)
        for statuses in own.values():
            for status, count in statuses.items():
                counts[Status(status)] += count
        pending = counts.pop(Status.PENDING)
        return {
            "running": counts[Status.RUNNING],
            "on_the_way": sum(counts.values()) - counts[Status.RUNNING],
            "pending": pending,
            "nodes_out": [node for node in fleet.nodes if node.reason],
        }

    def over_time(self) -> dict[str, Any]:
        """The plots of the period, and their numbers."""
        name, policy, moment = self.period(), self.site.policy, time.time()
        with self.site.database.transaction() as db:
            rows = read_projects(db)
            project = self.project(rows)
            use = self.site.use.latest(db, name, moment, policy.timezone)
            waits, steps = self.site.waits.over(db, use.period, moment)
            capacity = policy.unit.fgpu(_devices_milli(db))
        plot = plots.use_plot(
            use, rows, policy.unit, policy.timezone, project=project, capacity=capacity
        )
        return {
            "period": name,
            "periods": _periods(),
            "project": project,
            "use_plot": plot,
            "used": any(not series["line"] for series in plot["series"]),
            "waiting_plot": plots.waiting_plot(use.period, steps),
            "waits": waits,
            "duration": wording.duration,
        }


class DashboardPage(DashboardView):
    """All of it."""

    async def get(self) -> None:
        """``group``, ``node``, ``free``, ``view``: which nodes, and how; ``period``, ``project``:
        whose use, since when."""
        self.show(
            "dashboard.html",
            **await self.now(),
            **self.over_time(),
            first_steps=await first_steps(self.site, self.caller.name),
            percent=wording.percent,
        )


class DashboardNow(DashboardView):
    """The live part: numbers, nodes, queue, projects."""

    async def get(self) -> None:
        """With the filters of the page."""
        self.show("dashboard_now.html", **await self.now(), percent=wording.percent)


class DashboardOverTime(DashboardView):
    """The part with the plots, which is asked for once a minute."""

    async def get(self) -> None:
        """With the period and the project of the page."""
        self.show("dashboard_over_time.html", **self.over_time())


def _periods() -> dict[str, str]:
    """Names that readers see."""
    return {
        "hour": _("Hour"),
        "day": _("Day"),
        "week": _("Week"),
        "month": _("Month"),
        "year": _("Year"),
    }


def _devices_milli(db: Session) -> int:
    return GPU_MILLI * (db.scalar(select(func.count()).select_from(DeviceRow)) or 0)

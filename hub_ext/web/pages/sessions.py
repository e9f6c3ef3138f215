"""The Sessions page."""

from __future__ import annotations

from typing import Any

from hub_ext.db.models import SessionRow
from hub_ext.sessions.status import ENDED, LIVE, Status
from hub_ext.sessions.views import server_path, session_json
from hub_ext.web.pages.page import Page
from hub_ext.web.templating import BASE_URL, clock

_ENDED_SHOWN = 20

_COLOURS = {
    Status.PENDING: "warning",
    Status.SCHEDULED: "info",
    Status.PREPARING: "info",
    Status.STARTING: "info",
    Status.RUNNING: "success",
    Status.PREEMPTED: "warning",
    Status.TERMINATING: "secondary",
    Status.ERROR: "danger",
}


class SessionsTable(Page):
    """The live part of the Sessions page."""

    section = ""

    template = "sessions_table.html"

    def get(self) -> None:
        """Live sessions in the order of the queue, then those that ended last."""
        everybody = self.caller.admin and self.get_query_argument("all", "") == "1"
        user = None if everybody else self.caller.name
        live = self.site.store.find(user=user, statuses=LIVE)
        ended = self.site.store.find(user=user, statuses=ENDED, limit=_ENDED_SHOWN)
        self.show(
            self.template,
            live=[card(self, row) for row in sorted(live, key=_queue_order)],
            ended=[card(self, row) for row in ended],
            everybody=everybody,
            admin=self.caller.admin,
        )


class SessionsPage(SessionsTable):
    """The Sessions page."""

    template = "sessions.html"


def _queue_order(row: SessionRow) -> tuple[int, int]:
    """Waiting ones by position, above them what runs, the newest first."""
    return (row.position or 0, -row.order)


def card(page: Page, row: SessionRow) -> dict[str, Any]:
    """A session with what only pages need."""
    card = session_json(page.site, row)
    return card | {
        "colour": _COLOURS.get(Status(row.status), "secondary"),
        "path": BASE_URL.rstrip("/") + server_path(row),
        "started": clock(row.running_at),
        "submitted": clock(row.submitted_at),
        "ended": clock(row.ended_at),
        "stops": clock(row.stops_at),
        "cancellable": row.status in {Status.PENDING, Status.SCHEDULED},
        "stoppable": row.status in {Status.PREPARING, Status.STARTING, Status.RUNNING},
        "live": row.ended_at is None,
        "simulated": any(part.simulated for part in row.slices),
    }

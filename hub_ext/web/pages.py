"""Pages of the service: server-rendered, kept up to date by htmx and server-sent events."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from tornado import web

from hub_ext.db.models import SessionRow
from hub_ext.errors import ApportionError
from hub_ext.sessions.status import ENDED, LIVE, Status
from hub_ext.sessions.views import about, ordinal, server_path, session_json
from hub_ext.web.base import BaseHandler
from hub_ext.web.launch_form import BASE_URL, STATIC_URL, templates
from hub_ext.web.navigation import image_requests_waiting, invitations_waiting

log = logging.getLogger(__name__)

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


class Page(BaseHandler):
    """A page behind the hub's login."""

    async def prepare(self) -> None:
        """Without login: to the hub and back here."""
        if await self.identify():
            return
        if self.request.method == "GET" and "HX-Request" not in self.request.headers:
            self.redirect(self.get_login_url())
            return
        raise web.HTTPError(403, "Log in again.")

    def show(self, name: str, **context: Any) -> None:
        """Render a template. Pages are never cached: they are about now."""
        self.set_header("Cache-Control", "no-store")
        self.finish(
            templates.get_template(name).render(
                user=self.current_user,
                static_url=STATIC_URL,
                xsrf_token=(self.xsrf_token or b"").decode() if self.current_user else "",
                about=about,
                ordinal=ordinal,
                **self._waiting(),
                **context,
            )
        )

    def _waiting(self) -> dict[str, int]:
        """For the navigation; an error page must not fail for it."""
        nothing = {"invitations_waiting": 0, "image_requests_waiting": 0}
        if not self.current_user:
            return nothing
        try:
            database, caller = self.site.database, self.caller
            return {
                "invitations_waiting": invitations_waiting(database, caller.name),
                "image_requests_waiting": image_requests_waiting(database) if caller.admin else 0,
            }
        except SQLAlchemyError:
            log.warning("No numbers for the navigation", exc_info=True)
            return nothing

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A page that says what is wrong, with a way back."""
        error = kwargs.get("exc_info", (None, None))[1]
        message = "Something went wrong here."
        if isinstance(error, ApportionError):
            status_code, message = error.status, error.message
        elif isinstance(error, web.HTTPError) and status_code < 500:
            message = error.log_message or self._reason
        self.set_status(status_code)
        self.show("error.html", status=status_code, message=message)


class SessionsTable(Page):
    """The live part of the Sessions page."""

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


class NotFoundPage(Page):
    """Everything else."""

    async def prepare(self) -> None:
        """404, whoever asks."""
        self._hub_auth_user_cache = None
        raise web.HTTPError(404, "There is nothing here.")


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


def clock(at: float | None) -> str:
    """ISO time in UTC for the page's script, which shows it in the reader's own zone."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")

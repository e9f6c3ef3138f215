"""Forms about one session: stop, cancel, extend, keep, change; and the way to a port of it."""

from __future__ import annotations

from typing import Any

from tornado import web

from hub_ext.errors import BadValue, Conflict
from hub_ext.sessions.keeping import keep
from hub_ext.sessions.launch import MAX_PRIORITY
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why, is_live
from hub_ext.sessions.views import server_path, session_json
from hub_ext.web.api.sessions import SessionHandler
from hub_ext.web.pages.forms import Form
from hub_ext.web.pages.page import Page
from hub_ext.web.pages.session_words import span
from hub_ext.web.templating import BASE_URL
from hub_ext.web.translation import gettext as _

_HIGHEST_PORT = 65535


class SessionForm(Form, SessionHandler):
    """A change of one session; it leads back to the page that it is on."""

    async def post(self, session_id: str) -> None:
        """As PATCH of the API."""
        self.patch(session_id)


class StopForm(SessionForm):
    """Stop or cancel. One that has ended meanwhile is told of, and is no error."""

    async def post(self, session_id: str) -> None:
        """As DELETE of the API."""
        row, who = self.visible_session(session_id), self.caller.name
        self._was = Status(row.status)
        if not is_live(row):
            self.reply(session_json(self.site, row))
            return
        verb = "Cancelled" if row.status == Status.PENDING else "Stopped"
        try:
            row = self.parts.launcher.stop(row.id, Why(f"{verb} by {who}.", "stopped"), by=who)
        except Conflict:  # it has ended just now
            row = self.site.store.get(row.id)
            if is_live(row):
                raise
        self.reply(session_json(self.site, row))

    def done(self, value: dict[str, Any]) -> list[str]:
        """What has become of it."""
        if self._was not in {Status.PENDING, Status.SCHEDULED} and value["ended_at"] is None:
            return [_("%(name)s is being stopped.") % value]
        if value["status"] == Status.CANCELLED:
            return [_("%(name)s is cancelled.") % value]
        return [_("%(name)s had ended already.") % value]


class ExtendForm(SessionForm):
    """A longer (or shorter) lifetime. ``from``: what the form has shown, in seconds.

    ``more``: so many hours on top of that; else ``hours``: in all, from its start. Sent twice,
    it is the same lifetime; sent from an old page, it changes nothing.
    """

    async def post(self, session_id: str) -> None:
        """As PATCH of the API, for a form that is not out of date."""
        row, wanted = self.visible_session(session_id), self.values()["lifetime_s"]
        shown = self.get_body_argument("from", "")
        if str(row.lifetime_s) not in {shown, str(wanted)}:
            now = _("no end") if row.lifetime_s is None else span(row.lifetime_s)
            raise Conflict(
                _("Its lifetime has been changed meanwhile; it is %(lifetime)s now. Look again.")
                % {"lifetime": now},
                field="lifetime_s",
            )
        self.patch(session_id)

    def values(self) -> dict[str, Any]:
        """Raises BadValue."""
        more = self.get_body_argument("more", "")
        if more:
            hours, start = more, self._number("from")
        else:
            hours, start = self.get_body_argument("hours", ""), 0.0
        return {"lifetime_s": round(start + 3600 * self._read(hours, "lifetime_s"))}

    def _number(self, name: str) -> float:
        return self._read(self.get_body_argument(name, ""), name)

    def _read(self, text: str, field: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0 < number < 1e8:
            raise BadValue(_("Say for how many hours, as a number such as 4."), field=field)
        return number

    def done(self, value: dict[str, Any]) -> list[str]:
        """How long it may last."""
        text = _("%(name)s lasts %(time)s from its start.")
        return [text % {"name": value["name"], "time": span(value["lifetime_s"])}]


class KeepForm(SessionForm):
    """It was warned as idle, and is in use."""

    async def post(self, session_id: str) -> None:
        """Raises Conflict when there is no such warning."""
        row = self.visible_session(session_id)
        row = keep(self.site, self.parts.activity, row.id, by=self.caller.name)
        self.reply(session_json(self.site, row))

    def done(self, value: dict[str, Any]) -> list[str]:
        """What has become of the warning."""
        return [_("%(name)s is kept: it counts as used from now on.") % value]


class ChangeForm(SessionForm):
    """Priority, whether it may be reclaimed, whether it then goes back to the queue."""

    def values(self) -> dict[str, Any]:
        """Only what the form has; a box that is not ticked is sent as its hidden "0"."""
        found: dict[str, Any] = {}
        priority = self.get_body_argument("priority", None)
        if priority is not None:
            found["priority"] = _whole(priority)
        for name in ("preemptible", "requeue"):
            ticked = self.get_body_arguments(name)
            if ticked:
                found[name] = ticked[-1] == "1"
        return found

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is kept."""
        return [_("%(name)s is changed.") % value]


class PortLink(Page):
    """To a port of one's own session, through jupyter-server-proxy."""

    section = ""

    def get(self, session_id: str) -> None:
        """``number``: the port. Raises BadValue, NotFound."""
        row = self.visible_session(session_id)
        text = self.get_query_argument("number", "")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
        if not 1 <= number <= _HIGHEST_PORT:
            raise BadValue(_("A port is a number from 1 to 65535."), field="number")
        if row.user != self.caller.name:
            raise web.HTTPError(403, _("Only its user can open a session."))
        if row.status != Status.RUNNING:
            raise Conflict(_("The session does not run, so no port of it can be opened."))
        self.redirect(f"{BASE_URL.rstrip('/')}{server_path(row)}proxy/{number}/")


def _whole(text: str) -> int:
    """Raises BadValue."""
    digits = text.strip().removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6):
        message = _("A priority is a whole number from %(low)s to %(high)s.")
        raise BadValue(message % {"low": -MAX_PRIORITY, "high": MAX_PRIORITY}, field="priority")
    return int(text)

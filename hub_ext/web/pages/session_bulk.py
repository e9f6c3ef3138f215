"""Stopping several sessions: which ones, once more; one form; what has become of each."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlencode

from hub_ext.db.models import SessionRow
from hub_ext.errors import BadValue, Conflict, NotFound
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why, is_live
from hub_ext.web.pages.forms import Form
from hub_ext.web.pages.page import Page
from hub_ext.web.pages.session_card import cards, is_stoppable
from hub_ext.web.templating import ROOT
from hub_ext.web.translation import gettext as _
from hub_ext.web.translation import ngettext

MOST = 100
"""Sessions of one form."""
_ID = re.compile(r"[0-9a-f]{32}")
_LIST = re.compile(r"[\w.%&=+*:~-]{0,2000}", re.ASCII)


class _Several(Page):
    """A page about the sessions that are named in the address or the form."""

    section = ""

    def ids(self) -> list[str]:
        """Each once. ``page``, several with commas, goes before ticked ones. Raises BadValue."""
        given = self.get_argument("page", "").split(",") if self.get_argument("page", "") else []
        given = given or self.get_arguments("id")
        found = list(dict.fromkeys(each for each in given if _ID.fullmatch(each)))
        if not found:
            raise BadValue(_("Tick the sessions that are to be stopped."), field="id")
        if len(found) > MOST:
            text = _("So many sessions at most can be stopped at once: %(number)s.")
            raise BadValue(text % {"number": MOST}, field="id")
        return found

    def visible(self, ids: Sequence[str]) -> list[SessionRow]:
        """Those of them that the caller may see, in this order."""
        found = []
        for session_id in ids:
            try:
                found.append(self.visible_session(session_id))
            except NotFound:
                continue
        return found

    @property
    def list_query(self) -> str:
        """Of the list that the reader comes from; "" when it is none."""
        text = self.get_argument("list", "")
        return text if _LIST.fullmatch(text) else ""


class StopSeveralPage(Form, _Several):
    """How many, and whose; the form stops them all, and one that cannot be holds up no other."""

    def get(self, *ids: str) -> None:
        """Nothing is changed yet."""
        rows = self.visible(self.ids())
        with self.site.database.transaction() as db:
            shown = cards(self, db, rows)
        self.show(
            "sessions_stop.html",
            sessions=[session for session in shown if is_stoppable(session)],
            others=[session for session in shown if not is_stoppable(session)],
            users=len({session["user"] for session in shown if is_stoppable(session)}),
            list=self.list_query,
        )

    async def post(self) -> None:
        """Each by itself; again for the same ones it changes nothing more."""
        ids = self.ids()
        rows = self.visible(ids)
        outcomes: Counter[str] = Counter(unknown=len(ids) - len(rows))
        for row in rows:
            outcomes[self._stop(row)] += 1
            await asyncio.sleep(0)  # others are served in between
        self.say(_sentences(outcomes))
        query = urlencode({"id": ids, "list": self.list_query}, doseq=True)
        self.redirect(f"{ROOT}sessions/stopped?{query}", status=303)

    def _stop(self, row: SessionRow) -> str:
        """Returns what has become of it."""
        who = self.caller.name
        waited = row.status == Status.PENDING
        why = Why(f"{'Cancelled' if waited else 'Stopped'} by {who}.", "stopped")
        if not is_live(row):
            return "ended"
        try:
            row = self.parts.launcher.stop(row.id, why, by=who)
        except (Conflict, NotFound):
            return "moving" if is_live(self.site.store.get(row.id)) else "ended"
        return "cancelled" if row.status == Status.CANCELLED else "stopping"


class StoppedPage(_Several):
    """What has become of each."""

    def get(self) -> None:
        """As it is now; a reload changes nothing."""
        ids = self.ids()
        rows = self.visible(ids)
        with self.site.database.transaction() as db:
            shown = cards(self, db, rows)
        part = self.request.headers.get("HX-Target") == "stopped"  # it is renewed
        self.show(
            "sessions_stopped.html",
            sessions=shown,
            ids=ids,
            said=[] if part else self.said(),
            list=self.list_query,
            admin=self.caller.admin,
        )


def _sentences(outcomes: Counter[str]) -> list[str]:
    """One a kind, with the number."""
    texts = {
        "stopping": lambda n: ngettext(
            "%(number)s session is being stopped.", "%(number)s sessions are being stopped.", n
        ),
        "cancelled": lambda n: ngettext(
            "%(number)s session is cancelled.", "%(number)s sessions are cancelled.", n
        ),
        "ended": lambda n: ngettext(
            "%(number)s session had ended already.", "%(number)s sessions had ended already.", n
        ),
        "moving": lambda n: ngettext(
            "%(number)s session is changing right now; try it again.",
            "%(number)s sessions are changing right now; try them again.",
            n,
        ),
        "unknown": lambda n: ngettext(
            "%(number)s session is not there, or not yours to stop.",
            "%(number)s sessions are not there, or not yours to stop.",
            n,
        ),
    }
    return [
        text(outcomes[kind]) % {"number": outcomes[kind]}
        for kind, text in texts.items()
        if outcomes[kind]
    ]

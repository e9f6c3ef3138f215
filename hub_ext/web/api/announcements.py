"""``/api/v1/announcements``: what everybody is told; admins tell it."""

from __future__ import annotations

import time
from typing import Any

from hub_ext import announcements
from hub_ext.announcements import NewAnnouncement
from hub_ext.db.announcement_models import AnnouncementRow
from hub_ext.web.api.administration import AdminApiHandler

_MOST = 500


class AnnouncementsHandler(AdminApiHandler):
    """Announcements."""

    for_admins = "Only an admin tells something to everybody."

    def get(self) -> None:
        """What the caller is shown, newest first. ``all=1``: all to everybody (admin)."""
        caller, now = self.caller, time.time()
        everything = self.get_query_argument("all", "") == "1"
        limit = self.whole_number("limit", 100, 1, _MOST)
        if everything:
            self.require_admin()
        roles = self.roles()
        with self.site.database.transaction() as db:
            if everything:
                rows = announcements.all_of(db, None, limit)
            else:
                rows = announcements.shown_to(db, caller.name, roles, now)
        self.reply({"announcements": [announcement_json(row, now) for row in rows]})

    def post(self) -> None:
        """Tell everybody (admin)."""
        new = self.read(NewAnnouncement)
        with self.site.database.transaction() as db:
            row = announcements.announce(db, new, None, self.caller.name)
        self.reply(announcement_json(row, time.time()), 201)


class AnnouncementHandler(AdminApiHandler):
    """One of them."""

    for_admins = "Only an admin takes back what everybody is told."

    def delete(self, announcement_id: str) -> None:
        """Show it to nobody any more (admin); it stays in the list of all."""
        self.require_admin()
        with self.site.database.transaction() as db:
            row = announcements.one(db, int(announcement_id))
            announcements.take_back(db, row, self.caller.name)
        self.reply(announcement_json(row, time.time()))


def announcement_json(row: AnnouncementRow, now: float) -> dict[str, Any]:
    """``state``: shown, expired or taken_back."""
    columns = ("id", "at", "by", "project", "level", "text", "until", "ended_at")
    shown = {column: getattr(row, column) for column in columns}
    return {**shown, "state": announcements.state_at(row, now)}

"""The page of announcements to everybody: write, look at it first, take back."""

from __future__ import annotations

import time
from datetime import datetime, tzinfo
from typing import Any

from hub_ext import announcements
from hub_ext.announcements import NewAnnouncement
from hub_ext.errors import BadValue
from hub_ext.projects.body import read_body
from hub_ext.web.api.announcements import (
    AnnouncementHandler,
    AnnouncementsHandler,
    announcement_json,
)
from hub_ext.web.pages.admin import ADMIN, AdminForm, AdminPage
from hub_ext.web.translation import gettext as _

ANNOUNCEMENTS = f"{ADMIN}/announcements"
_SHOWN = 50
_EMPTY = {"text": "", "level": "info", "until": ""}


class _Listing(AdminPage):
    """The form, and all that were made."""

    part = "admin/announcements"

    def show_announcements(self, **context: Any) -> None:
        """As the whole page."""
        self.show_part(
            "admin_announcements.html",
            announcements=self.listed(),
            longest=announcements.LONGEST,
            timezone=_zone(self.site.policy.timezone),
            **context,
        )

    def listed(self) -> list[dict[str, Any]]:
        """Those to everybody, the newest first, ended ones too."""
        with self.site.database.transaction() as db:
            rows = announcements.all_of(db, None, _SHOWN)
        return [announcement_json(row, time.time()) for row in rows]


class AnnouncementsPage(_Listing):
    """The page."""

    def get(self) -> None:
        """With an empty form."""
        self.show_announcements(typed=_EMPTY, preview=None)


class AnnouncementsList(_Listing):
    """The live part."""

    def get(self) -> None:
        """As a part of the page."""
        self.show("admin_announcements_list.html", announcements=self.listed())


class AnnounceForm(AdminForm, AnnouncementsHandler):
    """Tell it to everybody."""

    home = ANNOUNCEMENTS

    def next(self, value: dict[str, Any]) -> str:
        """To the list."""
        return ANNOUNCEMENTS

    def typed(self) -> dict[str, str]:
        """The fields as they were sent."""
        return {name: self.get_body_argument(name, empty) for name, empty in _EMPTY.items()}

    def values(self) -> dict[str, Any]:
        """``until`` is a time of the site's clock. Raises BadValue."""
        typed = self.typed()
        if not typed["text"]:
            raise BadValue(_("Write what is to be announced."), field="text")
        until = self._instant(typed["until"]) if typed["until"] else None
        return {**typed, "until": until}

    def _instant(self, text: str) -> float:
        try:
            when = datetime.strptime(text[:16], "%Y-%m-%dT%H:%M")
            return when.replace(tzinfo=self.site.policy.timezone).timestamp()
        except (ValueError, OverflowError):
            words = {"value": text[:40]}
            raise BadValue(
                _("Until: '%(value)s' is no time such as 2026-10-31T18:00.") % words, field="until"
            ) from None

    def done(self, value: dict[str, Any]) -> list[str]:
        """Who sees it."""
        return [_("Everybody sees it now, until they put it away.")]


class PreviewForm(_Listing, AnnounceForm):
    """The page again, with what was typed as others would see it. Nothing is kept of it."""

    def post(self) -> None:
        """Raises BadValue."""
        new = read_body(NewAnnouncement, self.values())
        announcements.check_until(new, time.time())
        self.show_announcements(typed=self.typed(), preview=new)


class TakeBackForm(AdminForm, AnnouncementHandler):
    """Nobody sees it any more."""

    home = ANNOUNCEMENTS

    def post(self, announcement_id: str) -> None:
        """As DELETE of the API."""
        self.delete(announcement_id)

    def next(self, value: dict[str, Any]) -> str:
        """To the list."""
        return ANNOUNCEMENTS

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is gone."""
        return [_("It is taken back: nobody sees it any more.")]


def _zone(timezone: tzinfo) -> str:
    """As in "JST, UTC+09:00"."""
    now = datetime.now(timezone)
    name, offset = now.tzname() or "", now.strftime("%z")
    return name if name == "UTC" else f"{name}, UTC{offset[:3]}:{offset[3:5]}"

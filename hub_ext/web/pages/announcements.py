"""Announcements as every page shows them; they are made on the admin's and instructors' pages."""

from __future__ import annotations

from hub_ext import announcements
from hub_ext.web.pages.forms import Form
from hub_ext.web.pages.page import Page


class AnnouncementsShown(Page):
    """The live part of every page."""

    def get(self) -> None:
        """What the caller has not put away."""
        self.show("announcements_shown.html")


class DismissForm(Form):
    """Put one away."""

    def post(self, announcement_id: str) -> None:
        """For the caller alone."""
        with self.site.database.transaction() as db:
            announcements.dismiss(db, int(announcement_id), self.caller.name)
        self.reply({})

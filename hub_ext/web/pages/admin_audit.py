"""The page of the audit log: search, pages of 50, and all that was found as CSV."""

from __future__ import annotations

from urllib.parse import urlencode

from hub_ext.projects.limits import LARGEST
from hub_ext.web.api.audit import AuditReader
from hub_ext.web.audit_text import known_actions, sentences
from hub_ext.web.base import ApiHandler
from hub_ext.web.pages.admin import AdminPage

_PAGE = 50
_FILTERS = ("text", "by", "project", "action", "since", "until")


class AuditPage(AdminPage, AuditReader, ApiHandler):
    """The newest first."""

    part = "admin/audit"

    def get(self) -> None:
        """``below``: the id of the last entry that was shown; the filter as in the API."""
        below = self.whole_number("below", LARGEST, 0, LARGEST)
        rows = self.found(_PAGE + 1, below)
        page = rows[:_PAGE]
        filters = {name: self.get_query_argument(name, "") for name in _FILTERS}
        given = {name: value for name, value in filters.items() if value}
        older = {**given, "below": page[-1].id} if len(rows) > _PAGE else None
        self.show_part(
            "admin_audit.html",
            entries=[(row, sentences(row, self.site.policy.unit)) for row in page],
            filters=filters,
            query=urlencode(given),
            older=urlencode(older) if older else "",
            newest=below == LARGEST,
            actions=known_actions(),
        )


class AuditCsv(AdminPage, AuditReader):
    """A file."""

    async def get(self) -> None:
        """All that the filter finds."""
        await self.send_csv("\ufeff")  # spreadsheets know UTF-8 by this mark

"""``/api/v1/audit``: who changed what, as JSON by pages and as one CSV."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from tornado.iostream import StreamClosedError

from hub_ext.db.models import AuditRow
from hub_ext.errors import BadValue, Forbidden
from hub_ext.projects import audit
from hub_ext.projects.audit import Wanted
from hub_ext.projects.limits import LARGEST
from hub_ext.projects.permissions import Action, may
from hub_ext.projects.views import audit_json
from hub_ext.web.api.audit_csv import HEADER, cells, line
from hub_ext.web.api.projects import ProjectApiHandler
from hub_ext.web.base import BaseHandler

_AT_ONCE = 250
"""Lines of a CSV between two looks at the database."""


class AuditReader(BaseHandler):
    """What the API and the page share: which entries are asked for, and may be read."""

    def wanted(self) -> Wanted:
        """The filter of the query. Raises BadValue."""
        texts = {
            name: self.get_query_argument(name, "")[:300]
            for name in ("project", "by", "action", "text")
        }
        return Wanted(**texts, since=self.day("since"), until=self.day("until", days=1))

    def day(self, name: str, *, days: int = 0) -> float | None:
        """The beginning of a date in the site's time zone, or so many days later.

        Raises BadValue.
        """
        text = self.get_query_argument(name, "")
        if not text:
            return None
        try:
            date = datetime.strptime(text, "%Y-%m-%d") + timedelta(days=days)
            return date.replace(tzinfo=self.site.policy.timezone).timestamp()
        except (ValueError, OverflowError):
            raise BadValue(
                f"'{name}' is a date such as 2026-10-31, not '{text[:40]}'.", field=name
            ) from None

    def readable(self) -> Collection[str] | None:
        """Projects whose entries the caller may read; None: everything. Raises Forbidden."""
        if self.caller.admin:
            return None
        found = [name for name, role in self.roles().items() if may(role, Action.AUDIT)]
        if not found:
            raise Forbidden("The audit log is for admins and instructors.")
        return found

    def found(self, limit: int, below: int) -> list[AuditRow]:
        """A page of entries, the newest first. Raises BadValue, Forbidden."""
        wanted, readable = self.wanted(), self.readable()
        with self.site.database.transaction() as db:
            return [*audit.entries(db, wanted, readable=readable, limit=limit, below=below)]

    async def send_csv(self, begin: str = "") -> None:
        """All that is found, in parts: neither memory nor other requests suffer from it."""
        rows = self.found(_AT_ONCE, LARGEST)
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", 'attachment; filename="audit.csv"')
        self.set_header("Cache-Control", "no-store")
        self.write(begin + line(HEADER))
        with suppress(StreamClosedError):  # the reader may leave at any time
            while rows:
                self.write("".join(line(cells(row, self.site.policy.unit)) for row in rows))
                await self.flush()
                await asyncio.sleep(0)  # a fast reader makes no pause for others to be served
                rows = self.found(_AT_ONCE, rows[-1].id)


class AuditHandler(AuditReader, ProjectApiHandler):
    """The audit log."""

    async def get(self) -> None:
        """The newest first: everything for an admin, an instructor's projects for him.

        ``project``, ``by``, ``action``, ``text``, ``since`` and ``until`` (dates, both included)
        filter; ``after`` is the id to continue below. ``format=csv``: all of it at once.
        """
        wanted = self.get_query_argument("format", "json")
        if wanted not in {"json", "csv"}:
            raise BadValue("'format' is json or csv.", field="format")
        if wanted == "csv":
            await self.send_csv()
            return
        limit = self.whole_number("limit", 50, 1, 500)
        rows = self.found(limit + 1, self.whole_number("after", LARGEST, 0, LARGEST))
        page = rows[:limit]
        answer: dict[str, Any] = {"entries": [audit_json(row) for row in page]}
        self.reply(answer | {"after": page[-1].id if len(rows) > limit else None})

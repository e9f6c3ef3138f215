"""``/api/v1/audit``: who changed what."""

from __future__ import annotations

from hub_ext.errors import Forbidden
from hub_ext.projects import audit
from hub_ext.projects.limits import LARGEST
from hub_ext.projects.permissions import Action, may
from hub_ext.projects.views import audit_json
from hub_ext.web.api.projects import ProjectApiHandler


class AuditHandler(ProjectApiHandler):
    """The audit log."""

    def get(self) -> None:
        """The newest first: everything for an admin, an instructor's projects for him.

        ``project``, ``by`` and ``action`` filter; ``after`` is the id to continue below.
        """
        limit = self.whole_number("limit", 50, 1, 500)
        after = self.whole_number("after", LARGEST, 0, LARGEST)
        wanted = {name: self.get_query_argument(name, "") for name in ("project", "by", "action")}
        readable = None
        if not self.caller.admin:
            readable = [name for name, role in self.roles().items() if may(role, Action.AUDIT)]
            if not readable:
                raise Forbidden("The audit log is for admins and instructors.")
        with self.site.database.transaction() as db:
            rows = audit.entries(db, readable=readable, limit=limit + 1, below=after, **wanted)
        page = rows[:limit]
        self.reply(
            {
                "entries": [audit_json(row) for row in page],
                "after": page[-1].id if len(rows) > limit else None,
            }
        )

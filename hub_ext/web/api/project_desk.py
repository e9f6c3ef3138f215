"""What an instructor does at the desk: messages, the end of the class, the report.

``/api/v1/projects/{name}/announcements``, ``stop-sessions`` and ``report``.
"""

from __future__ import annotations

import time

from sqlalchemy.orm import Session

from hub_ext import announcements
from hub_ext.db.announcement_models import AnnouncementRow
from hub_ext.errors import BadValue, Conflict, NotFound
from hub_ext.projects import body, report
from hub_ext.projects.permissions import Action, By, may, require
from hub_ext.sessions import class_over
from hub_ext.web.api.announcements import announcement_json
from hub_ext.web.api.projects import ProjectApiHandler

_MOST = 500
_ONLY = "Only instructors and admins send messages to the members of a project."


class DeskHandler(ProjectApiHandler):
    """One project that is there and not archived, as far as the caller may."""

    def open_project(self, name: str, action: Action, message: str) -> By:
        """The caller, who may do this there. Raises NotFound, Forbidden, Conflict."""
        by = self.by(name)
        row = self.site.projects.get(name)
        require(by.role, action, message)
        if row.archived_at is not None:
            raise Conflict(f"Project {name} is archived; restore it first.")
        return by


class AnnouncementsHandler(DeskHandler):
    """Messages to the members of a project."""

    def get(self, name: str) -> None:
        """The newest first; members see what is shown now, instructors also what was."""
        by = self.by(name)
        self.site.projects.get(name)
        limit = self.whole_number("limit", 100, 1, _MOST)
        now = time.time()
        with self.site.database.transaction() as db:
            rows = announcements.all_of(db, name, limit)
            found = [announcement_json(row, now) for row in rows]
        all_of_them = may(by.role, Action.ANNOUNCE)
        self.reply(
            {"announcements": [each for each in found if all_of_them or each["state"] == "shown"]}
        )

    def post(self, name: str) -> None:
        """Tell the members something."""
        by = self.open_project(name, Action.ANNOUNCE, _ONLY)
        new = body.read_body(announcements.NewAnnouncement, self.body())
        with self.site.database.transaction() as db:
            row = announcements.announce(db, new, name, by.user)
            said = announcement_json(row, time.time())
        self.reply(said, 201)


class AnnouncementHandler(DeskHandler):
    """One of them."""

    def delete(self, name: str, number: str) -> None:
        """Take it back."""
        by = self.open_project(name, Action.ANNOUNCE, _ONLY)
        with self.site.database.transaction() as db:
            row = _of_project(db, name, int(number))
            announcements.take_back(db, row, by.user)
            said = announcement_json(row, time.time())
        self.reply(said)


def _of_project(db: Session, project: str, number: int) -> AnnouncementRow:
    """Another project's is as good as none. Raises NotFound."""
    row = announcements.one(db, number)
    if row.project != project:
        raise NotFound("There is no such announcement.")
    return row


class StopSessionsHandler(DeskHandler):
    """The end of all sessions of a project and those below it."""

    async def post(self, name: str) -> None:
        """What waits is cancelled, what runs is warned and stopped."""
        by = self.open_project(
            name, Action.END, "Only instructors and admins end all sessions of a project."
        )
        wanted = body.read_body(body.SessionsEnd, self.body())
        usual = self.site.policy.ending_warning_s
        if wanted.warning_s is not None and wanted.warning_s > usual:
            raise BadValue(
                f"warning_s: this site warns at most {usual:g} s before it stops a session.",
                field="warning_s",
            )
        ended = await class_over.end_all(
            self.site,
            self.parts.launcher,
            name,
            by=by,
            warning_s=usual if wanted.warning_s is None else wanted.warning_s,
            spare=by.user if wanted.keep_own else None,
        )
        self.reply(
            {
                "warned": ended.warned,
                "stopped": ended.stopped,
                "cancelled": ended.cancelled,
                "stops_at": ended.stops_at,
            }
        )

    def delete(self, name: str) -> None:
        """Call it off for those that still run."""
        by = self.open_project(
            name, Action.END, "Only instructors and admins end all sessions of a project."
        )
        self.reply({"kept": class_over.call_off(self.site, name, by=by)})


class ReportHandler(DeskHandler):
    """What was used in the term, by user."""

    def get(self, name: str) -> None:
        """JSON, or CSV by ``format=csv`` or Accept: text/csv."""
        found = self.report(name)
        unit = self.site.policy.unit
        if self.csv_wanted:
            self.reply_csv(f"{name}-report.csv", report.report_csv(found, unit))
            return
        self.reply(report.report_json(found, unit))

    def report(self, name: str) -> report.Report:
        """Also of an archived project, to admins. Raises NotFound, Forbidden."""
        by = self.by(name)
        row = self.site.projects.get(name)
        require(by.role, Action.REPORT, "Only instructors and admins read the report.")
        with self.site.database.transaction() as db:
            return report.report_of(db, row, time.time())

    @property
    def csv_wanted(self) -> bool:
        """Raises BadValue for a format that there is not."""
        wanted = self.get_query_argument("format", "")
        if wanted not in {"", "csv", "json"}:
            raise BadValue("'format' is json or csv.", field="format")
        accepts = self.request.headers.get("Accept", "").partition(";")[0].strip()
        return wanted == "csv" or (not wanted and accepts == "text/csv")

    def reply_csv(self, name: str, text: str) -> None:
        """A file to save, which Excel takes for UTF-8 too."""
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        self.set_header("Cache-Control", "no-store")
        self.finish("\ufeff" + text)

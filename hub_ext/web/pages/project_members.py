"""The members of a project: the list, one of them, and a list that is read from a file."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import func, select

from hub_ext.db.models import MemberRow
from hub_ext.errors import ApportionError, BadValue, Conflict, NotFound
from hub_ext.projects import body
from hub_ext.projects.bounds import most_for_members
from hub_ext.projects.limits import limits_of
from hub_ext.projects.member_list import doubts
from hub_ext.projects.permissions import Action, By
from hub_ext.projects.report import as_csv
from hub_ext.projects.roster import Outcome, counts, digest
from hub_ext.projects.views import limits_json, member_json, outcome_json, removal_sentences
from hub_ext.web.pages.project_fields import limit_fields, limits_body, typed
from hub_ext.web.pages.projects import PER_PAGE, ProjectPage, project_url
from hub_ext.web.translation import gettext as _
from hub_ext.web.translation import ngettext

_LIMITS = tuple(limit_fields({}, "limits"))
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
"""What comes back from a form as blanks; of a file it is taken so from the start."""
_MOST_TEXT = 500_000
"""Characters of a list; 5,000 lines of the longest names are fewer."""


class MembersPage(ProjectPage):
    """Who is listed."""

    def get(self, name: str) -> None:
        """In pages of 100; ``find`` in the name."""
        row, by = self.opened(name, Action.ROSTER)
        find = self.get_query_argument("find", "").strip()[:300]
        after = self.get_query_argument("after", "")
        roster, unit = self.site.projects.roster, self.site.policy.unit
        rows = roster.members(name, after=after, limit=PER_PAGE + 1, containing=find)
        with self.site.database.transaction() as db:
            query = select(func.count()).select_from(MemberRow).where(MemberRow.project == name)
            total = db.scalar(query) or 0
        page = rows[:PER_PAGE]
        self.show_project(
            "project_members.html",
            row,
            by,
            tab="members",
            members=[member_json(each, unit) for each in page],
            limit_texts=_limit_texts,
            total=total,
            find=find,
            after=after,
            more=page[-1].user if len(rows) > PER_PAGE else "",
        )


class MembersCsv(ProjectPage):
    """The list as a file that can be read in again."""

    def get(self, name: str) -> None:
        """``user,role``, with a header."""
        self.opened(name, Action.ROSTER)
        rows = self.site.projects.roster.members(name)
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="{name}-members.csv"')
        self.set_header("Cache-Control", "no-store")
        self.finish(as_csv([("user", "role"), *((row.user, row.role) for row in rows)]))


class MemberPage(ProjectPage):
    """One member: role, own limits, removal. The form of the limits is sent here too."""

    def get(self, name: str) -> None:
        """``user`` of the query."""
        row, by = self.opened(name, Action.ROSTER)
        member = self._member(name)
        own = limit_fields(member_json(member, self.site.policy.unit)["limits"], "limits")
        self._show(row, by, member, own)

    def post(self, name: str) -> None:
        """Own limits; those left empty are the project's."""
        row, by = self.opened(name, Action.ENROL)
        member = self._member(name)
        mine = typed(
            _LIMITS, lambda field: self.get_body_argument(field, ""), self.get_body_arguments
        )
        try:
            given = body.read_body(body.MemberChange, {"limits": limits_body(mine)})
            limits = body.limits(given.limits, self.site.policy.unit, "limits")
            self.site.projects.roster.change(name, member.user, by=by, limits=limits)
        except ApportionError as refusal:
            self.set_status(refusal.status)
            self._show(row, by, member, mine, refusal)
            return
        self.say([_("The limits of %(user)s are saved.") % {"user": member.user}])
        self.redirect(project_url(name, "members"), status=303)

    def _member(self, name: str) -> MemberRow:
        user = self.get_query_argument("user", "", strip=False)
        with self.site.database.transaction() as db:
            member = db.get(MemberRow, (name, user))
        if member is None:
            raise NotFound(_("There is no such member."))
        return member

    def _show(
        self, row: Any, by: By, member: MemberRow, own: dict[str, Any], error: Any = None
    ) -> None:
        unit, roster = self.site.policy.unit, self.site.projects.roster
        try:
            becomes = removal_sentences(roster.remove(row.name, member.user, by=by, dry_run=True))
        except ApportionError:  # of an instructor, by another one; of an archived project
            becomes = None
        self.show_project(
            "project_member.html",
            row,
            by,
            tab="members",
            member=member_json(member, unit),
            fields=own,
            error=error,
            of_all=limit_fields(limits_json(limits_of(row, None), unit), "limits"),
            bounds=limit_fields(limits_json(most_for_members(row), unit), "limits"),
            becomes=becomes,
        )


class ImportPage(ProjectPage):
    """A list from a file or typed in: first what it would do, then exactly that."""

    def get(self, name: str) -> None:
        """An empty form."""
        row, by = self.opened(name, Action.ENROL)
        self._show(row, by, "")

    def post(self, name: str) -> None:
        """Without ``preview``: show what it would do. With it: do that, or say that it is stale."""
        row, by = self.opened(name, Action.ENROL)
        text = self.get_body_argument("csv", "", strip=False)
        try:
            text = self._text()
            previewed = self.get_body_argument("preview", "")
            if previewed:
                self._write(name, text, previewed, by)
                return
            self._show(row, by, text, outcomes=self._preview(name, text, by))
        except Conflict as stale:
            self._stale(row, by, text, stale)
        except ApportionError as refusal:
            self.set_status(refusal.status)
            self._show(row, by, text, error=refusal)

    def _text(self) -> str:
        """Of the file, if there is one, else what was typed. Raises BadValue."""
        files = self.request.files.get("file", [])
        if files and files[0]["body"]:
            return _decoded(files[0]["body"])
        text = self.get_body_argument("csv", "", strip=False)
        return _checked_length(text)

    def _preview(self, name: str, text: str, by: By) -> list[Outcome]:
        roster = self.site.projects.roster
        return roster.import_list(name, text, by=by, dry_run=True)

    def _write(self, name: str, text: str, previewed: str, by: By) -> None:
        roster = self.site.projects.roster
        outcomes = roster.import_list(name, text, by=by, skip_wrong=True, previewed=previewed)
        self._done(name, outcomes)

    def _stale(self, row: Any, by: By, text: str, stale: Conflict) -> None:
        """Sent twice, it is done already; else what it would do by now."""
        try:
            outcomes = self._preview(row.name, text, by)
        except ApportionError as refusal:
            self.set_status(refusal.status)
            self._show(row, by, text, error=refusal)
            return
        if not any(outcome.result in {"add", "change"} for outcome in outcomes):
            self._done(row.name, outcomes)
            return
        self.set_status(stale.status)
        self._show(row, by, text, outcomes=outcomes, error=stale)

    def _done(self, name: str, outcomes: list[Outcome]) -> None:
        found = counts(outcomes)
        self.say([*_told(found), *doubts(_added(outcomes))])
        self.redirect(project_url(name, "members"), status=303)

    def _show(
        self,
        row: Any,
        by: By,
        text: str,
        *,
        outcomes: list[Outcome] | None = None,
        error: ApportionError | None = None,
    ) -> None:
        self.show_project(
            "project_import.html",
            row,
            by,
            tab="members",
            text=text,
            lines=None if outcomes is None else [outcome_json(each) for each in outcomes],
            counts=counts(outcomes or []),
            preview="" if outcomes is None else digest(outcomes),
            doubts=doubts(_added(outcomes or [])),
            error=error,
        )


def _limit_texts(limits: dict[str, Any]) -> list[tuple[str, str]]:
    """Own limits of a member, each with its name and in the unit that the form has."""
    names = {
        "max_sessions": _("sessions at once"),
        "max_fgpu": _("fGPU of one session"),
        "max_pending": _("waiting at once"),
        "max_lifetime_s": _("lifetime (hours)"),
        "idle_s": _("idle time (minutes)"),
        "max_priority": _("highest priority"),
    }
    shown = limit_fields(limits, "own")
    return [(names[key], shown[f"own.{key}"] or _("no limit")) for key in names if key in limits]


def _added(outcomes: list[Outcome]) -> list[str]:
    return [outcome.line.user for outcome in outcomes if outcome.result == "add"]


def _told(found: dict[str, int]) -> list[str]:
    """What was done, as sentences."""
    if not found["add"] and not found["change"]:
        return [_("All that is right on the list was so already.")]
    said = []
    if found["add"]:
        text = ngettext("%(count)s member is added.", "%(count)s members are added.", found["add"])
        said.append(text % {"count": found["add"]})
    if found["change"]:
        text = ngettext(
            "%(count)s role is changed.", "%(count)s roles are changed.", found["change"]
        )
        said.append(text % {"count": found["change"]})
    if found["wrong"]:
        text = ngettext(
            "%(count)s wrong line was left out.",
            "%(count)s wrong lines were left out.",
            found["wrong"],
        )
        said.append(text % {"count": found["wrong"]})
    return said


def _decoded(content: bytes) -> str:
    """UTF-8, or what Excel calls Unicode text. Raises BadValue."""
    encoding = "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise BadValue(
            _("The file is not text in UTF-8. Save it as 'CSV UTF-8' and choose it again."),
            field="csv",
        ) from None
    return _checked_length(_CONTROL.sub(" ", text))


def _checked_length(text: str) -> str:
    if len(text) > _MOST_TEXT:
        raise BadValue(_("The list is longer than half a million characters."), field="csv")
    return text

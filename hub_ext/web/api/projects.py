"""``/api/v1/projects``: the projects of the caller, and their members."""

from __future__ import annotations

from typing import Any

from hub_ext.db.models import MemberRow, ProjectRow
from hub_ext.errors import BadValue, NotFound
from hub_ext.projects import body
from hub_ext.projects.holdings import Holding
from hub_ext.projects.member_list import doubts
from hub_ext.projects.membership import Role
from hub_ext.projects.permissions import Action, By, may
from hub_ext.projects.roster import counts, digest
from hub_ext.projects.store import Changed
from hub_ext.projects.views import (
    member_json,
    outcome_json,
    project_json,
    removal_sentences,
)
from hub_ext.web.base import ApiHandler

_MOST = 500
"""Largest page of results."""


class ProjectApiHandler(ApiHandler):
    """What the caller is in which project; a stranger's 404 is that of a missing project."""

    def by(self, project: str) -> By:
        """The caller, as what he is there. Raises NotFound."""
        role = Role.ADMIN if self.caller.admin else self.roles().get(project)
        if not may(role, Action.SEE):
            raise NotFound("There is no such project.")
        return By(self.caller.name, role)

    def described(self, row: ProjectRow, role: Role | None) -> dict[str, Any]:
        """One project as JSON."""
        return self._as_json(row, role, self.site.projects.holding(row.name))

    def described_all(self, rows: list[tuple[ProjectRow, Role | None]]) -> list[dict[str, Any]]:
        """Projects as JSON, each with the caller's role."""
        held = self.site.projects.holdings()
        return [self._as_json(row, role, held[row.name]) for row, role in rows]

    def _as_json(self, row: ProjectRow, role: Role | None, held: Holding) -> dict[str, Any]:
        return project_json(
            row,
            self.site.policy.unit,
            role=role,
            held=held,
            fair_share=self.site.fair_share.get(row.name),
        )

    def reply_changed(self, changed: Changed, by: By, status: int = 200) -> None:
        """A project with what the change does not do."""
        described = self.described(changed.row, by.role)
        self.reply({**described, "warnings": changed.warnings}, status)


class ProjectsHandler(ProjectApiHandler):
    """All of them."""

    def get(self) -> None:
        """The caller's, each after its parent. ``archived=1``: the archived ones (admin)."""
        limit = self.whole_number("limit", 100, 1, _MOST)
        archived = self.get_query_argument("archived", "") == "1"
        roles = self.roles()
        rows = self.site.projects.tree(archived=archived)
        if archived:
            roles = {row.name: Role.ADMIN for row in rows if self.caller.admin}
        rows = [row for row in rows if row.name in roles]
        start = self._start([row.name for row in rows])
        page = rows[start : start + limit]
        more = len(rows) > start + limit
        self.reply(
            {
                "projects": self.described_all([(row, roles[row.name]) for row in page]),
                "after": page[-1].name if more else None,
            }
        )

    def post(self) -> None:
        """A new project (admin)."""
        by = By(self.caller.name, Role.ADMIN if self.caller.admin else None)
        new = body.read_body(body.NewProject, self.body())
        values = body.columns(new, self.site.policy.unit)
        self.reply_changed(self.site.projects.create(new.name, values, by=by), by, 201)

    def _start(self, names: list[str]) -> int:
        """Place of the first one of the page that is asked for."""
        after = self.get_query_argument("after", "")
        if not after:
            return 0
        if after not in names:
            raise BadValue("'after' is the name of the last project that you have.", field="after")
        return names.index(after) + 1


class ProjectHandler(ProjectApiHandler):
    """One of them."""

    def get(self, name: str) -> None:
        """How it stands."""
        by = self.by(name)
        self.reply(self.described(self.site.projects.get(name), by.role))

    def patch(self, name: str) -> None:
        """Change what the caller's role may; see hub_ext.projects.permissions."""
        by = self.by(name)
        change = body.read_body(body.ProjectChange, self.body())
        values = body.columns(change, self.site.policy.unit)
        store = self.site.projects
        self.reply_changed(store.change(name, values, by=by, version=change.version), by)

    def delete(self, name: str) -> None:
        """Archive it (admin)."""
        by = self.by(name)
        self.reply(self.described(self.site.projects.archive(name, by=by), by.role))


class RestoreHandler(ProjectApiHandler):
    """Out of the archive."""

    def post(self, name: str) -> None:
        """Open it again (admin)."""
        by = self.by(name)
        self.reply(self.described(self.site.projects.restore(name, by=by), by.role))


class MembersHandler(ProjectApiHandler):
    """Who is listed in a project; members by groups of the hub are not."""

    def get(self, name: str) -> None:
        """By name. A member learns only who the instructors are."""
        by = self.by(name)
        self.site.projects.get(name)
        limit = self.whole_number("limit", 100, 1, _MOST)
        after = self.get_query_argument("after", "")
        all_of_them = may(by.role, Action.ROSTER)
        rows = self.site.projects.roster.members(
            name,
            role=None if all_of_them else Role.INSTRUCTOR,
            after=after,
            limit=limit + 1,
        )
        page = rows[:limit]
        self.reply(
            {
                "members": [self._shown(row, all_of_them) for row in page],
                "after": page[-1].user if len(rows) > limit else None,
            }
        )

    def post(self, name: str) -> None:
        """List somebody."""
        by = self.by(name)
        new = body.read_body(body.NewMember, self.body())
        limits = body.limits(new.limits, self.site.policy.unit, "limits")
        row = self.site.projects.roster.add(name, new.user, Role(new.role), limits, by=by)
        warnings = doubts([new.user])
        self.reply({**member_json(row, self.site.policy.unit), "warnings": warnings}, 201)

    def _shown(self, row: MemberRow, whole: bool) -> dict[str, Any]:
        if whole:
            return member_json(row, self.site.policy.unit)
        return {"user": row.user, "role": row.role}


class ImportHandler(ProjectApiHandler):
    """Many members at once."""

    def post(self, name: str) -> None:
        """A list of ``user[,role]``; ``dry_run`` only tells what each line would do, and
        ``preview`` of its answer, sent with the list, makes sure of it.
        """
        by = self.by(name)
        wanted = body.read_body(body.MemberImport, self.body())
        outcomes = self.site.projects.roster.import_list(
            name,
            wanted.csv,
            by=by,
            dry_run=wanted.dry_run,
            skip_wrong=wanted.skip_wrong,
            previewed=wanted.preview,
        )
        added = [outcome.line.user for outcome in outcomes if outcome.result == "add"]
        self.reply(
            {
                "written": not wanted.dry_run,
                **counts(outcomes),
                "lines": [outcome_json(outcome) for outcome in outcomes],
                "preview": digest(outcomes),
                "warnings": doubts(added),
            }
        )


class MemberHandler(ProjectApiHandler):
    """One who is listed."""

    def patch(self, name: str, user: str) -> None:
        """Role or own limits; the limits that are given replace all that were."""
        by = self.by(name)
        change = body.read_body(body.MemberChange, self.body())
        unit = self.site.policy.unit
        limits = None
        if "limits" in change.model_fields_set:
            limits = body.limits(change.limits, unit, "limits")
        role = None if change.role is None else Role(change.role)
        roster = self.site.projects.roster
        row = roster.change(name, _user(user), by=by, role=role, limits=limits)
        self.reply(member_json(row, unit))

    def delete(self, name: str, user: str) -> None:
        """Take off the list. ``dry_run=1`` only tells what becomes of the sessions."""
        by = self.by(name)
        dry_run = self.get_query_argument("dry_run", "") == "1"
        removal = self.site.projects.roster.remove(name, _user(user), by=by, dry_run=dry_run)
        shown = member_json(removal.row, self.site.policy.unit)
        self.reply({**shown, "removed": not dry_run, "warnings": removal_sentences(removal)})


def _user(name: str) -> str:
    """A name from the path. Raises NotFound for what can be nobody's."""
    if not body.is_user_name(name):
        raise NotFound("There is no such member.")
    return name

"""The members of projects in the database: add, change, remove, import a list."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.models import MemberRow, ProjectRow, SessionRow
from hub_ext.errors import BadValue, Conflict, NotFound
from hub_ext.fgpu import FgpuUnit
from hub_ext.projects import audit
from hub_ext.projects.bounds import check_limits, most_for_members
from hub_ext.projects.limits import limits_of
from hub_ext.projects.member_list import Line, read_member_list
from hub_ext.projects.membership import Role, listed_roles, role_in
from hub_ext.projects.permissions import Action, By, may, require
from hub_ext.projects.settings import read_limits
from hub_ext.projects.tree import lineage, read_projects
from hub_ext.sessions.status import LIVE, Status
from hub_ext.sessions.store import Why, amend

_APPOINT = "Only an admin names, changes or dismisses an instructor."
_ENROL = "Only instructors and admins change the members of a project."
_SHOWN = 5
"""How many wrong lines a refusal spells out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a line: "add", "change", "same" or "wrong" (see its problem)."""

    line: Line
    result: str


@dataclass(frozen=True, slots=True)
class Removal:
    """A member taken off the list, and his sessions: those that run go on, all else waits.

    ``stays_as``: what he is in the project all the same (it is open to all, or he teaches one
    above it); then nothing becomes of his sessions.
    """

    row: MemberRow
    running: int
    waiting: int
    stays_as: Role | None


class Roster:
    """Who has been listed in which project. Groups of the hub are not in it."""

    def __init__(self, database: Database, unit: FgpuUnit, announce: Callable[[], None]) -> None:
        """``announce`` is called after every change."""
        self._database = database
        self._unit = unit
        self._announce = announce

    def members(
        self,
        project: str,
        *,
        role: Role | None = None,
        after: str = "",
        limit: int | None = None,
        containing: str = "",
    ) -> Sequence[MemberRow]:
        """Those listed, by name; ``role``: only these; ``after``: names that follow this one;
        ``containing``: names with this in them, in capitals or not.
        """
        query = select(MemberRow).where(MemberRow.project == project, MemberRow.user > after)
        if containing:
            query = query.where(MemberRow.user.icontains(containing, autoescape=True))
        if role is not None:
            query = query.where(MemberRow.role == role)
        with self._database.transaction() as db:
            return db.scalars(query.order_by(MemberRow.user).limit(limit)).all()

    def add(
        self, project: str, user: str, role: Role, limits: Mapping[str, Any], *, by: By
    ) -> MemberRow:
        """List somebody. Raises NotFound, Forbidden, BadValue, Conflict when listed already."""
        with self._database.transaction() as db:
            row = _project(db, project)
            if db.get(MemberRow, (project, user)) is not None:
                raise Conflict(f"{user} is already listed in project {project}.", field="user")
            _require(by, role)
            own = self._checked_limits(row, None, limits, by)
            member = _add(db, project, user, role, own, by)
        self._announce()
        return member

    def change(
        self,
        project: str,
        user: str,
        *,
        by: By,
        role: Role | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> MemberRow:
        """Set the role, or all own limits; None: as it is. Raises as ``add`` does."""
        with self._database.transaction() as db:
            row = _project(db, project)
            member = _member(db, project, user, by)
            _require(by, Role(member.role), role or Role(member.role))
            own = member.limits
            if limits is not None:
                own = self._checked_limits(row, member, limits, by)
            changed = _change(db, member, role or Role(member.role), own, by)
        if changed:
            self._announce()
        return member

    def remove(self, project: str, user: str, *, by: By, dry_run: bool = False) -> Removal:
        """Take somebody off the list; ``dry_run`` only tells what that means.

        Sessions that wait, or come back to the queue, then start only if he is back in the
        project. Raises NotFound, Forbidden, Conflict.
        """
        with self._database.transaction() as db:
            _project(db, project)
            member = _member(db, project, user, by)
            _require(by, Role(member.role))
            removal = _removal(db, member)
            if dry_run:
                return removal
            if removal.stays_as is None:
                _dismiss(db, member, by)
            audit.note(db, by.user, "member.remove", user, project, _as_json(member), None)
            db.delete(member)
        self._announce()
        return removal

    def import_list(
        self,
        project: str,
        text: str,
        *,
        by: By,
        dry_run: bool = False,
        skip_wrong: bool = False,
        previewed: str | None = None,
    ) -> list[Outcome]:
        """Add and change by a list; who is not in it stays. See ``member_list`` for its form.

        Nothing is written when a line is wrong, unless ``skip_wrong``; then the others are.
        ``previewed``: what ``digest`` said of the dry run; nothing else is then written.
        Raises NotFound, Forbidden, BadValue, Conflict.
        """
        lines = read_member_list(text)
        with self._database.transaction() as db:
            _project(db, project)
            require(by.role, Action.ENROL, _ENROL)
            listed = {
                row.user: row
                for row in db.scalars(select(MemberRow).where(MemberRow.project == project))
            }
            outcomes = [_outcome(line, listed.get(line.user), by) for line in lines]
            if dry_run:
                return outcomes
            if previewed is not None and digest(outcomes) != previewed:
                raise Conflict(
                    f"The members of project {project} have changed since the preview. Look at"
                    " what the list would do now, then confirm again.",
                    field="preview",
                )
            if not skip_wrong:
                _refuse_wrong(outcomes)
            for outcome in outcomes:
                _carry_out(db, project, outcome, listed, by)
        if any(outcome.result in {"add", "change"} for outcome in outcomes):
            self._announce()
        return outcomes

    def _checked_limits(
        self, project: ProjectRow, member: MemberRow | None, values: Mapping[str, Any], by: By
    ) -> dict[str, Any]:
        """Own limits of a member; an instructor's stay within what the admin allows him."""
        limits = read_limits(values, "limits")
        if not may(by.role, Action.GOVERN):
            new = limits_of(project, None).model_copy(update=limits)
            old, most = limits_of(project, member), most_for_members(project)
            check_limits(new, old, most, "limits", self._unit)
        return limits


def _project(db: Session, name: str) -> ProjectRow:
    row = db.get(ProjectRow, name, with_for_update=True)
    if row is None:
        raise NotFound("There is no such project.")
    if row.archived_at is not None:
        raise Conflict(f"Project {name} is archived; restore it to change it.")
    return row


def _member(db: Session, project: str, user: str, by: By) -> MemberRow:
    require(by.role, Action.ENROL, _ENROL)
    row = db.get(MemberRow, (project, user))
    if row is None:
        raise NotFound(f"{user[:80]} is not listed in project {project}.")
    return row


def _require(by: By, *roles: Role) -> None:
    """What it takes to give, change or take these roles."""
    require(by.role, Action.ENROL, _ENROL)
    if Role.INSTRUCTOR in roles:
        require(by.role, Action.APPOINT, _APPOINT, "role")


def _removal(db: Session, member: MemberRow) -> Removal:
    """What it means to take this member off the list."""
    listed = listed_roles(db, [member.user])[member.user]
    del listed[member.project]
    stays_as = role_in(lineage(read_projects(db), member.project), listed)
    live = _live_sessions(db, member)
    waiting = sum(row.status == Status.PENDING for row in live)
    return Removal(member, len(live) - waiting, waiting, stays_as)


def _dismiss(db: Session, member: MemberRow, by: By) -> None:
    """Mark his sessions, in their history too."""
    said = f"{member.user} was taken off the list of members of project {member.project}."
    why = Why(said, "not_member")
    for session_id in [row.id for row in _live_sessions(db, member)]:
        amend(db, session_id, why, by=by.user, allowed=LIVE, dismissed=True)


def _live_sessions(db: Session, member: MemberRow) -> Sequence[SessionRow]:
    query = select(SessionRow).where(
        SessionRow.project == member.project,
        SessionRow.user == member.user,
        SessionRow.status.in_(LIVE),
    )
    return db.scalars(query).all()


def _outcome(line: Line, listed: MemberRow | None, by: By) -> Outcome:
    if line.problem:
        return Outcome(line, "wrong")
    roles = {line.role, *([Role(listed.role)] if listed else [])}
    if listed is not None and listed.role == line.role:
        return Outcome(line, "same")
    if Role.INSTRUCTOR in roles and not may(by.role, Action.APPOINT):
        return Outcome(Line(line.number, line.user, line.role, _APPOINT), "wrong")
    return Outcome(line, "add" if listed is None else "change")


def _refuse_wrong(outcomes: Sequence[Outcome]) -> None:
    wrong = [outcome.line for outcome in outcomes if outcome.result == "wrong"]
    if wrong:
        said = " ".join(f"Line {line.number}: {line.problem}" for line in wrong[:_SHOWN])
        raise BadValue(
            f"{len(wrong)} of {len(outcomes)} lines are wrong, so nothing was written. {said}",
            field="csv",
        )


def _carry_out(
    db: Session, project: str, outcome: Outcome, listed: Mapping[str, MemberRow], by: By
) -> None:
    line = outcome.line
    if outcome.result == "add":
        _add(db, project, line.user, line.role, {}, by)
    elif outcome.result == "change":
        member = listed[line.user]
        _change(db, member, line.role, member.limits, by)


def _add(
    db: Session, project: str, user: str, role: Role, limits: dict[str, Any], by: By
) -> MemberRow:
    member = MemberRow(
        project=project,
        user=user,
        role=role.value,
        limits=limits,
        added_at=time.time(),
        added_by=by.user,
    )
    db.add(member)
    audit.note(db, by.user, "member.add", user, project, None, _as_json(member))
    return member


def _change(db: Session, member: MemberRow, role: Role, limits: dict[str, Any], by: By) -> bool:
    before = _as_json(member)
    member.role, member.limits = role.value, limits
    after = _as_json(member)
    if before != after:
        audit.note(db, by.user, "member.change", member.user, member.project, before, after)
    return before != after


def _as_json(member: MemberRow) -> dict[str, Any]:
    return {"role": member.role, "limits": dict(member.limits)}


def digest(outcomes: Sequence[Outcome]) -> str:
    """Stands for exactly what a list would do: every line with its result."""
    told = [
        (each.line.number, each.line.user, each.line.role, each.result, each.line.problem)
        for each in outcomes
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many lines have which result."""
    found = Counter(outcome.result for outcome in outcomes)
    return {result: found[result] for result in ("add", "change", "same", "wrong")}

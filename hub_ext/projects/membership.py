"""Who is what in which project."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import MemberRow, ProjectRow
from hub_ext.projects.tree import Rows, lineage, read_projects

if TYPE_CHECKING:  # the site holds the store of projects, which asks for roles
    from hub_ext.site import Policy

INSTRUCTORS_SUFFIX = "-instructors"
"""Ends the name of the hub group of a project's instructors."""


class Role(StrEnum):
    """admin (of the hub), above instructor, above member."""

    ADMIN = "admin"
    INSTRUCTOR = "instructor"
    MEMBER = "member"


Listed = Mapping[str, Role]
"""What the lists of members say of a user, by project."""


def roles_of(
    db: Session, policy: Policy, user: str, groups: Collection[str], admin: bool
) -> dict[str, Role]:
    """The role of a user in every project that is not archived, where he has one.

    By the list of members, by groups of the hub, and as a member of what is open to all.
    An instructor of a project is one of all below it.
    """
    rows = {name: row for name, row in read_projects(db).items() if row.archived_at is None}
    if admin:
        return dict.fromkeys(rows, Role.ADMIN)
    listed = listed_roles(db, [user])[user]
    by_group = _by_group(rows, policy.group_prefix, groups)
    roles = {name: role_in(lineage(rows, name), listed, by_group) for name in rows}
    return {name: role for name, role in roles.items() if role is not None}


def listed_roles(db: Session, users: Collection[str]) -> dict[str, dict[str, Role]]:
    """Of each of these users, the roles that lists of members give him."""
    found: dict[str, dict[str, Role]] = {user: {} for user in users}
    for row in db.scalars(select(MemberRow).where(MemberRow.user.in_(users))):
        found[row.user][row.project] = Role(row.role)
    return found


def role_in(
    line: Sequence[ProjectRow], listed: Listed, by_group: Listed | None = None
) -> Role | None:
    """The role in the first project of its ``lineage``; None: no part in it."""
    roles = [{listed.get(row.name), (by_group or {}).get(row.name)} for row in line]
    if any(Role.INSTRUCTOR in each for each in roles):
        return Role.INSTRUCTOR
    is_member = bool(line) and (Role.MEMBER in roles[0] or line[0].open_to_all)
    return Role.MEMBER if is_member else None


def _by_group(rows: Rows, prefix: str, groups: Collection[str]) -> dict[str, Role]:
    """What groups of the hub say."""
    found = {name: Role.MEMBER for name in rows if prefix + name in groups}
    taught = {name for name in rows if prefix + name + INSTRUCTORS_SUFFIX in groups}
    return found | dict.fromkeys(taught, Role.INSTRUCTOR)

"""Who is what in which project."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from hub_ext.db.models import MemberRow, ProjectRow
from hub_ext.projects.tree import Place, lineage

if TYPE_CHECKING:  # the site holds the store of projects, which asks for roles
    from hub_ext.site import Policy

INSTRUCTORS_SUFFIX = "-instructors"
"""Ends the name of the hub group of a project's instructors."""


class Role(StrEnum):
    """admin (of the hub), above instructor, above member."""

    ADMIN = "admin"
    INSTRUCTOR = "instructor"
    MEMBER = "member"


_NOT_ARCHIVED = ProjectRow.archived_at.is_(None)

Listed = Mapping[str, Role]
"""What the lists of members say of a user, by project."""


def roles_of(
    db: Session, policy: Policy, user: str, groups: Collection[str], admin: bool
) -> dict[str, Role]:
    """The role of a user in every project that is not archived, where he has one.

    By the list of members, by groups of the hub, and as a member of what is open to all.
    An instructor of a project is one of all below it. The oldest project comes first.
    """
    if admin:
        names = select(ProjectRow.name).where(_NOT_ARCHIVED).order_by(ProjectRow.created_order)
        return dict.fromkeys(db.scalars(names), Role.ADMIN)
    listed = listed_roles(db, [user])[user]
    by_group = _by_group(policy.group_prefix, groups)
    rows = _concerned(db, listed, by_group)
    roles = {name: role_in(lineage(rows, name), listed, by_group) for name in rows}
    return {name: role for name, role in roles.items() if role is not None}


def _concerned(db: Session, listed: Listed, by_group: Listed) -> dict[str, Place]:
    """The projects in which somebody with these roles may have a part; of others no row is read.

    Every page asks for it, and a site may have hundreds of projects.
    """
    taught = {
        name for roles in (listed, by_group) for name, role in roles.items() if role != Role.MEMBER
    }
    tree = select(ProjectRow.name).where(ProjectRow.name.in_(taught), _NOT_ARCHIVED)
    below = tree.cte("taught", recursive=True)
    child = aliased(ProjectRow)
    under = select(child.name).where(child.parent == below.c.name, child.archived_at.is_(None))
    below = below.union(under)
    own = or_(ProjectRow.open_to_all, ProjectRow.name.in_({*listed, *by_group}))
    wanted = or_(own, ProjectRow.name.in_(select(below.c.name))) if taught else own
    query = select(ProjectRow.name, ProjectRow.parent, ProjectRow.open_to_all)
    query = query.where(wanted, _NOT_ARCHIVED).order_by(ProjectRow.created_order)
    return {row.name: Place(*row) for row in db.execute(query)}


def listed_roles(db: Session, users: Collection[str]) -> dict[str, dict[str, Role]]:
    """Of each of these users, the roles that lists of members give him."""
    found: dict[str, dict[str, Role]] = {user: {} for user in users}
    for row in db.scalars(select(MemberRow).where(MemberRow.user.in_(users))):
        found[row.user][row.project] = Role(row.role)
    return found


def role_in(
    line: Sequence[ProjectRow] | Sequence[Place], listed: Listed, by_group: Listed | None = None
) -> Role | None:
    """The role in the first project of its ``lineage``; None: no part in it."""
    roles = [{listed.get(row.name), (by_group or {}).get(row.name)} for row in line]
    if any(Role.INSTRUCTOR in each for each in roles):
        return Role.INSTRUCTOR
    is_member = bool(line) and (Role.MEMBER in roles[0] or line[0].open_to_all)
    return Role.MEMBER if is_member else None


def _by_group(prefix: str, groups: Collection[str]) -> dict[str, Role]:
    """What groups of the hub say. A project may itself be called NAME-instructors."""
    named = [group.removeprefix(prefix) for group in groups if group.startswith(prefix)]
    ending = INSTRUCTORS_SUFFIX
    taught = {name.removesuffix(ending) for name in named if name.endswith(ending)}
    return dict.fromkeys(named, Role.MEMBER) | dict.fromkeys(taught, Role.INSTRUCTOR)

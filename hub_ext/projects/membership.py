"""Who is what in which project."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import MemberRow, ProjectRow
from hub_ext.projects.tree import above

if TYPE_CHECKING:  # the site holds the store of projects, which asks for roles
    from hub_ext.site import Policy

INSTRUCTORS_SUFFIX = "-instructors"
"""Ends the name of the hub group of a project's instructors."""


class Role(StrEnum):
    """admin (of the hub), above instructor, above member."""

    ADMIN = "admin"
    INSTRUCTOR = "instructor"
    MEMBER = "member"


def roles_of(
    db: Session, policy: Policy, user: str, groups: Collection[str], admin: bool
) -> dict[str, Role]:
    """The role of a user in every project that is not archived, where he has one.

    By the list of members, by groups of the hub, and as a member of what is open to all.
    An instructor of a project is one of all below it.
    """
    projects = db.scalars(select(ProjectRow).where(ProjectRow.archived_at.is_(None))).all()
    if admin:
        return {project.name: Role.ADMIN for project in projects}
    listed = {
        row.project: Role(row.role)
        for row in db.scalars(select(MemberRow).where(MemberRow.user == user))
    }
    own = {
        project.name: _own_role(project, listed.get(project.name), policy.group_prefix, groups)
        for project in projects
    }
    parents = {project.name: project.parent for project in projects}
    roles: dict[str, Role] = {}
    for name, role in own.items():
        if any(own.get(each) is Role.INSTRUCTOR for each in [name, *above(name, parents)]):
            roles[name] = Role.INSTRUCTOR
        elif role is not None:
            roles[name] = role
    return roles


def _own_role(
    project: ProjectRow, listed: Role | None, prefix: str, groups: Collection[str]
) -> Role | None:
    """What the project itself says, whatever is above it."""
    group = prefix + project.name
    if listed is Role.INSTRUCTOR or group + INSTRUCTORS_SUFFIX in groups:
        return Role.INSTRUCTOR
    if listed is Role.MEMBER or group in groups or project.open_to_all:
        return Role.MEMBER
    return None

"""Resource groups: named sets of nodes, each with its opening hours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext import hours
from hub_ext.db.models import NodeRow, ProjectRow, ResourceGroupRow
from hub_ext.errors import BadValue, Conflict, NotFound
from hub_ext.gpu.enforcers import DEFAULT, ENFORCERS
from hub_ext.gpu.enforcers.choice import check_no_other_enforcer
from hub_ext.projects.audit import note
from hub_ext.stale import check_version, version_of

DEFAULT_GROUP = "default"
"""The group of a new node; it always is."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise PydanticCustomError("name", "use 1 to 63 of a-z, 0-9 and '-', no '-' at an end")
    return name


GroupName = Annotated[str, AfterValidator(_check_name)]
"""A name that a resource group may have."""


def _check_enforcer(name: str) -> str:
    if name not in ENFORCERS:
        raise PydanticCustomError("enforcer", "use one of {names}", {"names": ", ".join(ENFORCERS)})
    return name


EnforcerName = Annotated[str, AfterValidator(_check_enforcer)]
"""One of hub_ext.gpu.enforcers."""
_Title = Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]


class GroupChange(BaseModel):
    """Body of ``PATCH /resource-groups/{name}``; what is not given stays as it is.

    hours: windows of the week in which its nodes take sessions; null: always. version: the one
    that was read (409 when the group has changed since). enforcer: of its nodes that have none
    of their own; null: the site's.
    """

    model_config = ConfigDict(extra="forbid")

    title: _Title = ""
    hours: list[dict[str, Any]] | None = None
    enforcer: EnforcerName | None = None
    version: Annotated[str, Field(max_length=64)] | None = None


class NewGroup(BaseModel):
    """Body of ``POST /resource-groups``."""

    model_config = ConfigDict(extra="forbid")

    name: GroupName
    title: _Title = ""
    hours: list[dict[str, Any]] | None = None
    enforcer: EnforcerName | None = None


def closed_groups(db: Session, now: float, tz: tzinfo) -> dict[str, str]:
    """The groups that take no sessions at ``now`` (Unix s), each with the sentence to show."""
    closed = {}
    for group in list_groups(db):
        shut = hours.closed(group.hours, now, tz)
        if shut is not None:
            closed[group.name] = f"resource group {group.name} is open {shut.when}"
    return closed


def why_unavailable(node: NodeRow, closed: Mapping[str, str]) -> str:
    """Why a node takes no sessions now; "" when it does. ``closed``: of ``closed_groups``."""
    if node.drained:
        return "it is drained"
    return node.problem or closed.get(node.resource_group, "")


def list_groups(db: Session) -> Sequence[ResourceGroupRow]:
    """All groups by name."""
    return db.scalars(select(ResourceGroupRow).order_by(ResourceGroupRow.name)).all()


def existing_group(db: Session, name: str) -> ResourceGroupRow:
    """One group. Raises NotFound."""
    group = db.get(ResourceGroupRow, name) if name.isprintable() else None
    if group is None:
        raise NotFound(f"There is no resource group '{name}'.")
    return group


def add_group(db: Session, new: NewGroup, by: str) -> ResourceGroupRow:
    """A new group, without nodes yet. Raises BadValue, Conflict."""
    windows = _windows(new)
    if db.get(ResourceGroupRow, new.name) is not None:
        raise Conflict(f"There is a resource group '{new.name}' already.", field="name")
    group = ResourceGroupRow(name=new.name, title=new.title, hours=windows, enforcer=new.enforcer)
    db.add(group)
    note(db, by, "resource-group.create", new.name, None, None, _state(group))
    return group


def change_group(
    db: Session, name: str, change: GroupChange, by: str, default_enforcer: str = DEFAULT
) -> ResourceGroupRow:
    """Title, hours and enforcer, those of them that are given.

    Raises BadValue, Conflict when it has changed since ``version`` or sessions are held by
    another enforcer, NotFound.
    """
    group = existing_group(db, name)
    before = _state(group)
    after = dict(before)
    if "title" in change.model_fields_set:
        after["title"] = change.title
    if "hours" in change.model_fields_set:
        after["hours"] = _windows(change)
    if "enforcer" in change.model_fields_set:
        after["enforcer"] = change.enforcer
    check_version(change.version, before, after, f"The resource group {name}")
    if after["enforcer"] != before["enforcer"]:
        group.enforcer = change.enforcer
        db.flush()
        nodes = db.scalars(select(NodeRow).where(NodeRow.resource_group == name)).all()
        check_no_other_enforcer(db, nodes, default_enforcer)
    group.title, group.hours = after["title"], after["hours"]
    if after != before:
        note(db, by, "resource-group.change", name, None, before, after)
    return group


def group_version(group: ResourceGroupRow) -> str:
    """Another one as soon as somebody has changed it."""
    return version_of(_state(group))


def delete_group(db: Session, name: str, by: str) -> ResourceGroupRow:
    """Remove a group that nothing names any more. Raises Conflict, NotFound."""
    group = existing_group(db, name)
    if name == DEFAULT_GROUP:
        raise Conflict("The resource group 'default' stays: new nodes are in it.")
    nodes = db.scalar(select(func.count()).where(NodeRow.resource_group == name)) or 0
    if nodes:
        raise Conflict(
            f"The resource group '{name}' still has nodes ({nodes}). Move them to another first."
        )
    allowed = db.execute(select(ProjectRow.name, ProjectRow.resource_groups)).all()
    naming = sorted(project for project, groups in allowed if name in (groups or ()))
    if naming:
        raise Conflict(
            f"The resource group '{name}' is one of those that these projects may use:"
            f" {', '.join(naming[:3])}{', ...' if naming[3:] else ''}. Take it from them first."
        )
    db.delete(group)
    note(db, by, "resource-group.delete", name, None, _state(group), None)
    return group


def _windows(change: NewGroup | GroupChange) -> list[dict[str, Any]] | None:
    """Raises BadValue that names the field of the window at fault."""
    return None if change.hours is None else hours.read_windows(change.hours, "hours")


def _state(group: ResourceGroupRow) -> dict[str, Any]:
    return {"title": group.title, "hours": group.hours, "enforcer": group.enforcer}


def check_group_exists(db: Session, name: str) -> None:
    """Raises BadValue for a group that somebody names and that is not there."""
    if db.get(ResourceGroupRow, name) is None:
        known = ", ".join(group.name for group in list_groups(db))
        raise BadValue(
            f"There is no resource group '{name}'; there are: {known}.", field="resource_group"
        )

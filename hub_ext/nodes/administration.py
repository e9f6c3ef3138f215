"""What an admin sets for a node: drained or in service, its resource group, its labels."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StrictBool
from pydantic_core import PydanticCustomError
from sqlalchemy.orm import Session

from hub_ext.db.models import NodeRow
from hub_ext.errors import NotFound
from hub_ext.gpu.enforcers import DEFAULT
from hub_ext.gpu.enforcers.choice import check_no_other_enforcer
from hub_ext.nodes.groups import (
    DEFAULT_GROUP,
    EnforcerName,
    GroupName,
    check_group_exists,
)
from hub_ext.projects.audit import note

MAX_LABELS = 64
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")


def _labels(labels: dict[str, str]) -> dict[str, str]:
    """Keys and values as Kubernetes has them; a value may be empty."""
    if len(labels) > MAX_LABELS:
        raise PydanticCustomError(
            "labels",
            "{count} are too many; a node has {most} at most",
            {"count": len(labels), "most": MAX_LABELS},
        )
    for key, value in labels.items():
        for text in (key, value or "x"):
            if not _LABEL.fullmatch(text):
                raise PydanticCustomError(
                    "labels",
                    "'{text}' is not possible; use 1 to 63 letters, digits, '.', '_', '-', '/',"
                    " with a letter or digit at both ends",
                    {"text": text[:80]},
                )
    return labels


class NodeChange(BaseModel):
    """Body of ``PATCH /nodes/{name}``; what is not given stays as it is.

    labels: all of them; those that are not named are taken away. enforcer: null is that of the
    resource group.
    """

    model_config = ConfigDict(extra="forbid")

    drained: StrictBool = False
    resource_group: GroupName = DEFAULT_GROUP
    labels: Annotated[dict[str, str], AfterValidator(_labels)] = {}
    enforcer: EnforcerName | None = None


def existing_node(db: Session, name: str) -> NodeRow:
    """One node. Raises NotFound."""
    node = db.get(NodeRow, name) if name.isprintable() else None
    if node is None:
        raise NotFound(f"There is no node '{name}'.")
    return node


def change_node(
    db: Session, name: str, change: NodeChange, by: str, default_enforcer: str = DEFAULT
) -> NodeRow:
    """Set what is given. Draining stops nothing: no new session is placed there.

    Raises BadValue for an unknown resource group, Conflict while sessions are held by another
    enforcer, NotFound.
    """
    node = existing_node(db, name)
    given = change.model_dump(include=change.model_fields_set)
    if "resource_group" in given:
        check_group_exists(db, change.resource_group)
    before = _state(node)
    for field, value in given.items():
        setattr(node, field, value)
    db.flush()
    after = _state(node)
    if any(before[field] != after[field] for field in ("enforcer", "resource_group")):
        check_no_other_enforcer(db, [node], default_enforcer)
    if after != before:
        note(db, by, _action(before, after), name, None, before, after)
    return node


def _action(before: dict[str, Any], after: dict[str, Any]) -> str:
    """For the audit log."""
    if before["drained"] == after["drained"]:
        return "node.change"
    return "node.drain" if after["drained"] else "node.resume"


def _state(node: NodeRow) -> dict[str, Any]:
    return {
        "drained": node.drained,
        "resource_group": node.resource_group,
        "labels": dict(node.labels),
        "enforcer": node.enforcer,
    }

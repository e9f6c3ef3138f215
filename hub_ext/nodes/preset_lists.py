"""Which projects name a preset among those that they allow, and what becomes of their lists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import ProjectRow
from hub_ext.errors import Conflict
from hub_ext.projects.audit import note


def projects_by_preset(db: Session) -> dict[str, list[str]]:
    """Projects whose list, or an admin's bounds for it, has a preset: names by preset."""
    query = select(ProjectRow.name, ProjectRow.presets, ProjectRow.bounds)
    found: dict[str, list[str]] = defaultdict(list)
    for name, presets, bounds in db.execute(query.order_by(ProjectRow.name)):
        for preset in {*(presets or ()), *_bounds(bounds)}:
            found[preset].append(name)
    return found


def take_from_projects(db: Session, preset: str, by: str) -> list[str]:
    """Take it out of all lists; the names of the projects that had it.

    An empty list would allow nothing, and none at all would allow everything: a project that
    allows this preset alone is in the way. Raises Conflict.
    """
    names = projects_by_preset(db).get(preset, [])
    query = select(ProjectRow).where(ProjectRow.name.in_(names)).order_by(ProjectRow.name)
    rows = db.scalars(query).all()
    only = [row.name for row in rows if row.presets == [preset] and row.archived_at is None]
    if only:
        raise Conflict(
            f"The preset {preset} is the only one that these projects allow:"
            f" {', '.join(only[:3])}{', ...' if only[3:] else ''}. Allow another one there first."
        )
    for row in rows:
        _take(db, row, preset, by)
    return [row.name for row in rows]


def _take(db: Session, row: ProjectRow, preset: str, by: str) -> None:
    """An archived project may keep a name that is gone: restored, it allows nothing more."""
    before = row.presets
    bounds = [name for name in _bounds(row.bounds) if name != preset]
    if bounds:
        row.bounds = {**row.bounds, "presets": bounds}
    kept = [name for name in before or () if name != preset]
    if kept:
        row.presets = kept
    row.version += 1
    if row.presets != before:
        after = {"presets": row.presets}
        note(db, by, "project.change", row.name, row.name, {"presets": before}, after)


def _bounds(bounds: Mapping[str, Any]) -> list[str]:
    return list(bounds.get("presets") or ())

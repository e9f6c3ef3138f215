"""The tree of projects: how it is read, and how it is walked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from hub_ext.db.models import ProjectRow
from hub_ext.errors import BadValue

MAX_DEPTH = 10
"""Levels that the tree may have."""

Rows = Mapping[str, ProjectRow]
"""Projects by name."""


def read_projects(db: Session, *, for_change: bool = False) -> dict[str, ProjectRow]:
    """All projects, archived ones too, the oldest first; ``for_change`` locks them."""
    query = select(ProjectRow).order_by(ProjectRow.created_order)
    if for_change:
        query = query.with_for_update()
    return {row.name: row for row in db.scalars(query)}


def read_lineage(db: Session, name: str) -> dict[str, ProjectRow]:
    """The project and those above it, without reading all the others."""
    found: dict[str, ProjectRow] = {}
    row = db.get(ProjectRow, name)
    while row is not None and row.name not in found:
        found[row.name] = row
        row = db.get(ProjectRow, row.parent) if row.parent is not None else None
    return found


def read_lineages(db: Session, names: Collection[str]) -> dict[str, ProjectRow]:
    """These projects and all above them, without reading the others; a query a level."""
    found: dict[str, ProjectRow] = {}
    wanted = set(names)
    while wanted:
        rows = db.scalars(select(ProjectRow).where(ProjectRow.name.in_(wanted))).all()
        found |= {row.name: row for row in rows}
        wanted = {row.parent for row in rows if row.parent is not None} - found.keys()
    return found


def with_below(db: Session, name: str) -> list[str]:
    """The names of the project and of all below it, by name."""
    tree = select(ProjectRow.name).where(ProjectRow.name == name).cte("tree", recursive=True)
    child = aliased(ProjectRow)
    tree = tree.union(select(child.name).where(child.parent == tree.c.name))
    return sorted(db.scalars(select(tree.c.name)))


class Place(NamedTuple):
    """A project in the tree, where more of it is not needed."""

    name: str
    parent: str | None
    open_to_all: bool


_Each = TypeVar("_Each", ProjectRow, Place)


def lineage(rows: Mapping[str, _Each], name: str) -> list[_Each]:
    """The project and those above it, the nearest first. Ends where a circle would begin."""
    found: list[_Each] = []
    here = rows.get(name)
    while here is not None and here not in found:
        found.append(here)
        here = rows.get(here.parent) if here.parent is not None else None
    return found


def below(rows: Rows, name: str) -> list[str]:
    """All projects below it."""
    return [
        other
        for other in rows
        if other != name and any(row.name == name for row in lineage(rows, other))
    ]


def depth_first(rows: Rows) -> list[ProjectRow]:
    """Every project after its parent; siblings in the given order."""
    children: dict[str | None, list[ProjectRow]] = {}
    for row in rows.values():
        top = row.parent if row.parent in rows else None
        children.setdefault(top, []).append(row)

    def walk(parent: str | None) -> Iterator[ProjectRow]:
        for row in children.get(parent, ()):
            yield row
            yield from walk(row.name)

    return list(walk(None))


def check_place(rows: Rows, name: str, parent: str | None) -> None:
    """Raises BadValue when ``name`` below ``parent`` makes a circle or too deep a tree."""
    if parent is None:
        return
    above = lineage(rows, parent)
    if any(row.name == name for row in above):
        raise BadValue(
            f"{name} cannot be below {parent}: {parent} is below {name}."
            if name != parent
            else f"{name} cannot be its own parent.",
            field="parent",
        )
    deepest = max(len(lineage(rows, each)) for each in [name, *below(rows, name)])
    levels = len(above) + 1 + deepest - len(lineage(rows, name))
    if levels > MAX_DEPTH:
        raise BadValue(
            f"{name} below {parent} makes a tree of {levels} levels; {MAX_DEPTH} are allowed.",
            field="parent",
        )

"""The tree of projects as names and their parents. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hub_ext.errors import BadValue

MAX_DEPTH = 10
"""Levels that the tree may have."""

Parents = Mapping[str, str | None]


def above(name: str, parents: Parents) -> list[str]:
    """The projects above it, the nearest first."""
    found: list[str] = []
    parent = parents.get(name)
    while parent is not None:
        found.append(parent)
        parent = parents.get(parent)
    return found


def below(name: str, parents: Parents) -> list[str]:
    """All projects below it."""
    return [other for other in parents if name in above(other, parents)]


def depth_first(parents: Parents) -> list[str]:
    """Every project after its parent; siblings in the given order."""
    children: dict[str | None, list[str]] = {}
    for name, parent in parents.items():
        top = parent if parent in parents else None
        children.setdefault(top, []).append(name)

    def walk(parent: str | None) -> Iterator[str]:
        for name in children.get(parent, ()):
            yield name
            yield from walk(name)

    return list(walk(None))


def check_place(name: str, parent: str | None, parents: Parents) -> None:
    """Raises BadValue when ``name`` below ``parent`` makes a circle or too deep a tree."""
    if parent is None:
        return
    line = [parent, *above(parent, parents)]
    if name in line:
        raise BadValue(
            f"{name} cannot be below {parent}: {parent} is below {name}."
            if name != parent
            else f"{name} cannot be its own parent.",
            field="parent",
        )
    deepest = max((len(above(other, parents)) for other in below(name, parents)), default=None)
    own_levels = 1 if deepest is None else deepest - len(above(name, parents)) + 1
    levels = len(line) + own_levels
    if levels > MAX_DEPTH:
        raise BadValue(
            f"{name} below {parent} makes a tree of {levels} levels; {MAX_DEPTH} are allowed.",
            field="parent",
        )

"""Images as people choose them: a family, then one of its versions. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub_ext.images.catalogue import CatalogueImage

OTHERS = "Others"
"""Title of the images without labels, which are one family together."""


@dataclass(frozen=True, slots=True)
class Family:
    """``images``: its versions, in the order to offer them. ``labelled``: not the others."""

    title: str
    images: tuple[CatalogueImage, ...]
    labelled: bool = True


def families(images: Iterable[CatalogueImage], used: Sequence[str] = ()) -> list[Family]:
    """The families by title, those without labels last; their versions the newest first.

    A family has one title: an image that inherits the label of its parent's family, but has a
    title of its own, is one of its own. ``used``: references that the user has had, the latest
    first. Families of those lead, and in each of them the version that was used last.
    """
    place = {reference: number for number, reference in reversed(list(enumerate(used)))}
    groups: dict[tuple[str, str] | None, list[CatalogueImage]] = {}
    for image in images:
        key = (image.family, image.title) if image.labelled else None
        groups.setdefault(key, []).append(image)

    def last_used(family: Family) -> int:
        return min(place.get(image.reference, len(used)) for image in family.images)

    found = [_family(group, place) for group in groups.values()]
    return sorted(found, key=lambda f: (last_used(f), not f.labelled, f.title.casefold()))


def _family(group: list[CatalogueImage], place: dict[str, int]) -> Family:
    if not group[0].labelled:
        title, ordered = OTHERS, sorted(group, key=lambda image: image.reference)
    else:
        ordered = sorted(group, key=lambda i: (by_version(i.version), i.created), reverse=True)
        title = ordered[0].title
    last = min(ordered, key=lambda image: place.get(image.reference, len(place)))
    if last.reference in place:
        ordered = [last, *(image for image in ordered if image is not last)]
    return Family(title, tuple(ordered), group[0].labelled)


def by_version(version: str) -> tuple[tuple[int, int | str], ...]:
    """Sorts versions by their numbers: latest < 2.9 < 2.15-cpu < 2.15."""
    parts = re.findall(r"[0-9]+|[^0-9]+", version)
    return (*((1, int(part)) if part.isdecimal() else (0, part) for part in parts), (2, ""))

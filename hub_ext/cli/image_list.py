"""What ``apportion image list`` shows: families, versions, sizes, who sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hub_ext.cli.client import ClientError
from hub_ext.cli.credentials import connect
from hub_ext.cli.tables import show_table
from hub_ext.images.catalogue import CatalogueImage
from hub_ext.images.failure import ImageBuildError
from hub_ext.images.families import families
from hub_ext.images.recipes import Recipe, load_recipes

_PATIENCE_S = 5.0
_MIB = 1024 * 1024


def recipes_not_built(there: Iterable[str]) -> list[Recipe]:
    """The recipes of this clone without an image among ``there``; none outside of a clone."""
    built = set(there)
    try:
        return [recipe for recipe in load_recipes() if recipe.reference not in built]
    except ImageBuildError:
        return []


def optional_names(recipes: Iterable[Recipe]) -> list[str]:
    """Of those that are built only by name."""
    return [recipe.name for recipe in recipes if recipe.optional]


def seen_by() -> dict[str, str]:
    """Who sees an image, by reference, as far as the service says; empty when it does not."""
    try:
        client = connect("")
        client.timeout_s = _PATIENCE_S
        images = client.get("images")["images"]
    except (ClientError, KeyError):
        return {}
    return {image["reference"]: _people(image) for image in images}


def _people(image: Mapping[str, Any]) -> str:
    """ "all", "alice" or "ml101, cv"."""
    match image["visibility"]:
        case "user":
            return image["owner"] or "admins"
        case "project":
            return ", ".join(image["projects"]) or "projects"
        case visibility:
            return str(visibility)


def show_images(images: Iterable[CatalogueImage], seen: Mapping[str, str]) -> None:
    """A line for each version, below its family."""
    rows = []
    for family in families(images):
        title = family.title
        for image in family.images:
            apps = ", ".join(app.title for app in image.apps)
            size = f"{image.size_bytes / _MIB:,.0f} MiB"
            version = image.version if family.labelled else ""
            rows.append(
                (title, version, image.reference, apps, size, seen.get(image.reference, ""))
            )
            title = ""
    titles = ("TITLE", "VERSION", "IMAGE", "APPS", ">SIZE", "SEEN BY")
    show_table(titles if seen else titles[:-1], [row[: None if seen else -1] for row in rows])


def images_json(
    images: Iterable[CatalogueImage], missing: Sequence[Recipe], seen: Mapping[str, str]
) -> list[dict[str, Any]]:
    """For programs. ``seen_by`` is null where the service did not say."""
    there = [
        {**asdict(image), "built": True, "seen_by": seen.get(image.reference)} for image in images
    ]
    return there + [
        {"reference": recipe.reference, "built": False, "optional": recipe.optional}
        for recipe in missing
    ]

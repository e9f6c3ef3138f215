"""Recipes under images/: which images there are, and what each is made of. Reads files only."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub_ext import __version__
from hub_ext.images.catalogue import HIDDEN_LABEL, IMAGE_LABEL, PREFIX
from hub_ext.images.failure import ImageBuildError

REPOSITORY = "apportion"
SOURCE_LABEL = PREFIX + "source"
"""Hash of everything that an image was made of; the same hash needs no new build."""
EXTENSION_LABEL = PREFIX + "labextension"
"""On images that have been built without the JupyterLab extension: "missing"."""

_ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DIRECTORY = _ROOT / "images"
LABEXTENSION = _ROOT / "labextension"
PREBUILT = "apportion_lab/labextension"
"""Below LABEXTENSION: where npm puts the prebuilt extension, and the wheel looks for it."""
_NOT_SOURCES = {"__pycache__", ".ipynb_checkpoints"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image to build. ``parent`` is a reference of this site, "" for the distribution.

    ``optional``: built only when it is named. ``variant``: of the image before it, and built
    only under its full name. ``disk_gib``: what its build needs free at its peak, where that is
    more than the base needs.
    """

    reference: str
    directory: Path
    parent: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False
    variant: str = ""
    disk_gib: int = 0

    @property
    def name(self) -> str:
        """A short name for containers and progress: "data-science:sklearn-1.9"."""
        return self.reference.removeprefix(f"{REPOSITORY}/")


def load_recipes(directory: Path = DEFAULT_DIRECTORY) -> list[Recipe]:
    """All recipes of ``images.toml``, parents before children.

    Raises ImageBuildError when the file is missing, malformed, or out of order.
    """
    path = directory / "images.toml"
    try:
        declared = tomllib.loads(path.read_text(encoding="utf-8"))["image"]
        recipes = [recipe for entry in declared for recipe in _recipes(directory, entry)]
    except OSError as error:
        raise ImageBuildError(
            f"Cannot read the images' recipes: {error}", "Run the build from a clone."
        ) from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ImageBuildError(f"{path} is malformed: {error!r}", "Correct the file.") from error
    known = {""}
    for recipe in recipes:
        if recipe.parent not in known:
            raise ImageBuildError(
                f"{path}: {recipe.reference} comes before its parent {recipe.parent}.",
                "Put the parent's [[image]] first.",
            )
        known.add(recipe.reference)
    return recipes


def _recipes(directory: Path, entry: Mapping[str, Any]) -> Iterator[Recipe]:
    """The image of an entry, and its variants."""
    plain = _recipe(directory, entry)
    yield plain
    for name, changes in entry.get("variants", {}).items():
        labels = {"version": f"{entry['labels']['version']}-{name}"} | changes.get("labels", {})
        yield _recipe(
            directory,
            {
                **entry,
                "tag": f"{entry['tag']}-{name}",
                "arguments": {**entry.get("arguments", {}), **changes.get("arguments", {})},
                "labels": {**entry["labels"], **labels},
                "optional": True,
                "disk_gib": changes.get("disk_gib", entry.get("disk_gib", 0)),
            },
            variant=name,
        )


def _recipe(directory: Path, entry: Mapping[str, Any], variant: str = "") -> Recipe:
    labels = {
        PREFIX + key: str(value).format(version=__version__) if key == "version" else str(value)
        for key, value in dict(entry["labels"]).items()
    }
    parent = str(entry.get("parent", ""))
    arguments = dict(entry.get("arguments", {}))
    optional = entry.get("optional", False)
    if not isinstance(optional, bool):
        raise ValueError(f"optional is true or false, not {optional!r}")
    return Recipe(
        reference=_reference(str(entry["tag"])),
        directory=directory / str(entry["directory"]),
        parent=_reference(parent) if parent else "",
        arguments={str(key): str(value) for key, value in arguments.items()},
        labels={**labels, IMAGE_LABEL: "1", HIDDEN_LABEL: "0"},  # the parent's is inherited
        optional=optional,
        variant=variant,
        disk_gib=int(entry.get("disk_gib", 0)),
    )


def _reference(tag: str) -> str:
    return f"{REPOSITORY}/{tag.format(version=__version__)}"


def choose(recipes: list[Recipe], names: Iterable[str]) -> list[Recipe]:
    """The recipes that ``names`` mean, with their parents; without names, all not optional.

    A name is a reference, "data-science:sklearn-1.9", or a family for all its versions (but
    not their variants). Raises ImageBuildError for a name that means nothing.
    """
    wanted: set[str] = set()
    for name in names:
        found = [recipe for recipe in recipes if _is_meant(recipe, name)]
        if not found:
            there = ", ".join(recipe.name for recipe in recipes)
            raise ImageBuildError(f"There is no image {name!r} to build.", f"There are: {there}.")
        wanted.update(recipe.reference for recipe in found)
    if not wanted:
        wanted.update(recipe.reference for recipe in recipes if not recipe.optional)
    for recipe in reversed(recipes):
        if recipe.reference in wanted and recipe.parent:
            wanted.add(recipe.parent)
    return [recipe for recipe in recipes if recipe.reference in wanted]


def _is_meant(recipe: Recipe, name: str) -> bool:
    family = recipe.name.partition(":")[0]
    return name in {recipe.reference, recipe.name} or (name == family and not recipe.variant)


def source_hash(recipe: Recipe, parent_hash: str, *, has_extension: bool = True) -> str:
    """sha256 over all that ``recipe`` is made of, its parent included.

    ``has_extension`` False: for an image whose JupyterLab extension could not be built.
    """
    digest = hashlib.sha256()
    facts = [
        parent_hash,
        *(f"{key}={value}" for key, value in sorted(recipe.arguments.items())),
        *(f"{key}={value}" for key, value in sorted(recipe.labels.items())),
        *([] if has_extension else [EXTENSION_LABEL]),
    ]
    for fact in facts:
        digest.update(f"{len(fact)}:{fact}".encode())
    for name, path in sorted(inputs(recipe).items()):
        executable = bool(path.stat().st_mode & 0o100)
        digest.update(f"\0{name}\0{executable}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def inputs(recipe: Recipe) -> dict[str, Path]:
    """Files of the installation, by their path below /build: recipe, script, extension."""
    found = {f"recipe/{name}": path for name, path in files_below(recipe.directory).items()}
    found["install.sh"] = recipe.directory.parent / "install.sh"
    if not recipe.parent:
        sources = _wheel_sources() | frontend_sources()
        found |= {f"labextension/{name}": path for name, path in sources.items()}
    return found


def _wheel_sources() -> dict[str, Path]:
    """What apportion-lab's wheel is made of, without what npm builds."""
    names = ("pyproject.toml", "hatch_build.py", "README.md", "install.json")
    found = {name: LABEXTENSION / name for name in names}
    for folder in ("apportion_lab", "jupyter-config"):
        below = files_below(LABEXTENSION / folder)
        found |= {f"{folder}/{name}": path for name, path in below.items()}
    return {name: path for name, path in found.items() if not name.startswith(f"{PREBUILT}/")}


def frontend_sources() -> dict[str, Path]:
    """What npm builds the prebuilt extension from, by the path below labextension/."""
    names = ("package.json", "package-lock.json", "tsconfig.json")
    return {name: LABEXTENSION / name for name in names} | {
        f"{folder}/{name}": path
        for folder in ("src", "style")
        for name, path in files_below(LABEXTENSION / folder).items()
    }


def files_below(directory: Path) -> dict[str, Path]:
    """Every source file below ``directory``, by its path relative to it."""
    return {
        path.relative_to(directory).as_posix(): path
        for path in directory.rglob("*")
        if path.is_file() and not _NOT_SOURCES.intersection(path.relative_to(directory).parts[:-1])
    }

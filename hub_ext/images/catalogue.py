"""The catalogue of images, read from Docker labels. Labels come from strangers: never crash."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

PREFIX = "org.apportion."
IMAGE_LABEL = PREFIX + "image"
HIDDEN_LABEL = PREFIX + "hidden"
"""On images that are only a step of a build: never offered."""
SUDO_LABEL = PREFIX + "sudo"
"""On images whose sessions may use sudo."""
SAVED_LABEL = PREFIX + "saved"
"""On images made from sessions: a key of the site that made them."""

_APP_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_TEXT_LIMIT = 500


_APP_PATH = re.compile(r"[\w.~-]+(/[\w.~-]+)*/?(\?[\w.~=&-]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class App:
    """A web application of an image, under the session's own URL at ``path``."""

    name: str
    title: str
    path: str


@dataclass(frozen=True, slots=True)
class CatalogueImage:
    """One image reference of a node. Minima are 0 when the image asks for nothing.

    ``min_cpu_milli`` in milli-CPU, ``min_memory_mib`` in MiB, ``min_fgpu`` in fGPU,
    ``created`` in Unix seconds. ``labelled``: it says itself that it is a kernel image;
    others are usable too, when they can run a Jupyter server. ``saved``: made from a session.
    """

    reference: str
    image_id: str
    family: str
    title: str
    version: str
    description: str = ""
    framework: str = ""
    apps: tuple[App, ...] = ()
    min_cpu_milli: int = 0
    min_memory_mib: int = 0
    min_fgpu: float = 0.0
    size_bytes: int = 0
    created: float = 0.0
    labelled: bool = False
    sudo: bool = False
    saved: bool = False


def list_images(client: Any) -> list[CatalogueImage]:
    """Every tagged image of the engine behind docker-py's ``client``, labelled ones first.

    Blocks; run it on a pool. Raises what docker-py raises when the engine is away.
    """
    entries = client.api.images()
    found = [image for entry in entries for image in images_of_entry(entry)]
    return sorted(found, key=lambda image: (not image.labelled, image.family, image.reference))


def images_of_entry(entry: Mapping[str, Any]) -> list[CatalogueImage]:
    """The images behind one entry of the engine's image list, one a tag; hidden ones left out."""
    labels = entry.get("Labels") or {}
    if not isinstance(labels, Mapping) or _truth(labels.get(HIDDEN_LABEL)):
        return []
    tags = [tag for tag in entry.get("RepoTags") or [] if tag and tag != "<none>:<none>"]
    return [
        parse_image(
            tag,
            labels,
            image_id=str(entry.get("Id") or ""),
            size_bytes=_whole(entry.get("Size")),
            created=_unix(entry.get("Created")),
        )
        for tag in tags
    ]


def parse_image(
    reference: str,
    labels: Mapping[str, Any],
    *,
    image_id: str = "",
    size_bytes: int = 0,
    created: float = 0.0,
) -> CatalogueImage:
    """What ``labels`` say of ``reference``; whatever is missing or malformed gets a default."""
    repository, tag = split_reference(reference)
    family = _text(labels, "family") or repository
    return CatalogueImage(
        reference=reference,
        image_id=image_id,
        family=family,
        title=_text(labels, "title") or family,
        version=_text(labels, "version") or tag,
        description=_text(labels, "description"),
        framework=_text(labels, "framework"),
        apps=_apps(labels.get(PREFIX + "apps")),
        min_cpu_milli=_whole(labels.get(PREFIX + "min-cpu")),
        min_memory_mib=_whole(labels.get(PREFIX + "min-memory")),
        min_fgpu=_fraction(labels.get(PREFIX + "min-fgpu")),
        size_bytes=size_bytes,
        created=created,
        labelled=_truth(labels.get(IMAGE_LABEL)),
        sudo=_truth(labels.get(SUDO_LABEL)),
        saved=bool(labels.get(SAVED_LABEL)),
    )


def split_reference(reference: str) -> tuple[str, str]:
    """Repository and tag (or digest) of a reference; a registry's port is no tag."""
    if "@" in reference:
        repository, digest = reference.split("@", 1)
        return repository, digest
    head, separator, tail = reference.rpartition(":")
    if not separator or "/" in tail:
        return reference, "latest"
    return head, tail


def _text(labels: Mapping[str, Any], name: str) -> str:
    value = labels.get(PREFIX + name)
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value if c.isprintable()).strip()[:_TEXT_LIMIT]


def _apps(value: Any) -> tuple[App, ...]:
    try:
        declared = json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return ()
    if not isinstance(declared, list):
        return ()
    found = (_app(entry) for entry in declared)
    return tuple(app for app in found if app is not None)


def _app(entry: Any) -> App | None:
    """One declared app, or None: its path goes into links, so it stays below the session's URL."""
    if not isinstance(entry, dict):
        return None
    name, title, path = (entry.get(key) for key in ("name", "title", "path"))
    if not isinstance(name, str) or not _APP_NAME.fullmatch(name):
        return None
    path = f"{name}/" if path is None else path
    if not isinstance(path, str) or not _APP_PATH.fullmatch(path):
        return None
    if ".." in path.split("/"):
        return None
    return App(name, title[:_TEXT_LIMIT] if isinstance(title, str) and title else name, path)


def _truth(value: Any) -> bool:
    return str(value).strip().lower() in {"1", "true", "yes"}


def _whole(value: Any) -> int:
    try:
        return max(0, int(value))
    except (TypeError, ValueError, OverflowError):
        return 0


def _fraction(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if 0 < number < float("inf") else 0.0


def _unix(value: Any) -> float:
    """Unix seconds from what the engine gives: seconds in lists, ISO 8601 when inspected."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError, OSError):
            return 0.0
    return _fraction(value)

"""From an interim image with secrets to a clean one: export, clean, look, load. Blocks."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_ext.images.archive import BadArchive, SavedImage, pack, plain_layer, unpack
from hub_ext.images.cleaning import CleanLayer, clean_layer
from hub_ext.images.leaks import Leaks, secret_values
from hub_ext.images.packed_leaks import PackedLeaks
from hub_ext.images.saved_config import NewImage, saved_config
from hub_ext.nodes.engine import ImageFacts, ImageStore

_SPARE_BYTES = 256 * 1024 * 1024
_CHUNK = 1024 * 1024
_LAYER = "layer.tar"


class SavingFailed(Exception):
    """It cannot become an image; says why."""


@dataclass(frozen=True, slots=True)
class Making:
    """What is to be made.

    ``before_load``: called when nothing but the load can fail, with what was not searched for
    secrets, in a sentence; "" nothing.
    """

    new: NewImage
    interim: str
    parent_id: str
    directory: Path
    before_load: Callable[[str], None]


def make_image(store: ImageStore, making: Making, progress: Callable[[float], None]) -> None:
    """Raises SavingFailed, BadArchive, LeakFound, OSError, or as an engine does.

    Until ``before_load`` was called, nothing but files in ``directory`` and the interim image
    has come of it.
    """
    interim = store.image(making.interim) if making.interim else None
    parent = store.image(making.parent_id)
    if interim is None or parent is None:
        what = "interim image" if interim is None else "image that the session runs"
        raise SavingFailed(f"the {what} has been removed")
    if interim.layers[: len(parent.layers)] != parent.layers:
        raise SavingFailed("the session's image does not begin with its parent's layers")
    # the parent's layers go or stay; its own may be there thrice: packed, plain, clean
    own_bytes = max(0, interim.size_bytes - parent.size_bytes)
    _fresh(making.directory, needed=interim.size_bytes + 2 * own_bytes + _SPARE_BYTES)
    leave_out = () if store.needs_every_layer() else parent.layers
    chunks = _counted(store.export(making.interim), interim.size_bytes, progress, 0.0, 0.6)
    saved = unpack(chunks, making.directory, leave_out)
    environment = interim.config.get("Env") or []
    secrets = secret_values(environment, parent.config.get("Env") or [])
    leaks = PackedLeaks(secrets)
    layer = _clean_top(making.directory, saved, interim, parent, leaks)
    progress(0.8)
    digests = [*parent.layers, *([layer.digest] if layer is not None else [])]
    config = saved_config(making.new, parent.config, saved.config, digests, time.time())
    _look_at(json.loads(config), Leaks(secrets))
    files = [*zip(saved.names, saved.layers, strict=True)][: len(parent.layers)]
    if layer is not None:
        files.append((_LAYER, making.directory / _LAYER))
    making.before_load(leaks.note())
    size = sum(path.stat().st_size for _name, path in files if path is not None)
    archive = pack(making.new.reference, config, files)
    store.load(_counted(archive, size, progress, 0.8, 1.0))


def _fresh(directory: Path, *, needed: int) -> None:
    """An empty directory with room for ``needed`` bytes. Raises SavingFailed."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, mode=0o700)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise SavingFailed(
            f"it takes up to {needed >> 20} MiB of disk in the data directory for a while,"
            f" and {free >> 20} MiB are free"
        )


def _clean_top(
    directory: Path, saved: SavedImage, interim: ImageFacts, parent: ImageFacts, leaks: Leaks
) -> CleanLayer | None:
    """The session's own layer, cleaned; None when there is nothing to keep."""
    if len(saved.layers) != len(interim.layers):
        raise BadArchive("the archive has another number of layers than the image")
    own = saved.layers[len(parent.layers) :]
    if not own:
        return None
    if len(own) != 1 or own[0] is None:
        raise BadArchive("the session's own layer is not in the archive")
    plain = plain_layer(own[0], directory / "plain.tar")
    if plain != own[0] and own[0] not in saved.layers[: len(parent.layers)]:
        own[0].unlink()  # the disk need not hold it packed too, unless a parent's is the same
    if _digest(plain) != interim.layers[-1]:
        raise BadArchive("the session's own layer is damaged")
    layer = clean_layer(plain, directory / _LAYER, leaks)
    return layer if layer.entries else None


def _digest(path: Path) -> str:
    with path.open("rb") as layer:
        return f"sha256:{hashlib.file_digest(layer, 'sha256').hexdigest()}"


def _look_at(value: Any, leaks: Leaks) -> None:
    """Every text of the configuration, as it is read."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _look_at(key, leaks)
            _look_at(item, leaks)
    elif isinstance(value, list):
        for item in value:
            _look_at(item, leaks)
    elif isinstance(value, str):
        leaks.look(value.encode("utf-8", "surrogateescape"))
        leaks.look(b"\0")


def _counted(
    chunks: Iterable[bytes],
    size: int,
    progress: Callable[[float], None],
    low: float,
    high: float,
) -> Iterator[bytes]:
    """The same chunks, and a progress from ``low`` to ``high``."""
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        progress(low + (high - low) * min(1.0, done / max(1, size)))

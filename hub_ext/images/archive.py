"""What ``docker save`` writes, taken apart; and what ``docker load`` reads, put together.

Both the layout of Docker 20.10 and the OCI layout of later releases carry ``manifest.json``,
which names the configuration and the layers from the lowest.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_CHUNK = 1024 * 1024
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_LARGEST_JSON = 16 * 1024 * 1024


class BadArchive(Exception):
    """The engine wrote something that we do not understand."""


@dataclass(frozen=True, slots=True)
class SavedImage:
    """An exported image: its configuration, and files of its layers from the lowest.

    A layer that was left out is None; ``names`` are those in the archive.
    """

    config: dict[str, Any]
    layers: tuple[Path | None, ...]
    names: tuple[str, ...]


def unpack(chunks: Iterable[bytes], directory: Path, leave_out: Collection[str]) -> SavedImage:
    """Files of an archive, in ``directory``; layers with these digests are not kept.

    They come and go one by one: the disk holds the largest of them at most, beside what
    stays. Raises BadArchive.
    """
    files: dict[str, Path | None] = {}
    links: dict[str, str] = {}
    stream = io.BufferedReader(_Chunks(chunks), _CHUNK)
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for number, entry in enumerate(archive):
                if entry.issym() or entry.islnk():
                    links[entry.name] = _link(entry)
                content = archive.extractfile(entry) if entry.isreg() else None
                if content is not None:
                    path = directory / f"part-{number}"
                    digest = _store(content, path)
                    files[entry.name] = None if digest in leave_out else path
                    if digest in leave_out:
                        path.unlink()
    except (tarfile.TarError, EOFError) as error:
        raise BadArchive(f"what Docker has saved is no whole archive: {error}") from error
    return _read_manifest(files, links)


def _link(entry: tarfile.TarInfo) -> str:
    """Docker 20.10 stores a layer that occurs twice as a link ../ID/layer.tar."""
    return entry.linkname.removeprefix("../")


def _store(content: Any, path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as output:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            output.write(chunk)
    return f"sha256:{digest.hexdigest()}"


def _read_manifest(files: dict[str, Path | None], links: dict[str, str]) -> SavedImage:
    try:
        (manifest,) = _json(files["manifest.json"])
        config = _json(files[manifest["Config"]])
        names = tuple(str(name) for name in manifest["Layers"])
        layers = tuple(files[links.get(name, name)] for name in names)
    except (KeyError, TypeError, ValueError) as error:
        raise BadArchive(f"what Docker has saved has no usable manifest: {error!r}") from error
    return SavedImage(config, layers, names)


def _json(path: Path | None) -> Any:
    if path is None or path.stat().st_size > _LARGEST_JSON:
        raise ValueError("no JSON")
    return json.loads(path.read_bytes())


def plain_layer(path: Path, target: Path) -> Path:
    """The layer as a tar file without compression. Raises BadArchive."""
    with path.open("rb") as layer:
        magic = layer.read(4)
    if magic == _ZSTD:
        raise BadArchive("its layer is compressed with zstd, which cannot be read here")
    if not magic.startswith(_GZIP):
        return path
    with gzip.open(path, "rb") as packed, target.open("wb") as plain:
        shutil.copyfileobj(packed, plain, _CHUNK)
    return target


def pack(
    reference: str, config: bytes, layers: Iterable[tuple[str, Path | None]]
) -> Iterator[bytes]:
    """An archive for the engine, chunk by chunk; of a layer without a file it has its own."""
    layers = list(layers)
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = {
        "Config": config_name,
        "RepoTags": [reference],
        "Layers": [name for name, _path in layers],
    }
    yield from _member(config_name, io.BytesIO(config), len(config))
    written: set[str] = set()
    for name, path in layers:
        if path is not None and name not in written:
            written.add(name)
            with path.open("rb") as layer:
                yield from _member(name, layer, path.stat().st_size)
    content = json.dumps([manifest]).encode()
    yield from _member("manifest.json", io.BytesIO(content), len(content))
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _member(name: str, content: BinaryIO, size: int) -> Iterator[bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    yield entry.tobuf(tarfile.PAX_FORMAT)
    while chunk := content.read(_CHUNK):
        yield chunk
    yield b"\0" * (-size % tarfile.BLOCKSIZE)


class _Chunks(io.RawIOBase):
    """A file that reads from an iterator of chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """0 at the end."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

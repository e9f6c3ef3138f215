"""The layer that a session has written, without what must not be kept.

Entries that stay are copied byte for byte: owners, times, extended attributes and whiteouts
are as the engine wrote them. Memory does not grow with the number of files.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hub_ext.images.archive import BadArchive
from hub_ext.images.kept_paths import is_kept
from hub_ext.images.leaks import Leaks

_CHUNK = 256 * 1024
_BLOCK = tarfile.BLOCKSIZE
_END = b"\0" * (2 * _BLOCK)


@dataclass(frozen=True, slots=True)
class CleanLayer:
    """The new tar file; ``digest`` as in "sha256:...". ``entries``: how many files it has."""

    digest: str
    entries: int
    size_bytes: int


def clean_layer(source: Path, target: Path, leaks: Leaks) -> CleanLayer:
    """Write to ``target`` what stays of ``source``. Raises LeakFound naming the path, BadArchive.

    A file that goes may have another name (a hard link) that stays: it keeps its content.
    """
    moved = _moved_links(source)
    with source.open("rb") as layer, target.open("wb") as output:
        writer = _Writer(output, leaks)
        for entry in _entries(source):
            name = entry.name
            if name in moved:
                entry.name = moved[name]
                writer.header(entry, entry.name)
                writer.copy(layer, entry.offset_data, _padded(entry.size), entry.name)
            elif not is_kept(name, is_directory=entry.isdir()):
                continue
            elif entry.islnk() and entry.linkname in moved:
                if name != moved[entry.linkname]:
                    entry.linkname = moved[entry.linkname]
                    writer.header(entry, name)
            else:
                end = entry.offset_data + _padded(entry.size if entry.isreg() else 0)
                writer.copy(layer, entry.offset, end - entry.offset, name)
        return writer.finish()


def _moved_links(source: Path) -> dict[str, str]:
    """Files that go but have other names that stay: the first of those."""
    moved: dict[str, str] = {}
    for entry in _entries(source):
        goes = entry.islnk() and not is_kept(entry.linkname, is_directory=False)
        if goes and is_kept(entry.name, is_directory=False):
            moved.setdefault(entry.linkname, entry.name)
    return moved


def _entries(source: Path) -> Iterator[tarfile.TarInfo]:
    """The headers, one after the other; tarfile would remember them all.

    Raises BadArchive when something follows that is no entry: tarfile takes that for the end.
    """
    end = 0
    try:
        with tarfile.open(source, "r:") as archive:
            while (entry := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]
                end = entry.offset_data + _padded(entry.size if entry.isreg() else 0)
                yield entry
    except tarfile.TarError as error:
        raise BadArchive(f"its layer cannot be read: {error}") from error
    with source.open("rb") as layer:
        layer.seek(end)
        while chunk := layer.read(_CHUNK):
            if chunk.strip(b"\0"):
                raise BadArchive("a file of its layer cannot be read")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


class _Writer:
    """Writes, hashes, and looks at every byte for what must not be there."""

    def __init__(self, output: BinaryIO, leaks: Leaks) -> None:
        self._output = output
        self._leaks = leaks
        self._hash = hashlib.sha256()
        self._entries = 0
        self._size = 0

    def copy(self, source: BinaryIO, offset: int, length: int, name: str) -> None:
        """``length`` bytes from ``offset``. Raises BadArchive, LeakFound."""
        source.seek(offset)
        self._leaks.begin(name)
        while length:
            chunk = source.read(min(length, _CHUNK))
            if not chunk:
                raise BadArchive("its layer ends in the middle of a file")
            self._write(chunk)
            length -= len(chunk)
        self._entries += 1

    def header(self, entry: tarfile.TarInfo, name: str) -> None:
        """A header with another name or link than it had."""
        for key in ("path", "linkpath"):
            entry.pax_headers.pop(key, None)  # type: ignore[attr-defined]
        self._leaks.begin(name)
        self._write(entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        self._entries += 1

    def _write(self, chunk: bytes) -> None:
        self._leaks.look(chunk)
        self._hash.update(chunk)
        self._output.write(chunk)
        self._size += len(chunk)

    def finish(self) -> CleanLayer:
        """The end of the tar file."""
        self._leaks.begin("")
        self._write(_END)
        return CleanLayer(f"sha256:{self._hash.hexdigest()}", self._entries, self._size)

"""Recognises compressed data by its first bytes and unpacks it, piece by piece.

What is unpacked at a time, and what a decoder needs in memory, is bounded; how much comes out
in all is for the caller to bound.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

PIECE = 256 * 1024
"""Bytes that are unpacked at a time."""
_XZ_MEMORY = 128 * 1024 * 1024
"""``xz -9`` needs 65 MiB; a header may ask for 4 GiB."""


class Unreadable(Exception):
    """It is packed in a way that is not read here; says how."""


class Damaged(Exception):
    """It only looked like it, or breaks off."""


class Decoder:
    """One compressed stream: hand in what comes, take out pieces until it is ``done``."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._engine = make()
        self.done = False
        self.rest = b""
        """What came after the end."""

    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        """Pieces of at most PIECE bytes. Raises Damaged, Unreadable."""
        waiting = chunk
        while not self.done:
            piece = self._step(waiting)
            waiting = getattr(self._engine, "unconsumed_tail", b"")
            if piece:
                yield piece
            if self._engine.eof:
                self.done, self.rest = True, self._engine.unused_data
            elif not piece or (len(piece) < PIECE and not waiting and self._wants_more()):
                return

    def _wants_more(self) -> bool:
        """zlib does not say; what it still holds is less than a piece."""
        return bool(getattr(self._engine, "needs_input", True))

    def _step(self, waiting: bytes) -> bytes:
        try:
            return bytes(self._engine.decompress(waiting, PIECE))
        except (zlib.error, OSError, EOFError, ValueError) as error:
            raise Damaged from error
        except lzma.LZMAError as error:
            if "emory" in str(error):
                raise Unreadable("it needs too much memory to unpack") from error
            raise Damaged from error


class ZipMember:
    """From a member's local header on; the archive's directory is not needed."""

    _HEADER = 30
    _METHODS: dict[int, Callable[[], Any]] = {
        8: lambda: zlib.decompressobj(-zlib.MAX_WBITS),
        12: bz2.BZ2Decompressor,
    }
    _STORED, _ENCRYPTED = 0, 1

    def __init__(self) -> None:
        self._header = b""
        self._inner: Decoder | None = None
        self._done = False
        self._rest = b""

    @property
    def done(self) -> bool:
        """It is at its end."""
        return self._done or (self._inner is not None and self._inner.done)

    @property
    def rest(self) -> bytes:
        """What came after that."""
        return self._inner.rest if self._inner is not None else self._rest

    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        """As a Decoder. A member that is only stored ends after its header: it is plain."""
        if self._inner is None:
            self._header += chunk
            if (end := self._end_of_header()) is None:
                return
            chunk, self._header = self._header[end:], self._header[:end]
            self._begin(chunk)
        if self._inner is not None:
            yield from self._inner.unpack(chunk)

    def _end_of_header(self) -> int | None:
        """None while it is not whole."""
        if len(self._header) < self._HEADER:
            return None
        names = int.from_bytes(self._header[26:28], "little")
        extra = int.from_bytes(self._header[28:30], "little")
        end = self._HEADER + names + extra
        return end if len(self._header) >= end else None

    def _begin(self, content: bytes) -> None:
        flags = int.from_bytes(self._header[6:8], "little")
        method = int.from_bytes(self._header[8:10], "little")
        if flags & self._ENCRYPTED:
            raise Unreadable("it is encrypted")
        if method == self._STORED:
            self._done, self._rest = True, content
        elif method in self._METHODS:
            self._inner = Decoder(self._METHODS[method])
        else:
            raise Unreadable(f"method {method} of zip cannot be read here")


@dataclass(frozen=True, slots=True)
class Kind:
    """Of compressed data: ``magic`` is found fast, ``header`` tells whether it is meant."""

    name: str
    magic: bytes
    header: re.Pattern[bytes]
    make: Callable[[], Decoder | ZipMember] | None
    """None: not read here."""


def _kind(
    name: str, magic: bytes, more: bytes, make: Callable[[], Decoder | ZipMember] | None
) -> Kind:
    return Kind(name, magic, re.compile(re.escape(magic) + more, re.DOTALL), make)


_BIT_3_IS_0 = b"[" + b"".join(re.escape(bytes([b])) for b in range(256) if not b & 8) + b"]"
_READ = (
    # RFC 1952: flags, time, kind of compression, operating system
    _kind(
        "gzip",
        b"\x1f\x8b\x08",
        rb"[\x00-\x1f].{4}[\x00\x02\x04][\x00-\x0d\xff]",
        lambda: Decoder(lambda: zlib.decompressobj(16 + zlib.MAX_WBITS)),
    ),
    _kind(
        "xz",
        b"\xfd7zXZ\x00",
        rb"\x00[\x00\x01\x04\x0a]",
        lambda: Decoder(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)),
    ),
    _kind("bzip2", b"BZh", rb"[1-9]1AY&SY", lambda: Decoder(bz2.BZ2Decompressor)),
    # version needed, flags, method
    _kind("zip", b"PK\x03\x04", rb"[\x00-\x3f].{3}[\x00-\x63]\x00", ZipMember),
)
_UNREAD = (
    # RFC 8878: of the frame header's descriptor bit 3 is 0
    _kind("zstd", b"\x28\xb5\x2f\xfd", _BIT_3_IS_0, None),
    _kind("7z", b"7z\xbc\xaf\x27\x1c", rb"\x00", None),
    _kind("rar", b"Rar!\x1a\x07", rb"[\x00\x01]", None),
)
LONGEST_HEADER = 16
"""Bytes that tell whether it is one of these."""


def first_packed(window: bytes, *, of_file: bool = False) -> tuple[int, Kind] | None:
    """Where the first compressed data begins, and what it is.

    What is not read here is looked for only at the beginning ``of_file``: each kind costs as
    much as a secret.
    """
    best: tuple[int, Kind] | None = None
    for kind in (*_READ, *_UNREAD) if of_file else _READ:
        end = best[0] if best is not None else len(window)
        at = window.find(kind.magic, 0, end)
        while at >= 0 and kind.header.match(window, at) is None:
            at = window.find(kind.magic, at + 1, end)
        if at >= 0:
            best = (at, kind)
    return best

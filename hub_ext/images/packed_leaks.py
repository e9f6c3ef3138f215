"""Looks for secrets in compressed data as well, whatever it is packed in, within bounds.

Nothing is written and little is held: what is unpacked is looked at piece by piece, and again
for compressed data in it, such as a wheel in a tar.gz. Neither a file that unpacks without end
nor many of them keep the service: bytes and seconds are bounded, for each file and in all.
What could not be searched is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hub_ext.images.leaks import Leaks
from hub_ext.images.unpacking import (
    LONGEST_HEADER,
    Damaged,
    Kind,
    Unreadable,
    first_packed,
)

_DEEPEST = 4
"""Packed in one another."""
_NAMED = 5
_SHOWN = 150


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of what is unpacked: of one file, and of all in an image."""

    file_bytes: int = 2 * 1024**3
    bytes: int = 8 * 1024**3
    file_seconds: float = 60.0
    seconds: float = 300.0


class _OutOfBounds(Exception):
    """Says which bound."""


class _Meter:
    """What was unpacked so far, of the file and in all."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._bounds = bounds
        self._clock = clock
        self._bytes = self._file_bytes = 0
        self._seconds = self._file_seconds = self._since = 0.0

    def begin_file(self) -> None:
        """Another one."""
        self._file_bytes, self._file_seconds = 0, 0.0

    def start(self) -> None:
        """Work begins."""
        self._since = self._clock()

    def stop(self) -> None:
        """Work ends, for now."""
        took = self._clock() - self._since
        self._seconds += took
        self._file_seconds += took

    def count(self, size: int) -> None:
        """So many bytes more. Raises _OutOfBounds."""
        self._bytes += size
        self._file_bytes += size
        took, most = self._clock() - self._since, self._bounds
        if self._file_bytes > most.file_bytes:
            raise _OutOfBounds(f"it unpacks to more than {most.file_bytes >> 20} MiB")
        if self._bytes > most.bytes:
            raise _OutOfBounds(f"{most.bytes >> 20} MiB were unpacked before")
        if self._file_seconds + took > most.file_seconds:
            raise _OutOfBounds(f"it takes more than {most.file_seconds:.0f} s to unpack")
        if self._seconds + took > most.seconds:
            raise _OutOfBounds(f"{most.seconds:.0f} s were spent on others before")


class PackedLeaks(Leaks):
    """As Leaks, and into gzip, xz, bzip2 and zip. Raises LeakFound from ``look``."""

    def __init__(
        self,
        secrets: dict[bytes, str],
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(secrets)
        self.secrets = secrets
        self.meter = _Meter(bounds or Bounds(), clock)
        self._unsearched: dict[str, str] = {}
        self._packed = _Packed(self, "", 0)

    def begin(self, path: str) -> None:
        """What was open of the file before is given up."""
        super().begin(path)
        self.meter.begin_file()
        self._packed = _Packed(self, path, 0)

    def look(self, chunk: bytes) -> None:
        """Raises LeakFound."""
        super().look(chunk)
        if self.secrets:
            self.meter.start()
            self._packed.feed(chunk)
            self.meter.stop()

    def leave_out(self, path: str, why: str) -> None:
        """Not all of this file was searched; the first reason stays."""
        shown = path.encode("utf-8", "replace").decode()
        self._unsearched.setdefault(shown if len(shown) <= _SHOWN else f"...{shown[-_SHOWN:]}", why)

    def note(self) -> str:
        """What was not searched, in a sentence; "" nothing."""
        if not self._unsearched:
            return ""
        number = len(self._unsearched)
        named = [f"{path} ({why})" for path, why in list(self._unsearched.items())[:_NAMED]]
        more = f" and {number - _NAMED} more" if number > _NAMED else ""
        files = "One packed file was" if number == 1 else f"{number} packed files were"
        return (
            f"{files} not searched for the session's secrets, or not to the end:"
            f" {', '.join(named)}{more}."
        )


class _Packed:
    """Compressed data at any place of one stream of bytes."""

    def __init__(self, leaks: PackedLeaks, path: str, depth: int) -> None:
        self._leaks = leaks
        self._path = path
        self._depth = depth
        self._held = b""
        self._inside: _Inside | None = None
        self._given_up = False
        self._at_start = True

    def feed(self, chunk: bytes) -> None:
        """The next bytes. Raises LeakFound."""
        while chunk and not self._given_up:
            chunk = self._seek(chunk) if self._inside is None else self._unpack(chunk)

    def _seek(self, chunk: bytes) -> bytes:
        """Up to where compressed data begins; what follows."""
        window = self._held + chunk
        found = first_packed(window, of_file=self._at_start)
        self._at_start = False
        if found is None:
            self._held = window[1 - LONGEST_HEADER :]
            return b""
        self._held = b""
        at, kind = found
        if self._depth >= _DEEPEST:
            self._give_up(f"files packed in one another more than {_DEEPEST} times")
        elif kind.make is None:
            self._leaks.leave_out(self._path, f"{kind.name} cannot be read here")
            return window[at + len(kind.magic) :]
        else:
            self._inside = _Inside(self._leaks, self._path, self._depth + 1, kind)
        return window[at:]

    def _unpack(self, chunk: bytes) -> bytes:
        """What follows the end of the compressed data."""
        inside = self._inside
        assert inside is not None
        try:
            inside.feed(chunk)
        except _OutOfBounds as bound:
            self._give_up(str(bound))
        except (Damaged, Unreadable) as error:
            if isinstance(error, Unreadable):
                self._leaks.leave_out(self._path, str(error))
            # It was none, or nobody can read it: what follows its first bytes may be another.
            self._inside = None
            return chunk[inside.magic :] if inside.fresh else b""
        if inside.decoder.done:
            self._inside = None
            return inside.decoder.rest
        inside.fresh = False
        return b""

    def _give_up(self, why: str) -> None:
        self._leaks.leave_out(self._path, why)
        self._inside, self._given_up = None, True


class _Inside:
    """What is in compressed data: a stream of its own."""

    def __init__(self, leaks: PackedLeaks, path: str, depth: int, kind: Kind) -> None:
        assert kind.make is not None
        self.decoder = kind.make()
        self.magic = len(kind.magic)
        self.fresh = True
        """The chunk that it begins in is not done."""
        self._meter = leaks.meter
        self._plain = Leaks(leaks.secrets)
        self._plain.begin(f"{path}, unpacked")
        self._packed = _Packed(leaks, path, depth)

    def feed(self, chunk: bytes) -> None:
        """Raises LeakFound, Damaged, Unreadable, _OutOfBounds."""
        for piece in self.decoder.unpack(chunk):
            self._meter.count(len(piece))
            self._plain.look(piece)
            self._packed.feed(piece)

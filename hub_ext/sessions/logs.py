"""What a session prints: the last lines of its container, as long as the container is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from hub_ext.db.models import SessionRow
from hub_ext.nodes.engine import EngineRefused, EngineUnavailable, LoggingEngine
from hub_ext.sessions.status import Status
from hub_ext.site import Site
from hub_ext.web.translation import gettext as _

MOST_LINES = 5000
"""Of one answer."""
_MOST_BYTES = 1024 * 1024
"""Of one answer, as text; of more the last are given."""
_LONGEST_LINE = 4096
_NS = 1_000_000_000

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z ?")
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, movements
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[ -/]*[0-~]"
)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line; ``at``: nanoseconds since 1970, 0 when the engine has not said."""

    at: int
    text: str


@dataclass(frozen=True, slots=True)
class SessionLog:
    """Lines, the oldest first. ``message``: why there are none, "" where there may be.

    ``cut``: earlier lines were left out.
    """

    lines: tuple[LogLine, ...] = ()
    message: str = ""
    cut: bool = False

    @property
    def last_at(self) -> int:
        """Of its last line, in nanoseconds; 0 when there is none."""
        return max((line.at for line in self.lines), default=0)


async def read_log(site: Site, row: SessionRow, tail: int, since: int = 0) -> SessionLog:
    """The last ``tail`` lines that were printed after ``since`` (nanoseconds since 1970).

    What cannot be had is said in ``message``; nothing is raised for it.
    """
    if row.status in {Status.PENDING, Status.SCHEDULED}:
        return SessionLog(message=_("It has not started yet, so it has printed nothing."))
    if not isinstance(site.engine, LoggingEngine):
        text = _("Sessions without a container have no log of their own; see the hub's log.")
        return SessionLog(message=text)
    try:
        container_id = row.container_id or await _container_of(site, row)
        printed = None
        if container_id is not None:
            printed = await site.engine.log(container_id, tail + 1, since // _NS)
    except EngineUnavailable:
        return SessionLog(message=_("The container engine does not answer now; try again soon."))
    except EngineRefused as error:
        text = _("The container engine does not give the log: %(reason)s")
        return SessionLog(message=text % {"reason": str(error)[:300]})
    if printed is None:
        return SessionLog(message=_gone(row))
    return parse_log(printed, tail, since)


async def _container_of(site: Site, row: SessionRow) -> str | None:
    """A container that has not been reported yet."""
    for container in await site.engine.containers():
        if container.session_id == row.id:
            return container.container_id
    return None


def _gone(row: SessionRow) -> str:
    if row.ended_at is None:
        return _("Its container is not there yet, or not any more.")
    return _(
        "The session has ended and its container was removed, and the log with it."
        " What is left is its story, which says why it ended. Write what you want to keep"
        " into a file in one of your folders."
    )


def parse_log(printed: bytes, tail: int, since: int = 0) -> SessionLog:
    """Lines of an engine's log with time stamps; no control characters are left in them."""
    lines = [line for line in _lines(printed) if not since or line.at > since]
    kept, size = [], 0
    for line in reversed(lines[-tail:]):
        size += len(line.text) + 1
        if size > _MOST_BYTES:
            break
        kept.append(line)
    return SessionLog(tuple(reversed(kept)), cut=len(kept) < len(lines))


def _lines(printed: bytes) -> Iterator[LogLine]:
    at = 0
    for line in printed.decode("utf-8", "replace").split("\n"):
        if not line:
            continue
        stamp = _STAMP.match(line)
        if stamp is not None:
            at = _nanoseconds(stamp) or at
            line = line[stamp.end() :]
        yield LogLine(at, clean(line))


def _nanoseconds(stamp: re.Match[str]) -> int:
    try:
        seconds = int(datetime.fromisoformat(f"{stamp[1]}+00:00").timestamp())
    except (ValueError, OverflowError):
        return 0
    return seconds * _NS + int((stamp[2] or "").ljust(9, "0"))


def clean(line: str) -> str:
    """As a terminal would show it at last: no colours, of an overwritten line its last state."""
    line = _ESCAPES.sub("", line).rstrip("\r")
    line = line.rpartition("\r")[2]
    line = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in line)
    return (
        line
        if len(line) <= _LONGEST_LINE
        else f"{line[: _LONGEST_LINE - 1]}\N{HORIZONTAL ELLIPSIS}"
    )

"""When a running session will have to end, and why: its lifetime, hours, term, idle time,
a folder that it has to let go of, too much GPU memory, somebody who has asked for it.

Pure: rows and times in, the earliest end out. The culler warns and stops.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from hub_ext import hours
from hub_ext.db.models import ProjectRow, SessionRow
from hub_ext.folders.holders import NOTICE, message_of
from hub_ext.folders.session_mounts import Mount
from hub_ext.projects.shares import last_day
from hub_ext.sessions.alerts import GPU_MEMORY

ASKED = "asked"
"""Code of the warning that somebody ends the session, as an instructor after the class."""
_IDLE_WARNING = 1 / 3
"""Of the idle time: who is at work is not warned."""
_LATE_WARNING_S = 60.0
"""Nobody is stopped without a warning, also when its end was missed; it is at most so long."""


@dataclass(frozen=True, slots=True)
class Ending:
    """``at``: Unix s; ``code`` and ``message`` as in a notice.

    ``warning_s``: the longest warning that makes sense for it, in seconds.
    """

    at: float
    code: str
    message: str
    warning_s: float = math.inf


@dataclass(frozen=True, slots=True)
class BeyondSlice:
    """It holds more GPU memory (MiB) than its slice, which is suffered until ``until`` (Unix s)."""

    until: float
    used_mib: int
    slice_mib: int


def ending_of(
    row: SessionRow,
    projects: Sequence[ProjectRow],
    *,
    idle_s: int | None,
    active_at: float | None,
    beyond: BeyondSlice | None = None,
    now: float,
    timezone: tzinfo,
) -> Ending | None:
    """The first end in sight of a RUNNING session; None when there is none.

    projects: its own and those above it. idle_s: how long it may idle, in seconds;
    active_at: its last activity (Unix s), None when nobody knows.
    """
    found = [
        *_of_lifetime(row),
        *_of_folders(row),
        *_of_request(row),
        *_of_idleness(row, idle_s, active_at),
        *_of_gpu_memory(beyond),
        *_of_projects(projects, now, timezone),
    ]
    return min(found, key=lambda ending: ending.at, default=None)


def stops_at(ending: Ending, now: float, warning_s: float) -> float | None:
    """When to stop for this end; None while it is too early to warn."""
    warning_s = min(warning_s, ending.warning_s)
    if ending.at - now > warning_s:
        return None
    return ending.at if ending.at > now else now + min(warning_s, _LATE_WARNING_S)


def _of_lifetime(row: SessionRow) -> Iterator[Ending]:
    if row.lifetime_s:
        started = row.running_at or row.changed_at
        message = f"Its lifetime of {_length(row.lifetime_s)} is over."
        yield Ending(started + row.lifetime_s, "lifetime", message)


def _of_folders(row: SessionRow) -> Iterator[Ending]:
    """A folder whose share was stopped together with the sessions that hold it."""
    for mount in [Mount.read(values, row.user) for values in row.mounts]:
        if mount.until is not None:
            yield Ending(mount.until, NOTICE, message_of(mount))


def _of_request(row: SessionRow) -> Iterator[Ending]:
    if row.ends_at is not None:
        yield Ending(row.ends_at, ASKED, row.ends_why or "Its end was asked for.")


def _of_idleness(row: SessionRow, idle_s: int | None, active_at: float | None) -> Iterator[Ending]:
    """A batch session is never idle."""
    if idle_s and active_at is not None and row.kind == "interactive":
        since = max(active_at, row.running_at or 0.0)
        message = f"It is stopped when nothing has happened in it for {_length(idle_s)}."
        yield Ending(since + idle_s, "idle", message, idle_s * _IDLE_WARNING)


def _of_gpu_memory(beyond: BeyondSlice | None) -> Iterator[Ending]:
    if beyond is not None:
        used, limit = beyond.used_mib / 1024, beyond.slice_mib / 1024
        message = f"It holds {used:.1f} GiB of GPU memory; its slice has {limit:.1f} GiB."
        yield Ending(beyond.until, GPU_MEMORY, message)


def _of_projects(projects: Sequence[ProjectRow], now: float, timezone: tzinfo) -> Iterator[Ending]:
    for project in projects:
        if project.valid_until is not None:
            message = f"The term of project {project.name} ends on {last_day(project, timezone)}."
            yield Ending(project.valid_until, "term", message)
        if not project.stops_at_close:
            continue
        closed = hours.closed(project.hours, now, timezone)
        closes = now if closed else hours.closes_at(project.hours, now, timezone)
        if closes is not None:
            message = f"The hours of project {project.name} are over."
            yield Ending(closes, "hours", message)


def _length(seconds: float) -> str:
    """A length of time: "90 seconds", "45 minutes", "2.5 hours"."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    if seconds < 120 * 60:
        return f"{seconds / 60:.3g} minutes"
    return f"{seconds / 3600:.3g} hours"

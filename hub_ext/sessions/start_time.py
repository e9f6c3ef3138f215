"""A session that is to start later: which times are accepted, and how its wait is told."""

from __future__ import annotations

import time
from datetime import datetime, tzinfo
from pathlib import Path

from hub_ext.errors import BadValue, OverLimit
from hub_ext.scheduling.model import Reason

LATE_S = 5 * 60.0
"""So much a time may have passed: clocks differ, and a form takes time to fill in."""
AHEAD_S = 366 * 86400.0
_ZONES = "/zoneinfo/"


def check_start_time(not_before: float | None, timezone: tzinfo) -> None:
    """Refuse what was a slip. Unix seconds. Raises BadValue, OverLimit (field: not_before)."""
    if not_before is None:
        return
    now = time.time()
    said = moment_text(not_before, timezone)
    if not_before < now - LATE_S:
        raise BadValue(
            f"{said} has passed; now it is {moment_text(now, timezone)}."
            " Leave the start empty to start as soon as possible.",
            field="not_before",
        )
    if not_before > now + AHEAD_S:
        raise OverLimit(
            f"{said} is more than a year ahead; a session can wait a year at most.",
            field="not_before",
        )


def start_time_reason(not_before: float | None, now: float, timezone: tzinfo) -> Reason | None:
    """Why a session whose time has not come waits; None when it has."""
    if not_before is None or not_before <= now:
        return None
    return Reason(
        "not_before",
        f"It is set to start at {moment_text(not_before, timezone)}, not before.",
        "Then it starts as soon as there is room.",
    )


def moment_text(at: float, timezone: tzinfo) -> str:
    """2027-01-31 08:00 (Asia/Tokyo)."""
    return f"{datetime.fromtimestamp(at, timezone):%Y-%m-%d %H:%M} ({zone_name(timezone, at)})"


def zone_name(timezone: tzinfo, at: float | None = None) -> str:
    """Name of a time zone as in Asia/Tokyo; where it has none, its offset as in +09:00."""
    key = getattr(timezone, "key", None) or _name_of_machines(timezone, at)
    if key:
        return str(key)
    moment = datetime.fromtimestamp(time.time() if at is None else at, timezone)
    return "UTC" if timezone.utcoffset(moment) is None else _offset(moment)


def _name_of_machines(timezone: tzinfo, at: float | None) -> str:
    """What /etc/localtime points to, if that is the zone; "" when it cannot be told."""
    if str(timezone) == "UTC":
        return "UTC"
    moment = datetime.fromtimestamp(time.time() if at is None else at, timezone)
    if moment.astimezone().utcoffset() != moment.utcoffset():
        return ""
    _, found, name = str(Path("/etc/localtime").resolve()).partition(_ZONES)
    return name if found else ""


def _offset(moment: datetime) -> str:
    return moment.isoformat()[-6:]

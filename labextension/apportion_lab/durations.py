"""Lengths of time as people type and read them."""

from __future__ import annotations

import re

_UNITS = {"d": 86400, "h": 3600, "m": 60}
_PART = re.compile(
    r"(\d+(?:\.\d+)?)\s*(d|days?|h|hrs?|hours?|m|mins?|minutes?)(?![a-z])\s*", re.IGNORECASE
)
LONGEST_S = 366 * 86400


def read_duration(text: str) -> int:
    """Seconds of "2h", "90m", "1h30m", "30 min", "1 day". Raises ValueError with a sentence."""
    rest, seconds, seen = text.strip(), 0.0, set()
    while rest:
        part = _PART.match(rest)
        if part is None or part[2][0].lower() in seen:
            raise ValueError(f"{text.strip()[:40]!r} is no length of time. Say 2h, 90m or 1h30m.")
        seen.add(part[2][0].lower())
        seconds += float(part[1]) * _UNITS[part[2][0].lower()]
        rest = rest[part.end() :]
    if not seen:
        raise ValueError("For how long? Say 2h, 90m or 1h30m.")
    if not 60 <= seconds <= LONGEST_S:
        raise ValueError("The length of time is from 1 minute to 366 days.")
    return round(seconds)


def duration_text(seconds: float) -> str:
    """In its two largest units, rounded down: "2 days 3 h", "1 h 30 min", "45 s"."""
    whole = max(0, int(seconds))
    days, hours, minutes = whole // 86400, whole % 86400 // 3600, whole % 3600 // 60
    if days:
        return f"{days} day{'s' if days > 1 else ''}" + (f" {hours} h" if hours else "")
    if hours:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{minutes} min" if minutes >= 2 else f"{whole} s"

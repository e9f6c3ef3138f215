"""Weekly opening hours: when it is open, when it closes, when it opens again. Pure.

A window is ``{"days": ["mon", ..], "from": "08:00", "until": "18:00"}``: all days by
default, "24:00" is the end of a day, ``until`` at or before ``from`` is on the next day.
It is open whenever the clock on the wall of the time zone shows a time in a window: an
hour that the clock skips in spring opens nothing, one that it repeats in autumn counts
twice. Instants are Unix seconds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import groupby
from typing import Any

from hub_ext.errors import BadValue

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60
_WEEK = 7 * _DAY
_MOST_WINDOWS = 50
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_LOOK_AHEAD_DAYS = 16
"""A week, and another one if a change of the clock skipped the only window of the first."""

_Spans = tuple[tuple[int, int], ...]
"""Open minutes of a week from Monday 00:00: [start, end), sorted, apart from each other."""

Window = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Closed:
    """It is closed now. ``opens_at`` None: never again; ``when``: "Mon-Fri 08:00-18:00"."""

    opens_at: float | None
    when: str


def read_windows(values: Any, field: str, also: Collection[str] = ()) -> list[Window]:
    """Validated windows in one spelling. ``also``: further keys, kept as they are.

    Raises BadValue that names the field at fault, as in "hours.0.from".
    """
    if not isinstance(values, list) or not values:
        raise BadValue(f"{field} is a list of windows, or null for always.", field=field)
    if len(values) > _MOST_WINDOWS:
        raise BadValue(f"{field} has {len(values)} windows; at most {_MOST_WINDOWS}.", field=field)
    return [_read_window(value, f"{field}.{n}", also) for n, value in enumerate(values)]


def _read_window(value: Any, field: str, also: Collection[str]) -> Window:
    if not isinstance(value, dict):
        raise BadValue(
            f'{field} must look like {{"from": "08:00", "until": "18:00"}}.', field=field
        )
    for key in value:
        if key not in {"days", "from", "until", *also}:
            raise BadValue(f"There is no field '{key}' in a window.", field=f"{field}.{key}")
    start = _read_time(value.get("from"), f"{field}.from")
    if start == _DAY:
        raise BadValue(f"{field}.from: use 00:00 of the next day.", field=f"{field}.from")
    until = _read_time(value.get("until"), f"{field}.until")
    window = {key: value[key] for key in also if key in value}
    days = _read_days(value.get("days", list(DAYS)), f"{field}.days")
    return {"days": days, "from": _clock(start), "until": _clock(until), **window}


def _read_days(value: Any, field: str) -> list[str]:
    if not isinstance(value, list) or not value:
        raise BadValue(f"{field} is a list of {', '.join(DAYS)}.", field=field)
    named = {day.lower() if isinstance(day, str) else repr(day) for day in value}
    for day in sorted(named - set(DAYS)):
        raise BadValue(f"{field}: '{day}' is none of {', '.join(DAYS)}.", field=field)
    return [day for day in DAYS if day in named]


def _read_time(value: Any, field: str) -> int:
    """Minutes after midnight."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        minutes = int(match[1]) * 60 + int(match[2])
        if int(match[2]) < 60 and minutes <= _DAY:
            return minutes
    raise BadValue(f"{field} is a time from 00:00 to 24:00, not {value!r:.40}.", field=field)


def closed(windows: Sequence[Window] | None, now: float, tz: tzinfo) -> Closed | None:
    """None while it is open. No windows: always open."""
    spans = _spans(windows)
    if spans is None or _is_open(spans, now, tz):
        return None
    return Closed(_next_change(spans, _minute(now), tz), _when(windows or ()))


def closes_at(windows: Sequence[Window] | None, now: float, tz: tzinfo) -> float | None:
    """End of the present opening; None when it never closes, or is closed now."""
    spans = _spans(windows)
    if spans is None or not _is_open(spans, now, tz):
        return None
    return _next_change(spans, _minute(now), tz)


def in_force(windows: Sequence[Window] | None, now: float, tz: tzinfo) -> Window | None:
    """The first of the windows that is open now."""
    for window in windows or ():
        if _is_open(_week((_key(window),)), now, tz):
            return window
    return None


def opening(at: float, tz: tzinfo) -> str:
    """An instant of the coming days: "Monday at 08:00"."""
    return datetime.fromtimestamp(at, tz).strftime("%A at %H:%M")


def _spans(windows: Sequence[Window] | None) -> _Spans | None:
    """Open minutes of the week; None when that is all of it."""
    if not windows:
        return None
    spans = _week(tuple(_key(window) for window in windows))
    return None if spans == ((0, _WEEK),) else spans


def _key(window: Mapping[str, Any]) -> tuple[tuple[str, ...], str, str]:
    return (tuple(window["days"]), window["from"], window["until"])


@lru_cache(maxsize=1024)
def _week(windows: tuple[tuple[tuple[str, ...], str, str], ...]) -> _Spans:
    """Windows as minutes of the week; those that touch or overlap become one."""
    pieces: list[tuple[int, int]] = []
    for days, opens, closes in windows:
        start, until = _minutes(opens), _minutes(closes)
        length = until - start if until > start else until - start + _DAY
        for day in days:
            begin = DAYS.index(day) * _DAY + start
            pieces.append((begin, min(begin + length, _WEEK)))
            if begin + length > _WEEK:
                pieces.append((0, begin + length - _WEEK))
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(pieces):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return tuple(merged)


def _is_open(spans: _Spans, at: float, tz: tzinfo) -> bool:
    local = datetime.fromtimestamp(at, tz)
    minute = local.weekday() * _DAY + local.hour * 60 + local.minute
    return any(begin <= minute < end for begin, end in spans)


def _minute(now: float) -> float:
    """The minute that has begun: nothing changes within it, so that answers can be kept."""
    return now // 60 * 60


@lru_cache(maxsize=4096)
def _next_change(spans: _Spans, now: float, tz: tzinfo) -> float | None:
    """When it opens, if it is closed, or closes; None: not in the coming weeks."""
    as_now = _is_open(spans, now, tz)
    edges = sorted({minute % _WEEK for span in spans for minute in span})
    today = datetime.fromtimestamp(now, tz).replace(hour=0, minute=0, second=0, microsecond=0)
    instants: set[float] = set()
    for ahead in range(-1, _LOOK_AHEAD_DAYS):
        midnight = today.replace(tzinfo=None) + timedelta(days=ahead)
        instants.update(_edges_of_day(edges, midnight, tz))
        instants.update(_clock_changes(midnight, tz))
    for instant in sorted(instants):
        if instant > now and _is_open(spans, instant, tz) != as_now:
            return instant
    return None


def _edges_of_day(edges: Sequence[int], midnight: datetime, tz: tzinfo) -> list[float]:
    """When the clock shows the edges that lie in this day; both times if it does so twice."""
    first = midnight.weekday() * _DAY
    shown = [midnight + timedelta(minutes=e - first) for e in edges if first <= e < first + _DAY]
    return [clock.replace(tzinfo=tz, fold=fold).timestamp() for clock in shown for fold in (0, 1)]


def _clock_changes(midnight: datetime, tz: tzinfo) -> list[float]:
    """The second of this day at which the clock is put forward or back, if there is one."""
    before = int(midnight.replace(tzinfo=tz).timestamp())
    after = int((midnight + timedelta(days=1)).replace(tzinfo=tz).timestamp())
    old = _offset(before, tz)
    if _offset(after, tz) == old:
        return []
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, tz) == old:
            before = middle
        else:
            after = middle
    return [float(after)]


def _offset(at: float, tz: tzinfo) -> timedelta | None:
    return datetime.fromtimestamp(at, tz).utcoffset()


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _when(windows: Sequence[Window]) -> str:
    """ "Mon-Fri 08:00-12:00 and 13:00-18:00, Sat 09:00-12:00"."""
    times: dict[str, list[str]] = {}
    for window in windows:
        days = _days(window["days"])
        times.setdefault(days, []).append(f"{window['from']}-{window['until']}")
    return ", ".join(f"{days} {' and '.join(spans)}" for days, spans in times.items())


def _days(days: Sequence[str]) -> str:
    """ "daily", "Mon-Fri", "Mon/Wed/Fri"."""
    if len(days) == len(DAYS):
        return "daily"
    runs = []
    numbered = enumerate(DAYS.index(day) for day in days)
    for _, group in groupby(numbered, key=lambda pair: pair[1] - pair[0]):
        run = [DAYS[index].title() for _, index in group]
        runs.append(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return "/".join(runs)

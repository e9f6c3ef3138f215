"""What people write on the command line: 90m, 4G, mon-fri 08:00-18:00, data:/mnt:ro."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import click

from hub_ext.cli.service_command import NULL
from hub_ext.hours import DAYS

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MIB = {"m": 1, "g": 1024, "t": 1024 * 1024}
_DURATION = re.compile(r"(?:[0-9]{1,6}(?:\.[0-9]{1,3})?[smhdw])+", re.ASCII)
_DURATION_PART = re.compile(r"([0-9.]+)([smhdw])")
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([mgt])(?:i?b?)", re.ASCII)
_TIMES = re.compile(r"([0-9]{1,2}:[0-9]{2})-([0-9]{1,2}:[0-9]{2})", re.ASCII)
_AMOUNTS = {"fgpu", "cpu", "memory"}


class Duration(click.ParamType):
    """90m, 2h, 1d12h: seconds."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Whole seconds."""
        text = str(value).strip().lower()
        if not _DURATION.fullmatch(text):
            self.fail(f"'{value}' is not a duration; write 90m, 2h, 1d12h.", param, ctx)
        parts = _DURATION_PART.findall(text)
        seconds = sum(Decimal(number) * _SECONDS[unit] for number, unit in parts)
        if seconds % 1:
            self.fail(f"'{value}' is not a whole number of seconds.", param, ctx)
        return int(seconds)


class Size(click.ParamType):
    """4G, 512M: MiB. Units are binary: 1G is 1024 MiB."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Whole MiB."""
        match = _SIZE.fullmatch(str(value).strip().lower())
        if match is None:
            self.fail(f"'{value}' is not a size; write 512M or 4G.", param, ctx)
        mib = Decimal(match[1]) * _MIB[match[2]]
        if mib % 1:
            self.fail(f"'{value}' is not a whole number of MiB.", param, ctx)
        return int(mib)


class Number(click.ParamType):
    """A finite number; whole ones stay whole."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """int or float."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"'{value}' is not a number.", param, ctx)
        return int(number) if number.is_integer() else number


class Moment(click.ParamType):
    """2026-10-01 or "2026-10-01 08:00", by the clock of this machine: Unix seconds."""

    name = "date"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Seconds since 1970."""
        try:
            return datetime.fromisoformat(str(value).strip()).timestamp()
        except (ValueError, OverflowError, OSError):
            self.fail(f"'{value}' is no date; write 2026-10-01 or '2026-10-01 08:00'.", param, ctx)


class Unless(click.ParamType):
    """Another type, or one word for the API's null."""

    def __init__(self, inner: click.ParamType, word: str) -> None:
        self.inner, self.word = inner, word
        self.name = inner.name

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """NULL for the word."""
        if isinstance(value, str) and value.strip().lower() == self.word:
            return NULL
        return self.inner.convert(value, param, ctx)


class FolderMount(click.ParamType):
    """NAME, NAME:TARGET, NAME:ro, NAME:TARGET:ro."""

    name = "folder"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The API's mount."""
        name, *rest = str(value).split(":")
        mode = rest.pop() if rest and rest[-1] in {"ro", "rw"} else "rw"
        if not name or len(rest) > 1 or "" in rest:
            self.fail(f"'{value}': write NAME, NAME:TARGET or NAME:TARGET:ro.", param, ctx)
        mount = {"name": name, "mode": mode}
        return {**mount, "target": rest[0]} if rest else mount


class Window(click.ParamType):
    """Hours of the week: "mon-fri 08:00-18:00"; without days, every day.

    amounts: whether quotas may follow, as in "mon-fri 08:00-18:00 fgpu=4 memory=64G".
    """

    name = "hours"

    def __init__(self, *, amounts: bool = False) -> None:
        self.amounts = amounts

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The API's window."""
        words = str(value).lower().split()
        days: Sequence[str] = DAYS
        if words and not _TIMES.fullmatch(words[0]):
            days = self._days(words.pop(0), param, ctx)
        times = _TIMES.fullmatch(words.pop(0)) if words else None
        if times is None or (words and not self.amounts):
            example = "mon-fri 08:00-18:00" + (" fgpu=4" if self.amounts else "")
            self.fail(f"'{value}' are no hours; write '{example}'.", param, ctx)
        window: dict[str, Any] = {"days": [*days], "from": times[1], "until": times[2]}
        for word in words:
            window.update(self._amount(word, param, ctx))
        return window

    def _days(self, text: str, param: Any, ctx: Any) -> list[str]:
        """mon-wed,fri; a span may go over the end of the week, as in sat-mon."""
        named: set[str] = set()
        for part in text.split(","):
            first, _, last = part.partition("-")
            last = last or first
            for day in (first, last):
                if day not in DAYS:
                    self.fail(f"'{day}' is none of {', '.join(DAYS)}.", param, ctx)
            start, count = DAYS.index(first), (DAYS.index(last) - DAYS.index(first)) % 7 + 1
            named.update(DAYS[(start + step) % 7] for step in range(count))
        return [day for day in DAYS if day in named]

    def _amount(self, word: str, param: Any, ctx: Any) -> dict[str, Any]:
        key, _, text = word.partition("=")
        if key not in _AMOUNTS:
            self.fail(f"'{word}': write fgpu=4, cpu=8 or memory=64G.", param, ctx)
        inner = Size() if key == "memory" else Number()
        amount = Unless(inner, "unlimited").convert(text, param, ctx)
        return {"memory_mib" if key == "memory" else key: None if amount is NULL else amount}


def window_text(window: dict[str, Any]) -> str:
    """A window of the API as ``Window`` reads it."""
    days = [day for day in DAYS if day in window["days"]]
    runs: list[list[str]] = []
    for day in days:
        if runs and DAYS.index(day) == DAYS.index(runs[-1][-1]) + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    named = ",".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    times = f"{window['from']}-{window['until']}"
    keys = {"fgpu": "fgpu", "cpu": "cpu", "memory_mib": "memory"}
    amounts = [f"{keys[key]}={_amount_text(key, window[key])}" for key in keys if key in window]
    return " ".join([*([] if len(days) == len(DAYS) else [named]), times, *amounts])


def _amount_text(key: str, value: float | None) -> str:
    if value is None:
        return "unlimited"
    return f"{value:.10g}" + ("M" if key == "memory_mib" else "")


def label(text: str) -> tuple[str, str | None]:
    """KEY=VALUE sets a label, KEY- takes it away (None). Raises BadParameter."""
    key, sign, value = text.partition("=")
    if sign and key:
        return key, value
    if not sign and text.endswith("-") and len(text) > 1:
        return text[:-1], None
    raise click.BadParameter(f"'{text}': write KEY=VALUE, or KEY- to take it away.")

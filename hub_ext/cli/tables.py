"""How commands show what the API says: tables, facts, amounts and spans of time in few letters."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 200
"""Columns when nobody looks: a program that reads the table wants whole words."""
_SPANS = ((86400, "d"), (3600, "h"), (60, "m"))


def console() -> Console:
    """For standard output, as wide as the terminal."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, width=_PIPE_WIDTH if piped else None)


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Titles that start with ">" are of numbers, with "." of what may be cut at its end."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        cut, right = title.startswith("."), title.startswith(">")
        table.add_column(
            title.lstrip(".>"),
            justify="right" if right else "left",
            overflow="ellipsis" if cut else "fold",
            no_wrap=right,
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def show_facts(facts: Iterable[tuple[str, str]]) -> None:
    """One a line, name and value; those without a value are left out."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in facts:
        if value:
            grid.add_row(Text(name), Text(value))
    console().print(grid)


def say(message: str, style: str = "") -> None:
    """A sentence, broken between words."""
    console().print(Text(message, style=style))


def span(seconds: float | None) -> str:
    """A length of time in its largest unit, rounded down: "45s", "12m", "3h", "2d"; "" for none."""
    if seconds is None:
        return ""
    for length, unit in _SPANS:
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


def exact_span(seconds: float) -> str:
    """All of it: "1d12h", "90s" as "1m30s"."""
    whole, words = int(seconds), ""
    for length, unit in (*_SPANS, (1, "s")):
        count, whole = divmod(whole, length)
        words += f"{count}{unit}" if count else ""
    return words or "0s"


def ago(at: float | None) -> str:
    """How long since a time in Unix seconds."""
    return span(None if at is None else time.time() - at)


def moment(at: float | None) -> str:
    """A time by the clock of this machine; "" for none."""
    return "" if at is None else datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def number(value: float | None, none: str = "-") -> str:
    """Without needless digits: "0.5", "4"."""
    return none if value is None else f"{value:.10g}"


def memory(mib: float | None, none: str = "-") -> str:
    """ "512M", "4G", "1.5G"."""
    if mib is None:
        return none
    return f"{mib:.10g}M" if mib < 1024 else f"{mib / 1024:.4g}G"


def yes_no(value: bool) -> str:
    """For people."""
    return "yes" if value else "no"

"""Logs of a deployment: rotated by size at start, read from their end."""

from __future__ import annotations

from pathlib import Path

LARGEST_BYTES = 10 * 1024 * 1024
KEPT = 3
TAIL_BYTES = 64 * 1024


def rotate(log: Path) -> None:
    """Move a log that grew over LARGEST_BYTES to ``NAME.1``, keeping KEPT old ones."""
    if not log.exists() or log.stat().st_size <= LARGEST_BYTES:
        return
    for number in range(KEPT - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    log.replace(log.with_name(f"{log.name}.1"))


def last_lines(log: Path, count: int, *, since: int = 0) -> list[str]:
    """The last lines of a log, none of them from before byte offset ``since``."""
    try:
        size = log.stat().st_size
        with log.open("rb") as stream:
            stream.seek(max(since, size - TAIL_BYTES, 0))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-count:]

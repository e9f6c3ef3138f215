"""SQLite as the hub's database, without a wait for the disk at every commit.

The hub commits some ten times for one spawn. In SQLite's default mode each commit waits for the
disk twice (20 ms measured on a busy machine), and the whole hub waits with it. With a write-ahead
log and ``synchronous=NORMAL`` it does not; a killed hub still loses nothing, and a power cut at
most the last moments, in which all servers ended too (sqlite.org/wal.html, "Performance").
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000")


def tune_sqlite() -> None:
    """Apply to every SQLite connection that this process opens from now on; once is enough."""
    if not event.contains(Engine, "connect", _on_connect):
        event.listen(Engine, "connect", _on_connect)


def _on_connect(connection: Any, _record: Any) -> None:
    raw = getattr(connection, "driver_connection", connection)
    if isinstance(raw, sqlite3.Connection):
        for pragma in PRAGMAS:
            raw.execute(f"PRAGMA {pragma}")

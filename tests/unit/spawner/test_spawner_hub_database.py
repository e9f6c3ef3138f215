"""The hub's SQLite does not wait for the disk at every commit."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, text

from spawner.hub_database import tune_sqlite


def test_a_connection_opened_afterwards_writes_ahead(tmp_path: Path) -> None:
    tune_sqlite()
    tune_sqlite()
    with create_engine(f"sqlite:///{tmp_path}/hub.sqlite").connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 1

"""Migrations make what the models say, and keep what was there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from hub_ext.db import (  # their tables
    announcement_models,  # noqa: F401
    connection,
    folder_models,  # noqa: F401
    image_models,  # noqa: F401
)
from hub_ext.db.connection import Database
from hub_ext.db.models import Base, ProjectRow, RunRow, SessionRow, SliceRow
from hub_ext.projects.bounds import bounds_of

SESSION = {
    "order": 1,
    "user": "ann",
    "server_name": "work",
    "name": "work",
    "project": "default",
    "kind": "interactive",
    "reason_code": "",
    "reason_message": "",
    "reason_help": "",
    "image": "apportion/base:test",
    "image_title": "Base",
    "gpu_milli": 500,
    "gpu_memory_mib": 4096,
    "cpu_milli": 2000,
    "memory_mib": 4096,
    "priority": 0,
    "preemptible": False,
    "options": json.dumps({"fgpu": 0.5}),
    "mounts": json.dumps([]),
    "submitted_at": 1000.0,
    "changed_at": 1000.0,
    "attempts": 1,
    "version": 3,
}
LIVE = {**SESSION, "id": "a" * 32, "status": "RUNNING", "scheduled_at": 1010.0, "node": "gpu-1"}
WAITING = {**SESSION, "id": "b" * 32, "order": 2, "server_name": "next", "status": "PENDING"}
ENDED = {
    **SESSION,
    "id": "c" * 32,
    "order": 3,
    "status": "TERMINATED",
    "scheduled_at": 900.0,
    "ended_at": 990.0,
}


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Database]:
    """Tables of the first release, with a running, a waiting and an ended session."""
    database = Database(empty_database_url)
    migrate(database, "upgrade", "0001")
    with database.transaction() as db:
        for values in (LIVE, WAITING, ENDED):
            _insert(db, "sessions", values)
        slice_of = {"session_id": LIVE["id"], "node": "gpu-1", "device": 0, "uuid": "GPU-0"}
        _insert(db, "slices", {**slice_of, "milli": 500, "simulated": True})
    yield database
    database.engine.dispose()


def _insert(db: Any, table: str, values: dict[str, Any]) -> None:
    columns = ", ".join(f'"{name}"' for name in values)
    places = ", ".join(f":{name}" for name in values)
    db.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({places})"), values)


def migrate(database: Database, direction: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(connection.__file__).parent / "migrations"))
    with database.engine.begin() as opened:
        config.attributes["connection"] = opened
        getattr(command, direction)(config, revision)


def columns_of(database: Database) -> dict[str, list[str]]:
    inspector = inspect(database.engine)
    return {
        table: sorted(column["name"] for column in inspector.get_columns(table))
        for table in inspector.get_table_names()
    }


def test_the_migrations_make_what_the_models_say(database: Database) -> None:
    with database.engine.connect() as opened:
        context = MigrationContext.configure(opened, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_live_sessions_go_on_after_an_upgrade(old: Database) -> None:
    old.upgrade()
    with old.transaction() as db:
        row = db.get(SessionRow, LIVE["id"])
        assert row is not None
        assert (row.status, row.user, row.version) == ("RUNNING", "ann", 3)
        assert [(part.device, part.milli) for part in row.slices] == [(0, 500)]
        assert (row.requeue, row.notice_code, row.stops_at, row.evicted_for) == (
            True,
            "",
            None,
            None,
        )
        assert row.dismissed is False
        run = db.get(RunRow, row.run_id)
        assert run is not None
        assert (run.session_id, run.user, run.project) == (row.id, "ann", "default")
        assert (run.gpu_milli, run.cpu_milli, run.memory_mib) == (500, 2000, 4096)
        assert (run.started_at, run.ended_at) == (1010.0, None)


def test_an_upgrade_counts_what_was_used_and_leaves_the_waiting_alone(old: Database) -> None:
    old.upgrade()
    with old.transaction() as db:
        runs = {run.session_id: run for run in db.scalars(select(RunRow))}
        assert set(runs) == {LIVE["id"], ENDED["id"]}
        assert (runs[ENDED["id"]].started_at, runs[ENDED["id"]].ended_at) == (900.0, 990.0)
        waiting = db.get(SessionRow, WAITING["id"])
        assert waiting is not None
        assert (waiting.status, waiting.run_id) == ("PENDING", None)


def test_an_upgrade_gives_everybody_the_first_project(old: Database) -> None:
    old.upgrade()
    with old.transaction() as db:
        (project,) = db.scalars(select(ProjectRow))
        assert (project.name, project.open_to_all, project.parent) == ("default", True, None)
        assert project.member_limits == {}
        assert bounds_of(project) == {"images": None, "presets": None, "member_limits": {}}
        assert project.hours is None


def test_a_downgrade_goes_back_and_keeps_the_sessions(old: Database) -> None:
    before = columns_of(old)
    old.upgrade()
    assert columns_of(old) != before
    migrate(old, "downgrade", "0001")
    assert columns_of(old) == before
    with old.transaction() as db:
        rows = db.execute(text("SELECT id, status FROM sessions")).all()
        slices = db.scalars(select(SliceRow.milli)).all()
    assert {tuple(row) for row in rows} == {
        (values["id"], values["status"]) for values in (LIVE, WAITING, ENDED)
    }
    assert list(slices) == [500]
    old.upgrade()
    assert old.revision() == old.head()

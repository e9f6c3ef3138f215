"""Bookings that somebody has spoilt by hand are found: in the tables, and by the doctor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.models import DeviceRow, NodeRow, ProjectRow, RunRow, SessionRow, SliceRow
from hub_ext.doctor.bookings import bookings
from hub_ext.doctor.finding import Finding, Level, read_deployment
from hub_ext.gpu.simulated import simulated_nodes
from hub_ext.nodes import inventory
from hub_ext.sessions.bookings import violations
from hub_ext.site import Site

from .booked_rows import book

Spoil = Callable[[Session, SessionRow], Any]


@pytest.fixture
async def lab(site: Site) -> Site:
    """Two nodes of two devices."""
    site.nodes = simulated_nodes("2x8GiB / 2x8GiB", "lab")
    await inventory.refresh(site)
    return site


def found(site: Site) -> list[str]:
    with site.database.transaction() as db:
        return violations(db)


def examined(site: Site, database_url: str, tmp_path: Path) -> list[Finding]:
    return list(bookings(read_deployment(tmp_path, database_url)))


def add_slice(db: Session, row: SessionRow, device: int, milli: int, node: str = "lab-1") -> None:
    there = db.get(DeviceRow, (node, device))
    uuid = "GPU-none" if there is None else there.uuid
    db.add(SliceRow(session_id=row.id, node=node, device=device, uuid=uuid, milli=milli))


def end(db: Session, row: SessionRow, status: str = "TERMINATED") -> None:
    """As it should be: neither slices nor an open run."""
    for part in row.slices:
        db.delete(part)
    run = db.get(RunRow, row.run_id)
    assert run is not None
    run.ended_at = row.ended_at = 2.0
    row.status = status


def wait(db: Session, row: SessionRow) -> None:
    end(db, row, "PENDING")
    row.ended_at = row.node = row.run_id = None


def end_but_keep_the_slice(db: Session, row: SessionRow) -> None:
    end(db, row)
    add_slice(db, row, 1, 500)
    db.flush()


def wait_with_a_slice(db: Session, row: SessionRow) -> None:
    wait(db, row)
    add_slice(db, row, 1, 500)


def second_open_run(db: Session, row: SessionRow) -> None:
    values = {name: getattr(row, name) for name in ("user", "project", "gpu_milli")}
    run = RunRow(session_id=row.id, cpu_milli=1, memory_mib=1, started_at=1.0, **values)
    db.add(run)


def end_but_keep_the_run(db: Session, row: SessionRow) -> None:
    run_id = row.run_id
    end(db, row)
    run = db.get(RunRow, run_id)
    assert run is not None
    run.ended_at = None


def end_the_run(db: Session, row: SessionRow) -> None:
    run = db.get(RunRow, row.run_id)
    assert run is not None
    run.ended_at = 2.0


def change_uuid(db: Session, row: SessionRow) -> None:
    row.slices[0].uuid = "GPU-other"


def move_slice(db: Session, row: SessionRow) -> None:
    there = db.get(DeviceRow, ("lab-2", 0))
    assert there is not None
    row.slices[0].node, row.slices[0].uuid = "lab-2", there.uuid


def more_than_a_device(db: Session, row: SessionRow) -> None:
    book(db, "lab-1", {0: 600})


SPOILT: list[tuple[Spoil, str]] = [
    (lambda db, row: db.delete(row.slices[0]), "holds 0 milli-GPU, not 500"),
    (lambda db, row: add_slice(db, row, 1, 500), "holds 1000 milli-GPU, not 500"),
    (more_than_a_device, "Device 0 of lab-1 is booked with 1100 of 1000 milli-GPU"),
    (lambda db, row: setattr(row.slices[0], "device", 7), "device 7 of lab-1, which is not there"),
    (change_uuid, "as GPU-other; that device is GPU-"),
    (move_slice, "is on lab-1 and holds 500 milli-GPU of device 0 of lab-2"),
    (lambda db, row: setattr(row, "node", None), "is RUNNING on no node"),
    (lambda db, row: setattr(row, "node", "gone"), "is RUNNING on the unknown node gone"),
    (lambda db, row: setattr(row, "ended_at", 2.0), "is RUNNING, and yet has ended"),
    (end_but_keep_the_slice, "which is TERMINATED, holds 500 milli-GPU of device 1 of lab-1"),
    (wait_with_a_slice, "which is PENDING, holds 500 milli-GPU"),
    (second_open_run, "is RUNNING with 2 open runs, not 1"),
    (end_the_run, "is RUNNING with 0 open runs, not 1"),
    (end_but_keep_the_run, "which is TERMINATED, has the open run 1"),
    (lambda db, row: setattr(row, "run_id", 77), "is in run 77, but run 1 is open"),
]


@pytest.mark.parametrize(("spoil", "words"), SPOILT, ids=[words for _, words in SPOILT])
async def test_a_spoilt_booking_is_found_and_fails_the_doctor(
    lab: Site, database_url: str, tmp_path: Path, spoil: Spoil, words: str
) -> None:
    with lab.database.transaction() as db:
        key = book(db, "lab-1", {0: 500}).id
    assert found(lab) == []
    with lab.database.transaction() as db:
        row = db.get(SessionRow, key)
        assert row is not None
        spoil(db, row)

    assert any(words in sentence for sentence in found(lab))
    failed = [f for f in examined(lab, database_url, tmp_path) if f.level is Level.FAIL]
    assert any(words in finding.message for finding in failed)
    assert all("Stop the session" in finding.way_out for finding in failed)


async def test_a_slice_of_no_session_is_found(lab: Site) -> None:
    with lab.database.transaction() as db:
        key = book(db, "lab-1", {0: 500}).id
    _without_foreign_keys(
        lab.database, f"UPDATE slices SET session_id = 'f00' WHERE session_id='{key}'"
    )
    assert any(s.startswith("The unknown session f00 holds 500 milli-GPU") for s in found(lab))


def _without_foreign_keys(database: Database, statement: str) -> None:
    if database.engine.dialect.name == "postgresql":
        with database.engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.execute(text(statement))
        return
    raw = database.engine.raw_connection()
    raw.cursor().execute("PRAGMA foreign_keys=OFF")
    raw.cursor().execute(statement)
    raw.cursor().execute("PRAGMA foreign_keys=ON")
    raw.close()


async def test_whole_bookings_of_every_kind_are_fine(
    lab: Site, database_url: str, tmp_path: Path
) -> None:
    with lab.database.transaction() as db:
        for status in ("SCHEDULED", "PREPARING", "STARTING", "RUNNING", "PREEMPTED"):
            book(db, "lab-1", {0: 200}, status=status)
        book(db, "lab-2", {0: 1000, 1: 500}, status="TERMINATING")
        book(db, "lab-2", {})
        wait(db, book(db, "lab-1", {1: 500}))
        end(db, book(db, "lab-1", {1: 500}))

    assert found(lab) == []
    (finding,) = examined(lab, database_url, tmp_path)
    assert finding.level is Level.OK
    assert finding.message.startswith("7 sessions are booked")


async def test_a_booking_split_over_devices_fails(
    lab: Site, database_url: str, tmp_path: Path
) -> None:
    with lab.database.transaction() as db:
        book(db, "lab-1", {0: 300, 1: 300})
    (finding,) = examined(lab, database_url, tmp_path)
    assert (finding.level, "is split over several devices" in finding.message) == (Level.FAIL, True)


def lower_limit(db: Session) -> None:
    project = db.get(ProjectRow, "default")
    assert project is not None
    project.limit_gpu_milli = 500


def lower_quota(db: Session) -> None:
    project = db.get(ProjectRow, "default")
    assert project is not None
    project.quota_gpu_milli = 500


def lower_memory(db: Session) -> None:
    node = db.get(NodeRow, "lab-1")
    assert node is not None
    node.memory_mib = 1000


def lower_cpu(db: Session) -> None:
    node = db.get(NodeRow, "lab-1")
    assert node is not None
    node.cpu_milli = 999


@pytest.mark.parametrize(
    ("lower", "words"),
    [
        (lower_limit, "over its limit"),
        (lower_quota, "may not be reclaimed, over its quota"),
        (lower_memory, "lab-1 is booked with 1024 of 1000 MiB"),
        (lower_cpu, "lab-1 is booked with 1000 of 999 milli-CPU"),
    ],
)
async def test_a_bound_lowered_below_what_is_held_is_a_warning(
    lab: Site, database_url: str, tmp_path: Path, lower: Callable[[Session], None], words: str
) -> None:
    with lab.database.transaction() as db:
        book(db, "lab-1", {0: 1000})
        lower(db)

    warning, fine = examined(lab, database_url, tmp_path)
    assert (warning.level, fine.level) == (Level.WARN, Level.OK)
    assert words in warning.message
    assert "Nothing more starts there" in warning.way_out


async def test_many_findings_are_counted(lab: Site, database_url: str, tmp_path: Path) -> None:
    with lab.database.transaction() as db:
        for _ in range(12):
            add_slice(db, book(db, "lab-1", {}), 7, 1)
    findings = examined(lab, database_url, tmp_path)
    assert len(findings) == 11
    assert findings[-1].message == "And 14 more of this kind."


def test_a_deployment_without_a_database_gets_none(tmp_path: Path) -> None:
    assert list(bookings(read_deployment(tmp_path))) == []
    assert list(tmp_path.iterdir()) == []


async def test_a_database_of_another_release_is_left_to_its_own_check(
    lab: Site, database_url: str, tmp_path: Path
) -> None:
    with lab.database.transaction() as db:
        db.execute(text("UPDATE alembic_version SET version_num = 'elder'"))
    assert examined(lab, database_url, tmp_path) == []


async def test_the_numbers_are_in_the_unit_of_the_deployment(
    lab: Site, database_url: str, tmp_path: Path
) -> None:
    with lab.database.transaction() as db:
        book(db, "lab-1", {0: 1000})
        lower_limit(db)
    deployment = read_deployment(tmp_path, database_url)
    deployment = replace(deployment, started_with={"fgpu_per_gpu": 2})
    assert "holds 2.0 fGPU, over its limit of 1.0 fGPU" in next(iter(bookings(deployment))).message

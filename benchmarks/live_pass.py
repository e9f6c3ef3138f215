"""What a pass of the live loop costs with its database: read, decide, write.

Run from the top of the repository: ``python benchmarks/live_pass.py [--db URL]``
(default: SQLite in a temporary directory). The sites are those of
``benchmarks/scheduling.py``, stored as the service stores them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import insert

from benchmarks.scheduling import NOW, busy_site
from hub_ext.db.connection import Database
from hub_ext.db.models import (
    DeviceRow,
    NodeRow,
    ProjectRow,
    SessionRow,
    SliceRow,
)
from hub_ext.fgpu import FgpuUnit
from hub_ext.scheduling import model, schedule
from hub_ext.sessions.changes import Changes
from hub_ext.sessions.decisions import Wait, write_decisions
from hub_ext.sessions.snapshot import SnapshotView, read_snapshot
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import SessionStore, Why
from hub_ext.site import Policy

SIZES = ((20, 100, 100, 10), (200, 1_000, 1_000, 100), (2_000, 10_000, 10_000, 100))
"""Nodes of eight devices, running, pending, projects."""
REPEATS = 3


def store_site(database: Database, site: model.Snapshot) -> None:
    """Write a snapshot as rows."""
    with database.transaction() as db:
        projects = [
            {
                "name": project.name,
                "title": "",
                "description": "",
                "parent": project.parent,
                "created_at": 0.0,
                "created_order": number,
                "quota_gpu_milli": project.quota.gpu_milli,
                "member_limits": {},
            }
            for number, project in enumerate(site.projects, start=1)
        ]
        db.execute(insert(ProjectRow), projects)
        db.execute(
            insert(NodeRow),
            [
                {
                    "name": node.name,
                    "cpu_milli": node.cpu_milli,
                    "memory_mib": node.memory_mib,
                    "seen_at": NOW,
                    "labels": {},
                }
                for node in site.nodes
            ],
        )
        db.execute(
            insert(DeviceRow),
            [
                {
                    "node": node.name,
                    "device": device.index,
                    "uuid": f"GPU-{node.name}-{device.index}",
                    "model": "GPU",
                    "memory_mib": device.memory_mib,
                }
                for node in site.nodes
                for device in node.devices
            ],
        )
        db.execute(insert(SessionRow), [_row(n, s) for n, s in enumerate(site.sessions, 1)])
        db.execute(
            insert(SliceRow),
            [
                {
                    "session_id": session.id,
                    "node": placement.node,
                    "device": part.device,
                    "uuid": f"GPU-{placement.node}-{part.device}",
                    "milli": part.milli,
                }
                for session in site.sessions
                for placement in session.placements
                for part in placement.slices
            ],
        )


def _row(order: int, session: model.Session) -> dict[str, object]:
    runs = session.state == "running"
    return {
        "id": session.id,
        "order": order,
        "user": session.user,
        "server_name": session.id,
        "name": session.id,
        "project": session.project,
        "kind": "interactive",
        "status": Status.RUNNING if runs else Status.PENDING,
        "image": "image",
        "image_title": "image",
        "gpu_milli": session.demand.gpu_milli,
        "cpu_milli": session.demand.cpu_milli,
        "memory_mib": session.demand.memory_mib,
        "priority": session.priority,
        "preemptible": session.preemptible,
        "lifetime_s": session.time_limit_s and int(session.time_limit_s),
        "options": {},
        "mounts": [],
        "submitted_at": session.submitted_at,
        "running_at": session.running_since if runs else None,
        "changed_at": session.submitted_at,
        "node": session.placements[0].node if runs else None,
    }


def measure(url: str, size: tuple[int, int, int, int]) -> dict[str, float]:
    """Median seconds of each part; ``first write`` explains to all who wait."""
    database = Database(url)
    database.upgrade()
    store_site(database, busy_site(*size))
    store = SessionStore(database, Changes())
    view = SnapshotView(Policy(unit=FgpuUnit(1, 100)))
    times: dict[str, list[float]] = {"read": [], "decide": [], "write": []}
    for _ in range(REPEATS):
        begun = time.perf_counter()
        with database.transaction() as db:
            snapshot = read_snapshot(db, view)
        read = time.perf_counter()
        decisions = schedule(snapshot)
        decided = time.perf_counter()
        waits = [
            Wait(w.session_id, Why(w.reason.message, w.reason.code), w.position, None)
            for w in decisions.waiting
        ]
        write_decisions(store, waits=waits)
        written = time.perf_counter()
        for part, seconds in zip(
            times, (read - begun, decided - read, written - decided), strict=True
        ):
            times[part].append(seconds)
    database.engine.dispose()
    medians = {part: statistics.median(values) for part, values in times.items()}
    return {**medians, "first write": times["write"][0]}


def main() -> None:
    """Print a line a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", default="", help="URL of an empty database, for one size")
    parser.add_argument("--size", type=int, choices=range(len(SIZES)), help="only this one")
    options = parser.parse_args()
    sizes = SIZES if options.size is None else (SIZES[options.size],)
    print("nodes running pending   read s  decide s  write s  first write s")
    for size in sizes:
        with tempfile.TemporaryDirectory() as directory:
            found = measure(options.db or f"sqlite:///{directory}/site.sqlite", size)
        nodes, running, pending, _ = size
        print(
            f"{nodes:5} {running:7} {pending:7}   {found['read']:6.3f}  {found['decide']:8.3f}"
            f"  {found['write']:7.3f}  {found['first write']:13.3f}"
        )


if __name__ == "__main__":
    main()

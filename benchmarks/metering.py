"""What metering costs: 16 devices with 8 slices each, looked at every 5 s, and a year of rows.

    python benchmarks/metering.py [--rounds 5]

The devices are those of the fake NVML in tests/fakes/nvml, the control groups are files: what is
measured is ours, the calls of a real driver are not in it. Prints the part of one core that looks
take, as the median of rounds, and the size of a year of rows in SQLite and PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pynvml
from sqlalchemy import insert, text

from benchmarks.own_postgresql import postgresql
from benchmarks.served_site import make_site
from hub_ext.db.connection import Database
from hub_ext.db.models import SliceRow
from hub_ext.db.usage_models import SessionUseRow
from hub_ext.gpu.nvml import NvmlGpus
from hub_ext.metering.cgroups import Cgroups
from hub_ext.metering.meter import Meter
from hub_ext.metering.storing import HOUR_S, KEPT_S, MINUTE_S, QUARTER_S
from hub_ext.nodes import inventory
from hub_ext.site import Site
from tests.fakes import nvml
from tests.service.booked_rows import book

NODE = "gpu-1"
DEVICES, SLICES = 16, 8
SESSIONS = DEVICES * SLICES
INTERVAL_S = 5.0
LOOKS = 24
"""In a round: as many as in two minutes."""
ROWS = 200_000
"""So many are written to see how large one is."""
YEAR_S = 366 * 86400
_CGROUP_STAT = "".join(f"stat_{number} {number}\n" for number in range(30))


class ManyContainers(Cgroups):
    """Process n is in container n."""

    def container_of(self, pid: int) -> str | None:
        super().container_of(os.getpid())  # what the look at a real one costs
        return f"{pid:064x}"


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        asyncio.run(looks(directory, rounds))
        sizes(directory)


async def looks(directory: Path, rounds: int) -> None:
    """CPU time of a look at everything, of the service's process."""
    database = Database(f"sqlite:///{directory / 'apportion.sqlite'}")
    database.upgrade()
    site = make_site(database, directory, 1)
    site.policy = replace(site.policy, default_enforcer="timeslice")
    site.nodes = {NODE: fake_devices(directory)}
    await inventory.refresh(site)
    root = directory / "cgroup"
    book_all(site, root)
    clock = [time.time()]
    meter = Meter(site, lambda *_: None, lambda: None, ManyContainers(root=root))
    meter._store._clock = lambda: clock[0]
    await meter.once()
    parts = []
    for _ in range(rounds):
        before = time.process_time()
        for _ in range(LOOKS):
            clock[0] += INTERVAL_S
            await meter.once()
        parts.append((time.process_time() - before) / (LOOKS * INTERVAL_S))
    assert len(site.meter.of(list(site.meter._rings))) == SESSIONS
    print(f"{DEVICES} devices x {SLICES} slices, metered every {INTERVAL_S:g} s:")
    shown = ", ".join(f"{part:.2%}" for part in sorted(parts))
    print(f"  {statistics.median(parts):.2%} of a core (median of {rounds} rounds: {shown})")


def fake_devices(directory: Path) -> NvmlGpus:
    """All full of processes that compute."""
    devices = []
    for number in range(DEVICES):
        first = number * SLICES + 1
        running = [{"pid": first + k, "used_mib": 1000, "sm": 10} for k in range(SLICES)]
        devices.append(nvml.gpu(number, processes=running, utilization=80))
    fake = nvml.FakeNvml(directory, *devices)
    os.environ["FAKE_NVML"] = str(fake.path)
    pynvml.nvmlLib = ctypes.CDLL(str(nvml.build(directory)))
    return NvmlGpus()


def book_all(site: Site, root: Path) -> None:
    """A running session on each slice, with a container that has its control group."""
    with site.database.transaction() as db:
        for number in range(SESSIONS):
            container = f"{number + 1:064x}"
            row = book(db, NODE, {number // SLICES: 125}, container_id=container)
            for part in row.slices:
                part.memory_mib = 2048
            place = root / "docker" / container
            place.mkdir(parents=True)
            (place / "cpu.stat").write_text(f"usage_usec {number}\n{_CGROUP_STAT}")
            (place / "memory.current").write_text(str(500 << 20))
            (place / "memory.stat").write_text(f"{_CGROUP_STAT}inactive_file 4096\n")
        assert db.query(SliceRow).count() == SESSIONS


def sizes(directory: Path) -> None:
    """Bytes of a stored row, with its indexes; and so what a year of them takes."""
    rows_a_session = sum(min(kept_s, YEAR_S) / span_s for span_s, kept_s in KEPT_S.items())
    rows = int(rows_a_session * SESSIONS)
    print(
        f"A year of {SESSIONS} slices that are never free: {rows:,} rows"
        f" (minutes of {KEPT_S[MINUTE_S] // 86400} day, quarters of {KEPT_S[QUARTER_S] // 86400}"
        f" days, hours of {min(KEPT_S[HOUR_S], YEAR_S) // 86400} days)"
    )
    with postgresql(directory) as url:
        for name, where in (
            ("SQLite", f"sqlite:///{directory / 'rows.sqlite'}"),
            ("PostgreSQL", url),
        ):
            each = bytes_of_a_row(Database(where))
            print(f"  {name}: {each:.0f} bytes a row, {each * rows / 1e9:.2f} GB")


def bytes_of_a_row(database: Database) -> float:
    """From how much a database grows."""
    database.upgrade()
    before = size(database)
    for begin in range(0, ROWS, 20_000):
        values = [_row(number) for number in range(begin, begin + 20_000)]
        with database.transaction() as db:
            db.execute(insert(SessionUseRow), values)
    return (size(database) - before) / ROWS


def _row(number: int) -> dict[str, Any]:
    return {
        "session_order": 50_000 + number % SESSIONS,
        "span_s": MINUTE_S,
        "at": 29_000_000 + number // SESSIONS,
        "measured_s": 60,
        "gpu_memory_mib": 12_345,
        "gpu_permille": 678,
        "cpu_milli": 3210,
        "memory_mib": 23_456,
    }


def size(database: Database) -> int:
    """Of the table with its indexes, in bytes."""
    with database.transaction() as db:
        if database.engine.dialect.name == "postgresql":
            query = text("SELECT pg_total_relation_size('session_use')")
            return int(db.scalar(query) or 0)
        pages = db.scalar(text("PRAGMA page_count")) or 0
        return int(pages) * int(db.scalar(text("PRAGMA page_size")) or 0)


if __name__ == "__main__":
    main()

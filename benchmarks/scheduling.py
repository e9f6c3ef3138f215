"""How long one scheduling pass takes, and how it grows.

Run from the top of the repository: ``python benchmarks/scheduling.py [--policy P]``.
The setting is that of a busy site: every project wants more than its quota, devices
are shared, sessions carry time limits or expected durations. The anchor is KAI's own
report of 2.4 s a cycle on 4,000 nodes, most of it the snapshot.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hub_ext.scheduling import schedule
from hub_ext.scheduling.cluster import Capacity, Cluster
from hub_ext.scheduling.model import (
    GPU,
    Decisions,
    Demand,
    Device,
    Node,
    Project,
    Resources,
    Session,
    Slice,
    Snapshot,
    TaskPlacement,
)

NOW = 1_700_000_000.0
DEMANDS = (
    (Demand(100, 1000, 4096), 4, 1),
    (Demand(200, 2000, 8192), 6, 1),
    (Demand(500, 4000, 16384), 8, 4),
    (Demand(700, 4000, 16384), 2, 1),
    (Demand(1000, 8000, 32768), 8, 8),
    (Demand(2000, 16000, 65536), 2, 6),
    (Demand(4000, 32000, 131072), 1, 3),
    (Demand(8000, 64000, 262144), 1, 1),
    (Demand(0, 2000, 8192), 3, 1),
)
"""Requests with how often they wait and how often they run: the big ones hold the site."""


def busy_site(nodes: int, running: int, pending: int, projects: int, seed: int = 1) -> Snapshot:
    """A site whose devices are nearly all taken and whose queue is long."""
    chance = random.Random(seed)
    devices = tuple(Device(i, 81920) for i in range(8))
    machines = [Node(f"node-{i:05}", devices, 128000, 1048576) for i in range(nodes)]
    quota = nodes * 8 * GPU // projects
    departments = [Project(f"department-{i}") for i in range(10)]
    courses = [
        Project(f"course-{i}", f"department-{i % 10}", Resources(quota, -1, -1), created_order=i)
        for i in range(projects)
    ]
    sessions = [_session(chance, i, projects, running) for i in range(running + pending)]
    seats = _Seats(machines)
    placed = [seats.seat(s) if s.state == "running" else s for s in sessions]
    return Snapshot(
        now=NOW,
        nodes=tuple(machines),
        projects=(*departments, *courses),
        sessions=tuple(placed),
    )


def _session(chance: random.Random, number: int, projects: int, running: int) -> Session:
    weights = [row[2 if number < running else 1] for row in DEMANDS]
    demand = chance.choices([row[0] for row in DEMANDS], weights)[0]
    limited = chance.random() < 0.5
    return Session(
        id=f"s{number:06}",
        user=f"u{number % 3000}",
        project=f"course-{int(projects * chance.random() ** 1.5)}",
        demand=demand,
        state="running" if number < running else "pending",
        priority=chance.choice((0, 0, 0, 10)),
        preemptible=chance.random() < 0.7,
        submitted_at=NOW - 7200 + number / 10,
        running_since=NOW - 3600 * chance.random() * 4,
        time_limit_s=3600.0 * chance.randint(4, 12) if limited else None,
        expected_duration_s=3600.0 * chance.randint(1, 10),
    )


class _Seats:
    """Seats running sessions first fit; one that fits nowhere becomes a small one."""

    def __init__(self, nodes: list[Node]) -> None:
        self._capacity = Capacity(Cluster(Snapshot(NOW, tuple(nodes), (), ())))
        self._names = [n.name for n in nodes]
        self._next = 0

    def seat(self, session: Session) -> Session:
        for _ in range(len(self._names)):
            node = self._next
            self._next = (self._next + 1) % len(self._names)
            placement = self._on(node, session.demand)
            if placement is not None:
                demand = session.demand
                self._capacity.apply((placement,), demand.cpu_milli, demand.memory_mib, -1)
                return replace(session, placements=(placement,))
        return replace(
            session,
            demand=Demand(0, 100, 128),
            placements=(TaskPlacement(self._names[self._next]),),
        )

    def _on(self, node: int, demand: Demand) -> TaskPlacement | None:
        free = self._capacity.free[node]
        if self._capacity.cpu[node] < demand.cpu_milli:
            return None
        if self._capacity.memory[node] < demand.memory_mib:
            return None
        if demand.gpu_milli == 0:
            return TaskPlacement(self._names[node])
        if demand.gpu_milli < GPU:
            fits = [i for i in range(8) if free[i] >= demand.gpu_milli]
            fits.sort(key=lambda i: int(free[i]))
            slices = (Slice(fits[0], demand.gpu_milli),) if fits else ()
        else:
            whole = [i for i in range(8) if free[i] == GPU][: demand.gpu_milli // GPU]
            enough = len(whole) == demand.gpu_milli // GPU
            slices = tuple(Slice(i, GPU) for i in whole) if enough else ()
        return TaskPlacement(self._names[node], slices) if slices else None


def measure(snapshot: Snapshot, policy: str, repeats: int) -> tuple[float, float, Decisions]:
    """Seconds and CPU seconds of the fastest of some passes, and its decisions."""
    best, decisions = (float("inf"), float("inf")), Decisions()
    for _ in range(repeats):
        begun, worked = time.perf_counter(), time.process_time()
        decisions = schedule(snapshot, policy)
        best = min(best, (time.perf_counter() - begun, time.process_time() - worked))
    return *best, decisions


def main() -> None:
    """Print one line a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", default="fragmentation")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(
        "nodes  running  pending  projects  seconds  CPU s  starts  evictions  with estimate"
        "  peak MiB"
    )
    for scale, label in ((0.1, "10x fewer"), (1, ""), (2, "2x more")):
        nodes, count = int(2000 * scale), int(10_000 * scale)
        snapshot = busy_site(nodes, count, count, 100)
        seconds, cpu, decisions = measure(snapshot, options.policy, options.repeats)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        known = sum(w.estimate_s is not None for w in decisions.waiting)
        print(
            f"{nodes:5}  {count:7}  {count:7}  {100:8}  {seconds:7.2f}  {cpu:5.2f}"
            f"  {len(decisions.starts):6}  {len(decisions.evictions):9}  {known:13}"
            f"  {peak:8.0f}  {label}"
        )
        assert len(decisions.starts) + len(decisions.waiting) == count
        assert all(w.reason.message for w in decisions.waiting)


if __name__ == "__main__":
    main()

"""What would this hardware hold? Jobs of a trace are packed until they no longer fit.

The protocol of Weng et al. (USENIX ATC 2023, the "inflated" experiments on Alibaba's
cluster-trace-gpu-v2023): jobs sampled uniformly with replacement until they ask for
``inflate`` times the GPUs of the nodes, placed in arrival order, none leaving, misfits
dropped.
"""

from __future__ import annotations

import csv
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub_ext.scheduling.cluster import Capacity, Cluster
from hub_ext.scheduling.errors import SnapshotError
from hub_ext.scheduling.find import Finder
from hub_ext.scheduling.model import GPU, Demand, Device, Node, Snapshot
from hub_ext.scheduling.placement import make_policy, take_devices
from hub_ext.scheduling.request import Request, RequestKey

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu")
JOB_COLUMNS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")


@dataclass(frozen=True, slots=True)
class TraceResult:
    """What was placed, and how fast (decisions are jobs placed or dropped)."""

    gpu_allocated_pct: float
    placed: int
    dropped: int
    decisions_per_s: float


def read_nodes(lines: Iterable[str], file: str = "nodes") -> list[Node]:
    """Nodes of a CSV with the columns of ``openb_nodes.csv``. Raises SnapshotError."""
    nodes = []
    for line, row in _rows(lines, NODE_COLUMNS, file):
        gpus = _whole(row, "gpu", file, line)
        nodes.append(
            Node(
                name=row["sn"],
                devices=tuple(Device(i, 0) for i in range(gpus)),
                cpu_milli=_whole(row, "cpu_milli", file, line),
                memory_mib=_whole(row, "memory_mib", file, line),
            )
        )
    if not sum(len(n.devices) for n in nodes):
        raise SnapshotError(f"{file} has no node with GPUs.", field=f"{file}.gpu")
    return nodes


def read_jobs(lines: Iterable[str], file: str = "jobs") -> list[Demand]:
    """Requests of a CSV with the columns of ``openb_jobs_default.csv``. Raises SnapshotError."""
    demands = []
    for line, row in _rows(lines, JOB_COLUMNS, file):
        number = _whole(row, "num_gpu", file, line)
        milli = _whole(row, "gpu_milli", file, line)
        if milli > GPU or (number > 1 and milli != GPU):
            where = f"{file} line {line}: gpu_milli"
            raise SnapshotError(f"{where} must be at most 1000 (1000 for several).", field=where)
        demands.append(
            Demand(
                gpu_milli=number * milli,
                cpu_milli=_whole(row, "cpu_milli", file, line),
                memory_mib=_whole(row, "memory_mib", file, line),
            )
        )
    if not any(d.gpu_milli for d in demands):
        raise SnapshotError(f"{file} has no job that asks for GPUs.", field=f"{file}.num_gpu")
    return demands


def _rows(
    lines: Iterable[str], columns: Sequence[str], file: str
) -> Iterable[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(lines)
    for column in columns:
        if column not in (reader.fieldnames or ()):
            raise SnapshotError(f"{file} has no column {column}.", field=f"{file}.{column}")
    for row in reader:
        yield reader.line_num, row


def _whole(row: dict[str, str], column: str, file: str, line: int) -> int:
    value = row[column]
    if value is None or not value.strip().isdecimal():
        where = f"{file} line {line}: {column}"
        raise SnapshotError(f"{where} must be a whole number, not {value!r}.", field=where)
    return int(value)


def sample(jobs: Sequence[Demand], gpu_milli: int, inflate: float, seed: int) -> list[Demand]:
    """Jobs drawn uniformly with replacement until they ask for ``inflate`` x ``gpu_milli``."""
    chance = random.Random(seed)
    asked, drawn = 0, []
    while asked < inflate * gpu_milli:
        job = jobs[chance.randrange(len(jobs))]
        asked += job.gpu_milli
        drawn.append(job)
    return drawn


def play_trace(
    nodes: Sequence[Node],
    jobs: Sequence[Demand],
    policy: str = "fragmentation",
    inflate: float = 1.3,
    seed: int = 42,
) -> TraceResult:
    """Place a sample of the jobs on the nodes. Raises SnapshotError for a bad policy."""
    cluster = Cluster(Snapshot(0.0, tuple(nodes), (), ()))
    capacity = Capacity(cluster)
    counts: dict[Demand, float] = {}
    for job in jobs:
        counts[job] = counts.get(job, 0.0) + 1
    chooser = make_policy(policy, counts.items())
    finder = Finder(capacity, chooser, random.Random(seed))
    requests = {d: Request(RequestKey(d, None, None, frozenset()), cluster) for d in counts}
    drawn = sample(jobs, cluster.totals[0], inflate, seed)
    placed = allocated = 0
    begun = time.perf_counter()
    for job in drawn:
        request = requests[job]
        node = finder.best(request)
        if node is None:
            continue
        pieces = take_devices(chooser, capacity, request, node)
        placement = capacity.placement(node, pieces)
        capacity.apply((placement,), job.cpu_milli, job.memory_mib, -1)
        placed += 1
        allocated += job.gpu_milli
    seconds = time.perf_counter() - begun
    return TraceResult(
        gpu_allocated_pct=round(100 * allocated / cluster.totals[0], 3),
        placed=placed,
        dropped=len(drawn) - placed,
        decisions_per_s=round(len(drawn) / max(seconds, 1e-9), 1),
    )

"""Put the containers of a session on nodes and devices: all of them or none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hub_ext.scheduling.accounts import may_hold
from hub_ext.scheduling.cluster import Capacity
from hub_ext.scheduling.find import Finder
from hub_ext.scheduling.jobs import Job, first_tasks
from hub_ext.scheduling.model import TaskPlacement
from hub_ext.scheduling.placement import NEVER, take_devices


def place(
    finder: Finder,
    job: Job,
    with_ending: bool,
    nodes: list[int] | None = None,
    seen: Callable[[list[int]], None] | None = None,
) -> list[TaskPlacement] | None:
    """Places for the containers that must start together, taken from the finder's capacity.

    None: they do not all fit. A gang may grow beyond its minimum afterwards.

    with_ending: count what ending sessions still hold against limit and quota (needed
    when the start is to be now). nodes: look at these only. seen: told about each node
    before it changes.
    """
    capacity = finder.capacity
    needed = first_tasks(job.session)
    if not job.request.by_memory and not may_hold(job.account, job.amount, job.fixed, with_ending):
        return None
    done: list[TaskPlacement] = []
    while len(done) < needed:
        placement = _place_one(finder, job, done, with_ending, nodes)
        if placement is None:
            capacity.apply(done, job.request.cpu, job.request.memory, +1)
            return None
        if seen is not None:
            seen([capacity.cluster.number[placement.node]])
        capacity.apply((placement,), job.request.cpu, job.request.memory, -1)
        done.append(placement)
    return done


def _place_one(
    finder: Finder,
    job: Job,
    done: list[TaskPlacement],
    with_ending: bool,
    nodes: list[int] | None,
) -> TaskPlacement | None:
    request = job.request
    if request.by_memory:
        return _place_by_memory(finder, job, done, with_ending, nodes)
    node = finder.best(request) if nodes is None else finder.best_of(request, nodes)
    if node is None:
        return None
    capacity = finder.capacity
    return capacity.placement(node, take_devices(finder.policy, capacity, request, node))


def _place_by_memory(
    finder: Finder,
    job: Job,
    done: list[TaskPlacement],
    with_ending: bool,
    nodes: list[int] | None,
) -> TaskPlacement | None:
    """A request by GPU memory costs another part of each kind of device: check on the spot."""
    capacity, request = finder.capacity, job.request
    scores = finder.scores(request)
    allowed = np.arange(len(scores)) if nodes is None else np.array(sorted(nodes), dtype=int)
    for node in allowed[np.argsort(scores[allowed], kind="stable")]:
        if scores[node] == NEVER:
            return None
        pieces = take_devices(finder.policy, capacity, request, int(node))
        if _within(job, done, sum(milli for _, milli in pieces), with_ending):
            return capacity.placement(int(node), pieces)
    return None


def _within(job: Job, done: list[TaskPlacement], gpu_milli: int, with_ending: bool) -> bool:
    """Whether one container more of so many milli-GPU keeps limit and quota."""
    count = len(done) + 1
    gpu = sum(piece.milli for p in done for piece in p.slices) + gpu_milli
    amount = (gpu, job.request.cpu * count, job.request.memory * count)
    return may_hold(job.account, amount, job.fixed, with_ending)


def fits_exactly(capacity: Capacity, job: Job, placements: tuple[TaskPlacement, ...]) -> bool:
    """Whether the session still fits on a place that was kept for it."""
    cluster = capacity.cluster
    asked = job.request.amount[0] * len(placements)
    if len(placements) < first_tasks(job.session):
        return False
    if not job.request.by_memory and asked != sum(s.milli for p in placements for s in p.slices):
        return False
    for placement in placements:
        node = cluster.number.get(placement.node)
        if node is None or not job.request.eligible[node]:
            return False
        for piece in placement.slices:
            column = cluster.column[node].get(piece.device)
            if column is None or not cluster.usable[node, column]:
                return False
    rows = {cluster.number[p.node]: capacity.row(cluster.number[p.node]) for p in placements}
    capacity.apply(placements, job.request.cpu, job.request.memory, -1)
    fits = all(
        bool((capacity.free[n] >= np.minimum(rows[n][0], 0)).all())
        and capacity.cpu[n] >= 0
        and capacity.memory[n] >= 0
        for n in rows
    )
    for node, row in rows.items():
        capacity.set_row(node, row)
    return fits

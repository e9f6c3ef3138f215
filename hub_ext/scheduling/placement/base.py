"""The interface of a placement policy, and what every policy shares: what fits where."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hub_ext.scheduling.cluster import Capacity
from hub_ext.scheduling.model import GPU
from hub_ext.scheduling.request import Request

NEVER = float("inf")
"""The score of a node on which the request does not fit."""


class PlacementPolicy(Protocol):
    """Chooses node and device. Scores depend on the node's own state only."""

    name: str

    def scores(self, capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
        """One score a node, the lowest is best, ``NEVER`` where the request does not fit."""
        ...

    def device(self, capacity: Capacity, request: Request, node: int) -> int:
        """The column of the device that takes the partial slice; one of them fits."""
        ...


def free_for_parts(capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
    """milli-GPU [node, device] that the partial slices of a request could take.

    Nothing of devices that give only all of themselves. A program sees one MIG instance
    at most (NVIDIA MIG User Guide), so that a request for more takes none; and no part of a
    device that gives parts only alone.
    """
    cluster = capacity.cluster
    free = capacity.free[nodes]
    if request.several:
        barred = cluster.whole_only | cluster.single | cluster.parts_alone
    elif cluster.plain:
        return free
    else:
        barred = cluster.whole_only
    return np.where(barred[nodes], 0, free)


def free_for_whole(capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
    """milli-GPU [node, device] that the whole devices of a request could take."""
    cluster = capacity.cluster
    free = capacity.free[nodes]
    if cluster.plain or not request.several:
        return free
    return np.where(cluster.single[nodes], 0, free)


def fitting(capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
    """Which of the nodes have room for one container of the request."""
    fits = (capacity.cpu[nodes] >= request.cpu) & (capacity.memory[nodes] >= request.memory)
    if request.gpu_less:
        return fits
    part = request.part_on(nodes)
    if request.whole == 0:
        parts = free_for_parts(capacity, request, nodes) >= part
        return fits & (parts.sum(axis=1) >= request.slices)
    full = free_for_whole(capacity, request, nodes) >= GPU
    count = full.sum(axis=1)
    if request.part == 0:
        return fits & (count >= request.whole)
    parts = free_for_parts(capacity, request, nodes) >= part
    beside = (parts & ~full).any(axis=1) & (count >= request.whole)
    return fits & (beside | (parts & full).any(axis=1) & (count > request.whole))


def fits_on(capacity: Capacity, request: Request, node: int) -> bool:
    """The same as ``fitting`` for one node, without the cost of arrays."""
    if not request.eligible[node]:
        return False
    if capacity.cpu[node] < request.cpu or capacity.memory[node] < request.memory:
        return False
    if request.gpu_less:
        return True
    several = request.by_memory or request.slices > 1 or (request.whole and request.part)
    if several or not capacity.cluster.plain:
        return bool(fitting(capacity, request, np.array([node]))[0])
    row = capacity.free[node]
    if request.whole:
        return int((row >= GPU).sum()) >= request.whole
    return bool(row.max() >= request.part)


def columns_for_part(capacity: Capacity, request: Request, node: int) -> np.ndarray:
    """Columns that may take the partial slice, leaving enough whole devices for the rest."""
    nodes = np.array([node])
    part = request.part[node] if isinstance(request.part, np.ndarray) else request.part
    fits = free_for_parts(capacity, request, nodes)[0] >= part
    if request.whole:
        full = free_for_whole(capacity, request, nodes)[0] >= GPU
        if int(full.sum()) <= request.whole:
            fits &= ~full
    return np.flatnonzero(fits)


def take_devices(
    policy: PlacementPolicy, capacity: Capacity, request: Request, node: int
) -> list[tuple[int, int]]:
    """(column, milli) of the devices that one container takes on a node where it fits."""
    pieces: list[tuple[int, int]] = []
    taken: set[int] = set()
    if request.by_memory or request.part:
        columns = [policy.device(capacity, request, node)]
        if request.slices > 1:
            others = columns_for_part(capacity, request, node)
            by_free = others[np.argsort(capacity.free[node, others], kind="stable")]
            columns += [int(c) for c in by_free if int(c) != columns[0]][: request.slices - 1]
        part = request.part
        for column in columns:
            milli = int(part[node, column]) if isinstance(part, np.ndarray) else part
            pieces.append((column, milli))
        taken.update(columns)
    if request.whole:
        full = np.flatnonzero(free_for_whole(capacity, request, np.array([node]))[0] >= GPU)
        left = [int(c) for c in full if int(c) not in taken]
        left.sort(key=lambda column: not capacity.cluster.whole_only[node, column])
        pieces += [(column, GPU) for column in left[: request.whole]]
    return pieces

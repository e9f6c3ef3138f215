"""Fragmentation gradient descent: place where the least free GPU becomes useless.

Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with
Fragmentation Gradient Descent", USENIX ATC 2023. For a request type m with popularity
p(m), the fragment of a node is all its free GPU if m cannot run there, else the free
GPU on devices too small for m; F = sum of p(m) x fragment. The best place is the one
where F grows least.

One thing is ours: the paper's F does not see that CPU or memory run short until they
are gone. Here a node on which CPU and memory allow less than ``1 / SHORTAGE`` of the
containers of a type that its devices would hold counts in proportion. On the openb
trace this is worth half a point.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hub_ext.scheduling.cluster import Capacity
from hub_ext.scheduling.model import GPU, Demand
from hub_ext.scheduling.placement.base import (
    NEVER,
    columns_for_part,
    fitting,
    free_for_parts,
    free_for_whole,
)
from hub_ext.scheduling.placement.pack import GPU_NODE
from hub_ext.scheduling.request import Request

SHORTAGE = 2.0
GRAIN = 30.0
"""Differences of F below this many milli-GPU are ties; a random choice does better."""
FULLEST = 1e-6
"""Among devices on which F grows alike, the one with the least free goes first."""
UNTOUCHED = 0.5
"""Where nothing is lost either way, a node in use goes before one that is wholly free."""


class RequestMix:
    """What this site sees: GPU request types and their popularity, as arrays.

    Types that ask for no GPU are left out: they see all free GPU as fragments wherever
    it is, which does not tell one place from another. Types are sorted by shape
    (devices x milli-GPU); ``tasks`` and ``usable`` say for each shape and free amount
    of one device how many containers it holds and how much of it they can use.
    """

    def __init__(self, types: Iterable[tuple[Demand, float]]) -> None:
        known = [(_shape(d), d, p) for d, p in types if p > 0 and (d.gpu_milli or d.gpu_memory_mib)]
        known.sort(key=lambda item: (item[0], item[1].cpu_milli, item[1].memory_mib))
        total = sum(p for _, _, p in known) or 1.0
        self.popularity = np.array([p / total for _, _, p in known])
        self.cpu = np.array([max(1, d.cpu_milli) for _, d, _ in known], dtype=np.float64)
        self.memory = np.array([max(1, d.memory_mib) for _, d, _ in known], dtype=np.float64)
        shapes = sorted({shape for shape, _, _ in known})
        self.shape = np.array([shapes.index(s) for s, _, _ in known], dtype=np.int64)
        self.devices = np.array([devices for devices, _ in shapes], dtype=np.float64)
        self.several = self.devices > 1
        size = np.array([milli for _, milli in shapes], dtype=np.int64)
        free = np.arange(GPU + 1)[:, None]
        self.tasks = (free // size).astype(np.float64)
        self.usable = np.where(free >= size, free, 0).astype(np.float64)


def _shape(demand: Demand) -> tuple[int, int]:
    """(devices, milli-GPU of each); a request by memory counts as half a device."""
    milli = demand.gpu_milli or GPU // 2
    return (1, milli) if milli <= GPU else (milli // GPU, GPU)


class Fragmentation:
    """The default policy. One object serves one pass (it remembers each node's F)."""

    name = "fragmentation"

    def __init__(self, types: Iterable[tuple[Demand, float]]) -> None:
        self._mix = RequestMix(types)
        self._before: dict[int, tuple[Capacity, np.ndarray, int]] = {}
        self._devices: dict[tuple[int, Request], tuple[Capacity, np.ndarray, int]] = {}

    def scores(self, capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
        """Growth of F on the best device, in grains; NEVER where it does not fit."""
        fits = fitting(capacity, request, nodes)
        result = np.full(len(nodes), NEVER)
        if not fits.any():
            return result
        chosen = nodes[fits]
        growth = self._best(capacity, request, chosen) - self._now(capacity, chosen)
        score = np.round(growth / GRAIN)
        devices = capacity.cluster.devices_per_node[chosen]
        if request.gpu_less:
            score += (devices > 0) * GPU_NODE
        else:
            untouched = capacity.free[chosen].sum(axis=1) >= capacity.cluster.gpu[chosen]
            score += (untouched & (np.abs(growth) < 1e-6)) * UNTOUCHED
        result[fits] = score
        return result

    def device(self, capacity: Capacity, request: Request, node: int) -> int:
        """The device on which F grows least; among equals the fullest."""
        known = self._devices.get((id(capacity), request))
        if known is not None and known[0] is capacity and node not in capacity.changes[known[2] :]:
            return int(known[1][node])
        columns = columns_for_part(capacity, request, node)
        after = self._after(capacity, request, np.array([node]))[0, columns]
        return int(columns[np.argmin(after + capacity.free[node, columns] * FULLEST)])

    def _best(self, capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
        """F after placing the request on the best device, which is remembered."""
        after = self._after(capacity, request, nodes)
        if after.shape[1] == 1:
            return after[:, 0]
        columns = np.argmin(after + capacity.free[nodes] * FULLEST, axis=1)
        known = self._devices.get((id(capacity), request))
        changes = len(capacity.changes)
        if known is None or known[0] is not capacity:
            known = (capacity, np.zeros(len(capacity.cpu), dtype=np.int64), changes)
        known[1][nodes] = columns
        self._devices[(id(capacity), request)] = (capacity, known[1], changes)
        best: np.ndarray = after[np.arange(len(nodes)), columns]
        return best

    def _fragment(
        self, total: np.ndarray, tasks: np.ndarray, usable: np.ndarray, allowed: np.ndarray
    ) -> np.ndarray:
        """F in milli-GPU. total [..]: free; tasks, usable [.., shape]; allowed [.., type]."""
        mix = self._mix
        if mix.several.any():
            tasks = np.where(mix.several, np.floor(tasks / mix.devices), tasks)
            usable = np.where(tasks > 0, usable, 0.0)
        per_task = usable / np.maximum(tasks, 1.0)
        by_devices = np.take(usable, mix.shape, axis=-1)
        by_others = allowed * np.take(per_task, mix.shape, axis=-1)
        used: np.ndarray = np.minimum(by_devices, by_others) @ mix.popularity
        return total - used

    def _allowed(self, cpu: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """Containers of each type that CPU and memory of the nodes allow, times SHORTAGE."""
        mix = self._mix
        counts = np.minimum(cpu[:, None] / mix.cpu, memory[:, None] / mix.memory)
        counts = np.floor(counts, out=counts)
        counts *= SHORTAGE
        return counts

    def _now(self, capacity: Capacity, nodes: np.ndarray) -> np.ndarray:
        """F of the nodes as they are; remembered until a node changes."""
        known = self._before.get(id(capacity))
        if known is None or known[0] is not capacity:
            values, seen = (
                self._measure(capacity, np.arange(len(capacity.cpu))),
                len(capacity.changes),
            )
        else:
            values, seen = known[1], known[2]
        if seen < len(capacity.changes):
            changed = np.fromiter(set(capacity.changes[seen:]), dtype=np.int64)
            values[changed] = self._measure(capacity, changed)
        self._before[id(capacity)] = (capacity, values, len(capacity.changes))
        chosen: np.ndarray = values[nodes]
        return chosen

    def _measure(self, capacity: Capacity, nodes: np.ndarray) -> np.ndarray:
        """F of the nodes, in milli-GPU."""
        free = np.maximum(capacity.free[nodes], 0)
        cpu = np.maximum(capacity.cpu[nodes], 0)
        allowed = self._allowed(cpu, np.maximum(capacity.memory[nodes], 0))
        mix = self._mix
        tasks, usable = mix.tasks[free].sum(axis=1), mix.usable[free].sum(axis=1)
        return self._fragment(free.sum(axis=1), tasks, usable, allowed)

    def _after(self, capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
        """F after placing the request where it fits, for each device of the partial slice.

        A request without a partial slice has one column: it is the same whichever
        devices it takes. NEVER: that device cannot take it.
        """
        mix = self._mix
        free = np.maximum(capacity.free[nodes], 0)
        cpu, memory = capacity.cpu[nodes] - request.cpu, capacity.memory[nodes] - request.memory
        allowed = self._allowed(cpu, memory)
        tasks, usable = mix.tasks[free], mix.usable[free]
        whole = request.whole
        all_tasks = tasks.sum(axis=1) - whole * mix.tasks[GPU]
        all_usable = usable.sum(axis=1) - whole * mix.usable[GPU]
        total = free.sum(axis=1) - whole * GPU
        if not request.by_memory and request.part == 0:
            return self._fragment(total, all_tasks, all_usable, allowed)[:, None]
        part = np.broadcast_to(np.asarray(request.part_on(nodes)), free.shape)
        cluster = capacity.cluster
        fits = free_for_parts(capacity, request, nodes) >= part
        if not request.by_memory and cluster.plain:
            fits = _first_of_each(free, fits)
        if whole:
            full = free_for_whole(capacity, request, nodes) >= GPU
            fits &= ~(full & (full.sum(axis=1) <= whole)[:, None])
        row, column = np.nonzero(fits)
        rest = free[row, column] - part[row, column]
        # what is left of a MIG instance is of no use to anybody: it stays in the total, as waste
        rest[cluster.single[nodes][row, column]] = 0
        value = np.full(free.shape, NEVER)
        value[row, column] = self._fragment(
            total[row] - part[row, column],
            all_tasks[row] - tasks[row, column] + mix.tasks[rest],
            all_usable[row] - usable[row, column] + mix.usable[rest],
            allowed[row],
        )
        return value


def _first_of_each(free: np.ndarray, fits: np.ndarray) -> np.ndarray:
    """Of the devices that fit, one for each amount of free GPU: the others are its like."""
    like_before = np.zeros_like(fits)
    for column in range(1, free.shape[1]):
        like = free[:, :column] == free[:, column : column + 1]
        like_before[:, column] = like.any(axis=1)
    return fits & ~like_before

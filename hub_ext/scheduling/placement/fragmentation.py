"""Fragmentation gradient descent: place where the least free GPU becomes useless.

Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with
Fragmentation Gradient Descent", USENIX ATC 2023. For a request type m with popularity
p(m), the fragment of a node is all its free GPU if m cannot run there, else the free
GPU on devices too small for m; F = sum of p(m) x fragment. The best place is the one
where F grows least.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hub_ext.scheduling.cluster import Capacity
from hub_ext.scheduling.model import GPU, Demand
from hub_ext.scheduling.placement.base import NEVER, columns_for_part, fitting
from hub_ext.scheduling.placement.pack import cpu_only_scores
from hub_ext.scheduling.request import Request

TIE = 2.0**-20
"""Weight of a full node's milli-GPU in breaking ties by packing: below any real step."""


class RequestMix:
    """What this site sees: GPU request types and their popularity, as arrays.

    Types that ask for no GPU are left out: they see all free GPU as fragments wherever
    it is, which does not tell one place from another.
    """

    def __init__(self, types: Iterable[tuple[Demand, float]]) -> None:
        known = [(d, p) for d, p in types if p > 0 and (d.gpu_milli or d.gpu_memory_mib)]
        total = sum(p for _, p in known) or 1.0
        self.cpu = np.array([d.cpu_milli for d, _ in known], dtype=np.int64)
        self.memory = np.array([d.memory_mib for d, _ in known], dtype=np.int64)
        popularity = np.array([p / total for _, p in known])
        milli = [d.gpu_milli or GPU // 2 for d, _ in known]
        sizes = sorted({m for m in milli if m <= GPU})
        counts = sorted({m // GPU for m in milli if m > GPU})
        self.counts = np.array(counts, dtype=np.int64)
        self.by_size = np.zeros((len(known), len(sizes)))
        self.by_count = np.zeros((len(known), len(counts)))
        for i, m in enumerate(milli):
            if m <= GPU:
                self.by_size[i, sizes.index(m)] = popularity[i]
            else:
                self.by_count[i, counts.index(m // GPU)] = popularity[i]
        self.popular = float(popularity.sum())
        self.level = np.searchsorted(np.array(sizes), np.arange(GPU + 1), side="right")
        """For a free amount: how many sizes fit; the sizes from there on do not."""


class Fragmentation:
    """The default policy. One object serves one pass (it remembers each node's F)."""

    name = "fragmentation"

    def __init__(self, types: Iterable[tuple[Demand, float]]) -> None:
        self._mix = RequestMix(types)
        self._before: dict[int, tuple[Capacity, np.ndarray, int]] = {}

    def scores(self, capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
        """Growth of F in milli-GPU on the best device; ties go to the fuller node."""
        fits = fitting(capacity, request, nodes)
        result = np.full(len(nodes), NEVER)
        if not fits.any():
            return result
        chosen = nodes[fits]
        if request.gpu_less:
            result[fits] = cpu_only_scores(capacity, chosen)
            return result
        growth = self._after(capacity, request, chosen).min(axis=1) - self._now(capacity, chosen)
        free = np.maximum(capacity.free[chosen], 0).sum(axis=1)
        result[fits] = np.round(growth, 3) + free * TIE
        return result

    def device(self, capacity: Capacity, request: Request, node: int) -> int:
        """The device on which F grows least; among equals the fullest."""
        columns = columns_for_part(capacity, request, node)
        after = self._after(capacity, request, np.array([node]))[0, columns]
        return int(columns[np.lexsort((capacity.free[node, columns], np.round(after, 3)))[0]])

    def _weights(
        self, cpu: np.ndarray, memory: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Popularity by size (summed from the largest down), by count, and what cannot run."""
        mix = self._mix
        runs = ((mix.cpu <= cpu[:, None]) & (mix.memory <= memory[:, None])).astype(np.float64)
        by_size = runs @ mix.by_size
        by_count = runs @ mix.by_count
        stuck = mix.popular - by_size.sum(axis=1) - by_count.sum(axis=1)
        too_big = np.zeros((len(cpu), by_size.shape[1] + 1))
        too_big[:, :-1] = by_size[:, ::-1].cumsum(axis=1)[:, ::-1]
        return too_big, by_count, stuck

    def _now(self, capacity: Capacity, nodes: np.ndarray) -> np.ndarray:
        """F of the nodes as they are; remembered until a node changes."""
        known = self._before.get(id(capacity))
        if known is None or known[0] is not capacity:
            every = np.arange(len(capacity.cpu))
            values, seen = self._measure(capacity, every), len(capacity.changes)
        else:
            values, seen = known[1], known[2]
        if seen < len(capacity.changes):
            changed = np.unique(np.array(capacity.changes[seen:]))
            values[changed] = self._measure(capacity, changed)
        self._before[id(capacity)] = (capacity, values, len(capacity.changes))
        chosen: np.ndarray = values[nodes]
        return chosen

    def _measure(self, capacity: Capacity, nodes: np.ndarray) -> np.ndarray:
        """F of the nodes, in milli-GPU."""
        free = np.maximum(capacity.free[nodes], 0)
        too_big, by_count, stuck = self._weights(capacity.cpu[nodes], capacity.memory[nodes])
        rows = np.arange(len(nodes))[:, None]
        small = (free * too_big[rows, self._mix.level[free]]).sum(axis=1)
        total, full = free.sum(axis=1), (free >= GPU).sum(axis=1)
        return small + stuck * total + self._counted(by_count, total, full)

    def _counted(self, by_count: np.ndarray, total: np.ndarray, full: np.ndarray) -> np.ndarray:
        """The part of F of types that want several whole devices."""
        if not self._mix.counts.size:
            return np.zeros(total.shape)
        enough = full[..., None] >= self._mix.counts
        fragment = total[..., None] - np.where(enough, full[..., None] * GPU, 0)
        shape = (by_count.shape[0], *([1] * (total.ndim - 1)), by_count.shape[1])
        counted: np.ndarray = (fragment * by_count.reshape(shape)).sum(axis=-1)
        return counted

    def _after(self, capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
        """F after placing the request, for each device of the partial slice (NEVER: no fit).

        A request for whole devices only has the same F whichever it takes.
        """
        free = np.maximum(capacity.free[nodes], 0)
        cpu, memory = capacity.cpu[nodes] - request.cpu, capacity.memory[nodes] - request.memory
        too_big, by_count, stuck = self._weights(cpu, memory)
        rows = np.arange(len(nodes))[:, None]
        level = self._mix.level
        worth = free * too_big[rows, level[free]]
        gone = request.whole * GPU
        whole_worth = request.whole * GPU * too_big[:, level[GPU]]
        total = free.sum(axis=1) - gone
        full = (free >= GPU).sum(axis=1) - request.whole
        base = worth.sum(axis=1) - whole_worth
        if request.whole and not request.by_memory and request.part == 0:
            value = base + stuck * total + self._counted(by_count, total, full)
            return np.broadcast_to(value[:, None], free.shape)
        part = np.broadcast_to(np.asarray(request.part_on(nodes)), free.shape)
        rest = free - part
        left = np.maximum(rest, 0)
        value = base[:, None] - worth + left * too_big[rows, level[left]]
        totals = total[:, None] - part
        value = value + stuck[:, None] * totals
        value = value + self._counted(by_count, totals, full[:, None] - (free >= GPU))
        allowed = rest >= 0
        if request.whole:
            allowed &= ~((free >= GPU) & (full[:, None] <= 0))
        return np.where(allowed, value, NEVER)

"""Room that evictions make, counted up victim by victim, and the sets worth a trial."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hub_ext.scheduling.cluster import Capacity, numbers
from hub_ext.scheduling.jobs import Job, first_tasks
from hub_ext.scheduling.model import GPU
from hub_ext.scheduling.placement.base import fitting, free_for_parts, free_for_whole
from hub_ext.scheduling.request import Request
from hub_ext.scheduling.state import State


class Harvest:
    """Victims chosen so far for one claimant, by node, and the room without them."""

    def __init__(self, state: State, claimant: Job) -> None:
        self._state = state
        self._request = claimant.request
        self._needed = first_tasks(claimant.session)
        self._empty = state.soon.copy()
        self._chosen: list[Job] = []
        self._nodes_of: dict[str, set[int]] = {}
        self._by_node: dict[int, list[Job]] = {}
        self._room: dict[int, int] = {}
        self._fresh: set[int] = set()
        self._elsewhere = 0
        if self._needed > 1:
            eligible = np.flatnonzero(claimant.request.eligible)
            self._elsewhere = sum(self._containers(int(n)) for n in eligible)
        self._failed: set[frozenset[str]] = set()
        self.fits_already = fits_somewhere(state, claimant)

    def _containers(self, node: int) -> int:
        return containers_on(self._empty, self._request, node)

    def add(self, victim: Job) -> None:
        """One more victim."""
        nodes = numbers(self._empty, victim.session.placements)
        for node in nodes:
            if node not in self._room and self._needed > 1 and self._request.eligible[node]:
                self._elsewhere -= self._containers(node)
        self._state.release(self._empty, victim.session, victim.session.placements)
        self._chosen.append(victim)
        self._nodes_of[victim.id] = nodes
        for node in nodes:
            self._by_node.setdefault(node, []).append(victim)
            eligible = bool(self._request.eligible[node])
            self._room[node] = self._containers(node) if eligible else 0
        self._fresh = nodes

    def sets(self, last: bool) -> Iterator[list[Job]]:
        """Sets that make room and were not tried: first on few nodes, then on more.

        When only a limit stands in the way, every victim may be the one that counts.
        For a single container the node of the newest victim is the only new one; wider
        sets (whose victims may change places) are tried when their number has doubled,
        and at the last.
        """
        if self.fits_already:
            yield self._chosen.copy()
            return
        fresh = [n for n in self._fresh if self._room[n]]
        if self._needed == 1:
            for node in sorted(fresh):
                yield from self._new([node])
            count = len(self._chosen)
            if last or (count & (count - 1)) == 0:
                yield from self._new([n for n, room in self._room.items() if room])
        elif fresh:
            yield from self._prefixes()

    def _prefixes(self) -> Iterator[list[Job]]:
        """For a gang: the tightest nodes that are enough together, then more of them."""
        nodes = sorted((n for n, room in self._room.items() if room), key=self._tightness)
        reached, width, step = self._elsewhere, 0, 1
        while width < len(nodes) and (reached < self._needed or width == 0):
            reached += self._room[nodes[width]]
            width += 1
        if reached < self._needed:
            return
        while True:
            yield from self._new(nodes[:width])
            if width >= len(nodes):
                return
            width, step = min(len(nodes), width + step), step * 2

    def _tightness(self, node: int) -> tuple[int, int, int]:
        free = int(np.maximum(self._empty.free[node], 0).sum())
        return (free, int(self._empty.cpu[node]), node)

    def _new(self, nodes: list[int]) -> Iterator[list[Job]]:
        picked = set(nodes)
        victims = [v for v in self._chosen if self._nodes_of[v.id] & picked]
        broken = {v.id for v in victims}
        victims = [v for v in self._chosen if v.id in broken or v.surplus_of in broken]
        names = frozenset(v.id for v in victims)
        if victims and names not in self._failed:
            self._failed.add(names)
            yield victims


def fits_somewhere(state: State, claimant: Job) -> bool:
    """Whether there is room for a single container, so that only a limit is in its way."""
    nodes = np.flatnonzero(claimant.request.eligible)
    single = first_tasks(claimant.session) == 1
    return single and bool(fitting(state.soon, claimant.request, nodes).any())


def containers_on(capacity: Capacity, request: Request, node: int) -> int:
    """How many containers of this request fit on a node."""
    _, cpu, memory = capacity.row(node)
    most = 1 << 30
    if request.cpu:
        most = min(most, max(0, cpu) // request.cpu)
    if request.memory:
        most = min(most, max(0, memory) // request.memory)
    if request.gpu_less or most == 0:
        return int(most)
    here = np.array([node])
    part = request.part_on(here)
    row = np.maximum(free_for_parts(capacity, request, here)[0], 0)
    full = int((free_for_whole(capacity, request, here)[0] >= GPU).sum())
    if request.slices > 1:
        return int(min(most, (row >= part).sum() // request.slices))
    if not request.whole:
        single = capacity.cluster.single[node]
        return int(min(most, np.where(single, row >= part, row // part).sum()))
    if not request.by_memory and request.part == 0:
        return int(min(most, full // request.whole))
    beside = int(((row >= part) & (row < GPU)).sum())
    count = min(full // request.whole, beside)
    count += (full - count * request.whole) // (request.whole + 1)
    return int(min(most, count))


def room_for(capacity: Capacity, request: Request, at_most: int) -> int:
    """How many containers of this request fit on all nodes together, counted up to a number."""
    count = 0
    for node in np.flatnonzero(request.eligible):
        count += containers_on(capacity, request, int(node))
        if count >= at_most:
            break
    return count

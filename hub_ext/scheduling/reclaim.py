"""Reclaim between projects and preemption inside one: the search for victims.

Victims are added one at a time in reverse queue order; first those on as few nodes as
will do are tried, then more. A plan counts only if it ends with the claimant running
and its losses are fair (KAI 0.17, actions/common/solvers). The search is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hub_ext.scheduling.accounts import over_quota
from hub_ext.scheduling.cluster import Capacity, numbers
from hub_ext.scheduling.jobs import Job, first_tasks
from hub_ext.scheduling.minimum_runtime import is_protected
from hub_ext.scheduling.model import GPU, Evict
from hub_ext.scheduling.order import JobQueue
from hub_ext.scheduling.placement.base import fitting
from hub_ext.scheduling.reclaim_rules import is_fair, may_lose, may_reclaim
from hub_ext.scheduling.request import Request
from hub_ext.scheduling.state import State
from hub_ext.scheduling.trial import Kind, Outcome, carry_out, try_out

MOST_VICTIMS = 2000
"""Victims looked at for one claimant."""
MOST_TRIALS = 200
"""Plans tried out for one claimant."""
MOST_TRIALS_IN_A_PASS = 4000


class VictimSearch:
    """Finds victims for pending sessions, one after another, in one pass."""

    def __init__(self, state: State, pending: Sequence[Job]) -> None:
        self._state = state
        self._pending = pending
        self._tried = 0
        self._victims: dict[str, list[Job]] = {}
        for job in state.running:
            if not job.fixed:
                self._victims.setdefault(job.account.name, []).append(job)

    def run(self) -> list[Evict]:
        """Reclaim for everyone who may, then preempt; in queue order."""
        return [*self._each("reclaim"), *self._each("preempt")]

    def _each(self, kind: Kind) -> list[Evict]:
        if not self._victims:
            return []
        state = self._state
        evictions: list[Evict] = []
        failed: set[tuple[object, ...]] = set()
        queue = JobQueue([j for j in self._pending if self._open(j)], state.cluster.totals)
        while queue and self._tried < MOST_TRIALS_IN_A_PASS:
            job = queue.pop()
            if not self._may(job, kind):
                continue
            same = (job.account.name, job.request, job.session.tasks, job.fixed)
            signature = (*same, job.session.priority if kind == "preempt" else None)
            if signature in failed:
                continue
            outcome = self._search(job, kind)
            if outcome is None:
                failed.add(signature)
                continue
            evictions += carry_out(state, outcome, kind)
        return evictions

    def _open(self, job: Job) -> bool:
        return job.id not in self._state.starts and job.id not in self._state.reservations

    def _may(self, job: Job, kind: Kind) -> bool:
        if not job.request.eligible.any():
            return False
        if kind == "reclaim":
            return may_reclaim(job)
        fixed_ok = not job.fixed or all(
            over_quota(a, job.amount, with_ending=False) is None for a in job.account.path
        )
        lower = self._victims.get(job.account.name, ())
        return fixed_ok and any(v.session.priority < job.session.priority for v in lower)

    def _candidates(self, claimant: Job, kind: Kind) -> list[Job]:
        state, now = self._state, self._state.snapshot.now
        gone = {job.id for job in state.evicted}
        found: list[Job] = []
        for name, victims in self._victims.items():
            own = name == claimant.account.name
            if own != (kind == "preempt"):
                continue
            if kind == "reclaim" and not may_lose(claimant, victims[0].account):
                continue
            found += [
                v
                for v in victims
                if v.id not in gone
                and (kind == "reclaim" or v.session.priority < claimant.session.priority)
                and not is_protected(v, claimant.account, kind, now)
            ]
        return found

    def _search(self, claimant: Job, kind: Kind) -> Outcome | None:
        state = self._state
        candidates = self._candidates(claimant, kind)
        if not _could_ever_fit(state, claimant, candidates):
            return None
        queue = JobQueue(candidates, state.cluster.totals, victims=True)
        chosen: list[Job] = []
        failed: set[frozenset[str]] = set()
        fair: Callable[[Outcome], bool] = (
            (lambda o: is_fair(claimant, o.lost)) if kind == "reclaim" else (lambda o: True)
        )
        trials = 0
        while queue and len(chosen) < MOST_VICTIMS:
            chosen.append(queue.pop())
            for victims in _sets_by_node(state, claimant, chosen):
                names = frozenset(v.id for v in victims)
                if names in failed:
                    continue
                trials += 1
                self._tried += 1
                outcome = try_out(state, claimant, victims, self._line(claimant, victims))
                if outcome is not None and fair(outcome):
                    return outcome
                failed.add(names)
                if trials >= MOST_TRIALS:
                    return None
        return None

    def _line(self, claimant: Job, victims: Sequence[Job]) -> list[Job]:
        """Pending sessions of the projects concerned, which take part in the order."""
        leaves = {v.account.name for v in victims} | {claimant.account.name}
        return [
            j
            for j in self._pending
            if j.account.name in leaves and self._open(j) and j is not claimant
        ]


def _could_ever_fit(state: State, claimant: Job, candidates: Sequence[Job]) -> bool:
    """Whether the claimant would fit if every candidate were gone."""
    if not candidates:
        return False
    empty = state.soon.copy()
    for victim in candidates:
        state.release(empty, victim.session, victim.session.placements)
    nodes = np.flatnonzero(claimant.request.eligible)
    if first_tasks(claimant.session) == 1:
        return bool(fitting(empty, claimant.request, nodes).any())
    room = sum(containers_on(empty, claimant.request, int(n)) for n in nodes)
    return room >= first_tasks(claimant.session)


def _sets_by_node(state: State, claimant: Job, chosen: Sequence[Job]) -> Iterator[list[Job]]:
    """Victims grouped by node: those of the tightest node that will do, then of more nodes.

    Only sets that make room on their nodes are worth a trial.
    """
    soon, request = state.soon, claimant.request
    by_node: dict[int, list[Job]] = {}
    for victim in chosen:
        for node in numbers(soon, victim.session.placements):
            by_node.setdefault(node, []).append(victim)
    rows = {node: soon.row(node) for node in by_node}
    for victim in chosen:
        state.release(soon, victim.session, victim.session.placements)
    room = {n: containers_on(soon, request, n) for n in by_node if request.eligible[n]}
    tightness = {n: (_free(soon, n), i) for i, n in enumerate(by_node)}
    for node, row in rows.items():
        soon.set_row(node, row)
    nodes = sorted((n for n, count in room.items() if count), key=lambda n: tightness[n])
    needed = first_tasks(claimant.session)
    if needed > 1:
        others = np.array([n for n in np.flatnonzero(request.eligible) if n not in by_node])
        needed -= sum(containers_on(soon, request, int(n)) for n in others)
    width, step, reached = 0, 1, 0
    while width < len(nodes) and (reached < needed or width == 0):
        reached += room[nodes[width]]
        width += 1
    if reached < needed:
        return
    while True:
        picked = set(nodes[:width])
        yield [v for v in chosen if numbers(soon, v.session.placements) & picked]
        if width >= len(nodes):
            return
        width, step = min(len(nodes), width + step), step * 2


def _free(capacity: Capacity, node: int) -> tuple[int, int]:
    return (int(np.maximum(capacity.free[node], 0).sum()), int(capacity.cpu[node]))


def containers_on(capacity: Capacity, request: Request, node: int) -> int:
    """How many containers of this request fit on a node."""
    row, cpu, memory = capacity.row(node)
    row = np.maximum(row, 0)
    most = 1 << 30
    if request.cpu:
        most = min(most, max(0, cpu) // request.cpu)
    if request.memory:
        most = min(most, max(0, memory) // request.memory)
    if request.gpu_less or most == 0:
        return int(most)
    part = request.part_on(np.array([node]))
    full = int((row >= GPU).sum())
    if not request.whole:
        return int(min(most, (row // part).sum()))
    if not request.by_memory and request.part == 0:
        return int(min(most, full // request.whole))
    beside = int(((row >= part) & (row < GPU)).sum())
    count = min(full // request.whole, beside)
    count += (full - count * request.whole) // (request.whole + 1)
    return int(min(most, count))

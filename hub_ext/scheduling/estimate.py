"""When a waiting session will probably start: the releases to come, played in order.

Ends are known from time limits, else guessed from expected durations; a session with
neither never ends here. Work is bounded: whoever is not reached has no estimate.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import numpy as np

from hub_ext.scheduling.accounts import may_hold
from hub_ext.scheduling.backfill import Reservation
from hub_ext.scheduling.jobs import Job, first_tasks
from hub_ext.scheduling.model import Session, TaskPlacement
from hub_ext.scheduling.placement.base import fits_on, fitting, take_devices
from hub_ext.scheduling.placement.pack import Pack
from hub_ext.scheduling.request import Request
from hub_ext.scheduling.state import State

ENDING_S = 60.0
"""How long a session that is being stopped is taken to need."""
MOST_RELEASES = 1000
MOST_SESSIONS = 2000
LOOK_AHEAD = 8
"""How many equal requests in line are tried when the first is held up by its project."""


def ends_at(session: Session, now: float) -> float | None:
    """When a running session is thought to end (Unix time), or None when nobody knows.

    A session that has outlived what history expects gets a tenth of that more.
    """
    since = now if session.running_since is None else session.running_since
    ends = []
    if session.time_limit_s is not None:
        ends.append(max(now, since + session.time_limit_s))
    if session.expected_duration_s is not None:
        expected = session.expected_duration_s
        ends.append(max(since + expected, now + expected / 10))
    return min(ends, default=None)


class _Play:
    """The queue played forward in time on copies of capacity; accounts are put back."""

    def __init__(self, state: State, waiting: Iterable[Job]) -> None:
        self.state = state
        self.now = state.snapshot.now
        self.capacity = state.soon.copy()
        self.policy = Pack()
        self.found: dict[str, float] = {}
        self.releases: list[tuple[float, str, Job, tuple[TaskPlacement, ...]]] = []
        self.lines: dict[Request, list[tuple[int, Job]]] = {}
        for place, job in enumerate(waiting):
            if place >= MOST_SESSIONS:
                break
            self.lines.setdefault(job.request, []).append((place, job))

    def expect(self, job: Job, placements: Iterable[TaskPlacement], begins: float) -> None:
        """Note when a session will give its place back."""
        session = job.session
        if session.state == "pending":
            known = [
                t for t in (session.time_limit_s, session.expected_duration_s) if t is not None
            ]
            end = begins + min(known) if known else None
        else:
            end = ends_at(session, self.now)
        if end is not None:
            heapq.heappush(self.releases, (end, job.id, job, tuple(placements)))

    def run(self) -> None:
        """Play until nobody waits, nothing is left to end, or the bound is reached."""
        played = 0
        while self.releases and self.lines and played < MOST_RELEASES:
            time, _, job, placements = heapq.heappop(self.releases)
            played += 1
            self.state.release(self.capacity, job.session, placements)
            self.state.book(job, placements, -1)
            numbers = {
                self.state.cluster.number[p.node]
                for p in placements
                if p.node in self.state.cluster.number
            }
            self._fill(np.array(sorted(numbers), dtype=np.int64), time)

    def _fill(self, nodes: np.ndarray, time: float) -> None:
        """Start what now fits on the nodes that changed, first come first served."""
        while nodes.size:
            best: tuple[int, Job] | None = None
            for request, line in self.lines.items():
                if best is not None and line[0][0] > best[0]:
                    continue
                if not self._fits(request, nodes):
                    continue
                for place, job in line[:LOOK_AHEAD]:
                    if may_hold(job.account, job.amount, job.fixed):
                        best = (place, job) if best is None or place < best[0] else best
                        break
            if best is None or not self._start(best[1], nodes, time):
                return

    def _fits(self, request: Request, nodes: np.ndarray) -> bool:
        return any(fits_on(self.capacity, request, int(n)) for n in nodes)

    def _start(self, job: Job, nodes: np.ndarray, time: float) -> bool:
        placements: list[TaskPlacement] = []
        request = job.request
        for _ in range(first_tasks(job.session)):
            where = [int(n) for n in nodes if fits_on(self.capacity, request, int(n))]
            if not where:
                everywhere = np.flatnonzero(request.eligible)
                where = [
                    int(n) for n in everywhere[fitting(self.capacity, request, everywhere)][:1]
                ]
            if not where:
                self.state.release(self.capacity, job.session, placements)
                return False
            pieces = take_devices(self.policy, self.capacity, request, where[0])
            placement = self.capacity.placement(where[0], pieces)
            self.capacity.apply((placement,), request.cpu, request.memory, -1)
            placements.append(placement)
        self.state.book(job, placements)
        self.found[job.id] = time - self.now
        self.expect(job, placements, time)
        line = self.lines[request]
        line[:] = [entry for entry in line if entry[1] is not job]
        if not line:
            del self.lines[request]
        return True


def estimates(
    state: State, waiting: Iterable[Job], head: Reservation | None = None
) -> dict[str, float]:
    """Seconds from now by session id. ``waiting`` is in queue order.

    head: the reservation of the head of the line, which nobody takes from it here either.
    """
    now = state.snapshot.now
    kept = None if head is None or head.begins == float("inf") else head
    ahead = [
        job
        for job in waiting
        if job.id not in state.reservations and (kept is None or job is not kept.job)
    ]
    play = _Play(state, ahead)
    books = [(a, list(a.allocated), list(a.fixed)) for a in state.accounts.by_name.values()]
    gone = {job.id for job in state.evicted}
    for job in state.running:
        if job.id not in gone:
            play.expect(job, job.session.placements, now)
    for job in state.pending:
        if job.id in state.starts:
            play.expect(job, state.starts[job.id], now)
        elif job.id in state.reservations:
            play.found[job.id] = ENDING_S
            play.expect(job, state.reservations[job.id], now + ENDING_S)
    if kept is not None and kept.job.id not in play.found:
        play.found[kept.job.id] = kept.begins - now
        state.occupy(play.capacity, kept.job.session, kept.placements)
        state.book(kept.job, kept.placements)
        play.expect(kept.job, kept.placements, kept.begins)
    if play.lines:
        play.run()
    for account, allocated, fixed in books:
        account.allocated[:] = allocated
        account.fixed[:] = fixed
    return play.found

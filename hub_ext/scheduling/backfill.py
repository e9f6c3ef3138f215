"""EASY backfill: the head of the line holds a reservation, smaller sessions go around it.

A session passes the head only if it does not delay it: by its time limit it has ended
when the head can start, or it uses what the head will not need. When that time is not
known (nobody has a time limit), others may pass for ``PATIENCE_S``; then the head's
place is kept for as long, and so on in turn: small sessions cannot starve a big one,
nor can one that waits for an endless session block everybody for ever.
Lifka, "The ANL/IBM SP scheduling system" (1995).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hub_ext.scheduling.accounts import may_hold
from hub_ext.scheduling.cluster import Capacity, numbers
from hub_ext.scheduling.jobs import Job, first_tasks
from hub_ext.scheduling.model import TaskPlacement
from hub_ext.scheduling.placement import take_devices
from hub_ext.scheduling.placement.base import fits_on, fitting
from hub_ext.scheduling.placement.pack import Pack
from hub_ext.scheduling.request import Request
from hub_ext.scheduling.state import State

PATIENCE_S = 3600.0
"""While nobody knows when its place comes free, the head is passed and kept to in turns
of this length."""

MOST_ATTEMPTS = 5
"""Sessions for which a reservation is worked out in one pass before giving up."""

Row = tuple[np.ndarray, int, int]


@dataclass(slots=True)
class Reservation:
    """The head's place: from ``begins`` (Unix time, infinite when unknown) on."""

    job: Job
    begins: float
    placements: tuple[TaskPlacement, ...]
    full_rows: dict[int, Row]
    """What is really free on the nodes concerned."""
    spare_rows: dict[int, Row]
    """What of them the head will not need: all that sessions without end may use."""


class Backfill:
    """Keeps the reservation of the first session that has to wait for capacity."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.reservation: Reservation | None = None
        self._attempts = 0
        self._endless: Capacity | None = None
        self._beside_full: set[Request] = set()

    def consider(self, job: Job) -> None:
        """Reserve for this session, which did not fit, if nobody has a reservation yet."""
        if self.reservation is not None or self._attempts >= MOST_ATTEMPTS:
            return
        if not may_hold(job.account, job.amount, job.fixed):
            return
        self._attempts += 1
        turns = (self._state.snapshot.now - job.session.submitted_at) // PATIENCE_S
        self._keep(self._earliest(job, known=turns < 1 or turns % 2 == 0))

    def consider_overdue(self, job: Job) -> None:
        """Reserve for this session if only time limits keep it from its place."""
        if self.reservation is None and _fit(self._without_limited(), job):
            self._keep(self._earliest(job, known=True))

    def _keep(self, found: Reservation | None) -> None:
        if found is None:
            return
        self.reservation = found
        self._state.kept_nodes = set(found.spare_rows)
        for node, row in found.spare_rows.items():
            self._state.now.set_row(node, row)

    def _without_limited(self) -> Capacity:
        """What is free once all that have a time limit are over; worked out once a pass."""
        if self._endless is None:
            state = self._state
            self._endless = state.soon.copy()
            for job in state.running:
                if job.session.time_limit_s is not None:
                    state.release(self._endless, job.session, job.session.placements)
        return self._endless

    def _earliest(self, job: Job, known: bool) -> Reservation | None:
        """When and where the session could start if nobody passed it.

        known: only if time limits tell when.
        """
        state = self._state
        if not _fit(_emptied(state), job):
            return None
        later = state.soon.copy()
        for time, ended, placements in _ends(state):
            if time == float("inf") and known:
                return None
            state.release(later, ended.session, placements)
            if not any(fits_on(later, job.request, n) for n in numbers(later, placements)):
                continue
            found = _fit(later, job)
            if found:
                return self._reserve(job, time, found, later)
        return None

    def _reserve(
        self, job: Job, begins: float, placements: list[TaskPlacement], later: Capacity
    ) -> Reservation:
        state = self._state
        nodes = numbers(later, placements)
        later.apply(placements, job.request.cpu, job.request.memory, -1)
        full = {n: state.now.row(n) for n in nodes}
        spare = {n: _smaller(full[n], later.row(n)) for n in nodes}
        return Reservation(job, begins, tuple(placements), full, spare)

    def place_beside(self, job: Job) -> list[TaskPlacement] | None:
        """A place on the reserved nodes for a session that ends before the head begins.

        The place is taken from what is really free there.
        """
        kept = self.reservation
        limit = job.session.time_limit_s
        state, request = self._state, job.request
        if kept is None or limit is None or first_tasks(job.session) > 1:
            return None
        if request in self._beside_full:
            return None
        if state.snapshot.now + limit > kept.begins:
            return None
        if not may_hold(job.account, job.amount, job.fixed, with_ending=True):
            return None
        nodes = np.array(sorted(kept.full_rows))
        nodes = nodes[request.eligible[nodes]]
        for node, row in kept.full_rows.items():
            state.now.set_row(node, row)
        fits = nodes[fitting(state.now, request, nodes)] if nodes.size else nodes
        placements: list[TaskPlacement] | None = None
        if fits.size:
            node = int(fits[0])
            pieces = take_devices(state.policy, state.now, request, node)
            placements = [state.now.placement(node, pieces)]
            state.now.apply(placements, request.cpu, request.memory, -1)
            kept.full_rows[node] = state.now.row(node)
            kept.spare_rows[node] = _smaller(kept.full_rows[node], kept.spare_rows[node])
        else:
            self._beside_full.add(request)
        for number, row in kept.spare_rows.items():
            state.now.set_row(number, row)
        return placements

    def note_start(self, placements: list[TaskPlacement], job: Job) -> None:
        """A session without an end took spare capacity of a reserved node."""
        kept = self.reservation
        if kept is None:
            return
        for placement in placements:
            node = self._state.cluster.number[placement.node]
            if node not in kept.full_rows:
                continue
            row, cpu, memory = kept.full_rows[node]
            for piece in placement.slices:
                row[self._state.cluster.column[node][piece.device]] -= piece.milli
            kept.full_rows[node] = (row, cpu - job.request.cpu, memory - job.request.memory)
            kept.spare_rows[node] = self._state.now.row(node)

    def lift(self) -> None:
        """Show again what is really free (for reasons and for the search for victims)."""
        if self.reservation is not None:
            for node, row in self.reservation.full_rows.items():
                self._state.now.set_row(node, row)


def _smaller(one: Row, other: Row) -> Row:
    return (np.minimum(one[0], other[0]), min(one[1], other[1]), min(one[2], other[2]))


def _ends(state: State) -> list[tuple[float, Job, tuple[TaskPlacement, ...]]]:
    """Sessions by the time at which their time limit ends them, soonest first.

    Those without one come last; of these the ones on the emptiest nodes first, so that
    the place that is kept is the one that is nearly free already.
    """
    now = state.snapshot.now
    free = np.maximum(state.soon.free, 0).sum(axis=1)
    ends: list[tuple[float, float, str, Job, tuple[TaskPlacement, ...]]] = []
    started = [(j, tuple(state.starts[j.id]), now) for j in state.pending if j.id in state.starts]
    running = [(j, j.session.placements, j.session.running_since or now) for j in state.running]
    for job, placements, since in (*running, *started):
        limit = job.session.time_limit_s
        end = float("inf") if limit is None else max(now, since + limit)
        taken = -sum(float(free[n]) for n in numbers(state.soon, placements))
        ends.append((end, taken, job.id, job, placements))
    ends.sort(key=lambda item: item[:3])
    return [(end, job, placements) for end, _, _, job, placements in ends]


def _emptied(state: State) -> Capacity:
    """The nodes as they would be if nothing ran."""
    return Capacity(state.cluster)


def _fit(capacity: Capacity, job: Job) -> list[TaskPlacement]:
    """Places for all containers; [] when they do not all fit. ``capacity`` is left as it was."""
    request, policy = job.request, Pack()
    done: list[TaskPlacement] = []
    nodes = np.flatnonzero(request.eligible)
    while len(done) < first_tasks(job.session):
        fits = nodes[fitting(capacity, request, nodes)]
        if not fits.size:
            break
        node = int(fits[np.argmin(np.maximum(capacity.free[fits], 0).sum(axis=1))])
        placement = capacity.placement(node, take_devices(policy, capacity, request, node))
        capacity.apply((placement,), request.cpu, request.memory, -1)
        done.append(placement)
    capacity.apply(done, request.cpu, request.memory, +1)
    return done if len(done) == first_tasks(job.session) else []

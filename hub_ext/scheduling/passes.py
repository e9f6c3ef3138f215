"""One pass: allocate, reclaim, preempt, and a reason for everyone who waits."""

from __future__ import annotations

from dataclasses import replace

from hub_ext.scheduling.accounts import may_hold
from hub_ext.scheduling.allocate import fits_exactly, place
from hub_ext.scheduling.backfill import Backfill, Reservation
from hub_ext.scheduling.check import check
from hub_ext.scheduling.estimate import estimates
from hub_ext.scheduling.jobs import Job, not_allowed_yet, one_more
from hub_ext.scheduling.model import (
    Decisions,
    Evict,
    Forecast,
    Resources,
    Session,
    Snapshot,
    Start,
    Waiting,
)
from hub_ext.scheduling.order import JobQueue
from hub_ext.scheduling.overdue import overdue
from hub_ext.scheduling.reasons import Reasons
from hub_ext.scheduling.reclaim import VictimSearch
from hub_ext.scheduling.request import Request
from hub_ext.scheduling.state import State


def schedule(snapshot: Snapshot, policy: str = "fragmentation") -> Decisions:
    """What to start and to stop now, and why every other pending session waits.

    Raises SnapshotError, naming the field, for input that cannot be right.
    """
    check(snapshot)
    state = State(snapshot, policy)
    allowed = [j for j in state.pending if not_allowed_yet(j, snapshot.now) is None]
    keep_promises(state, allowed)
    head = allocate(state, [j for j in allowed if not state.decided(j)])
    evictions = VictimSearch(state, allowed).run()
    return _decisions(state, evictions, head)


def dry_run(snapshot: Snapshot, session: Session, policy: str = "fragmentation") -> Forecast:
    """What a pass would answer for ``session`` if it were submitted now."""
    candidate = replace(session, state="pending", placements=())
    others = tuple(s for s in snapshot.sessions if s.id != session.id)
    decisions = schedule(replace(snapshot, sessions=(*others, candidate)), policy)
    for start in decisions.starts:
        if start.session_id == session.id:
            return Forecast(session.id, start.placements, None)
    waiting = next(w for w in decisions.waiting if w.session_id == session.id)
    return Forecast(session.id, None, waiting)


def keep_promises(state: State, allowed: list[Job]) -> None:
    """Give or keep the places that an earlier pass had freed for somebody."""
    for job in sorted(state.ending, key=lambda j: j.rank):
        places = job.session.reserved
        if places and fits_exactly(state.soon, job, places):
            state.accounts.request(job.account.name, job.amount)
            state.occupy(state.soon, job.session, places)
            state.hold(job, places)
    promised = sorted((j for j in allowed if j.session.reserved), key=lambda j: j.rank)
    for job in promised:
        places = job.session.reserved
        if fits_exactly(state.now, job, places) and may_hold(
            job.account, job.amount, job.fixed, with_ending=True
        ):
            state.occupy(state.now, job.session, places)
            state.start(job, list(places))
        elif fits_exactly(state.soon, job, places) and may_hold(job.account, job.amount, job.fixed):
            state.occupy(state.soon, job.session, places)
            state.hold(job, places)


def allocate(state: State, jobs: list[Job]) -> Reservation | None:
    """Start what fits, in queue order, idle capacity beyond fair shares included.

    Those that are overdue come before that order. Returns what is reserved for the
    first that has to wait for capacity, if anything.
    Capacity only shrinks here, so a request that fits nowhere once is not tried again.
    """
    backfill = Backfill(state)
    full: set[Request] = set()
    for job in overdue(state, jobs):
        if not _seat(state, job, backfill, full):
            state.overdue.append(job)
            backfill.consider_overdue(job)
    queue = JobQueue([j for j in jobs if not state.decided(j)])
    while queue:
        job = queue.pop()
        if not _seat(state, job, backfill, full):
            backfill.consider(job)
    _grow(state, backfill)
    backfill.lift()
    return backfill.reservation


def _seat(state: State, job: Job, backfill: Backfill, full: set[Request]) -> bool:
    """Start the session, or keep a place that comes free for it. ``full``: fit nowhere."""
    if job.request not in full:
        placements = place(state.finder, job, with_ending=True)
        if placements is not None:
            state.start(job, placements)
            backfill.note_start(placements, job)
            return True
        if not job.request.by_memory and state.finder.best(job.request) is None:
            full.add(job.request)
    placements = backfill.place_beside(job)
    if placements is not None:
        state.start(job, placements)
        return True
    return _await_release(state, job, backfill)


def _grow(state: State, backfill: Backfill) -> None:
    """Containers beyond their minimum for gangs that start now: one each, round by round."""
    growing = {j.id: one_more(j) for j in state.pending if _may_grow(state, j)}
    wanted = {j.id: j.session.tasks for j in state.pending if j.id in growing}
    while growing:
        queue = JobQueue(growing.values())
        while queue:
            job = queue.pop()
            placements = place(state.finder, job, with_ending=True)
            if placements is not None:
                state.start(job, [*state.starts[job.id], *placements], new=placements)
                backfill.note_start(placements, job)
            if placements is None or len(state.starts[job.id]) >= wanted[job.id]:
                del growing[job.id]


def _may_grow(state: State, job: Job) -> bool:
    return job.id in state.starts and len(state.starts[job.id]) < job.session.tasks


def _await_release(state: State, job: Job, backfill: Backfill) -> bool:
    """Keep a place for a session that fits once the sessions now ending have gone."""
    kept = backfill.reservation
    if not state.ending or (kept is not None and job.session.tasks > 1):
        return False
    nodes: list[int] | None = None
    if job.session.tasks == 1:
        nodes = sorted(state.freeing - set(kept.full_rows if kept else ()))
    placements = place(state.later, job, with_ending=False, nodes=nodes)
    if placements is None:
        return False
    state.hold(job, tuple(placements))
    return True


def _decisions(state: State, evictions: list[Evict], head: Reservation | None) -> Decisions:
    waiting = [j for j in state.pending if j.id not in state.starts]
    ordered = in_queue_order(state, waiting)
    reasons = Reasons(state)
    now = state.snapshot.now
    able = [j for j in ordered if not_allowed_yet(j, now) is None]
    times = estimates(state, able, head)
    return Decisions(
        starts=tuple(Start(i, tuple(p)) for i, p in state.starts.items()),
        evictions=tuple(evictions),
        waiting=tuple(
            Waiting(job.id, place, reasons.of(job), times.get(job.id))
            for place, job in enumerate(ordered, start=1)
        ),
        fair_share={a.name: Resources(*a.fair_share) for a in state.accounts.by_name.values()},
        reservations=state.reservations,
    )


def in_queue_order(state: State, waiting: list[Job]) -> list[Job]:
    """The line as it stands: who goes first if capacity comes free bit by bit.

    Sessions for which a place is kept come first, then the overdue; those that may not
    start yet come last.
    """
    now = state.snapshot.now
    kept = sorted((j for j in waiting if j.id in state.reservations), key=lambda j: j.rank)
    kept += [j for j in state.overdue if j.id not in state.reservations]
    first = {j.id for j in kept}
    rest = [j for j in waiting if j.id not in first]
    able = [j for j in rest if not_allowed_yet(j, now) is None]
    barred = sorted((j for j in rest if not_allowed_yet(j, now)), key=lambda j: j.rank)
    line: list[Job] = []
    queue = JobQueue(able)
    while queue:
        job = queue.pop()
        line.append(job)
        state.accounts.book(job.account.name, job.amount, job.fixed)
    for job in line:
        state.accounts.book(job.account.name, job.amount, job.fixed, sign=-1)
    return kept + line + barred

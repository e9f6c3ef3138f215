"""Who has been kept waiting although its share was free, pass after pass.

The share of a pending session is free in a pass when nothing that the rules protect is
in its way:

- it may start (not held, no closed hours), nobody is ending, and it is the first in the
  line of its own project;
- with it the project and all above it keep limit, quota (if it is not preemptible) and
  fair share;
- it would fit once the sessions that have a time limit were gone: only time is in its way.

Then it must run within ``LONGEST_S`` of clock time: whoever is ahead of it, the head of
each project, holds its place for at most the longest time limit, and a head whose time
nobody knows keeps others away only every other ``PATIENCE_S``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hub_ext.scheduling.accounts import may_hold
from hub_ext.scheduling.backfill import PATIENCE_S
from hub_ext.scheduling.cluster import Capacity
from hub_ext.scheduling.harvest import room_for
from hub_ext.scheduling.jobs import Job, first_tasks, not_allowed_yet
from hub_ext.scheduling.model import Session, Snapshot
from hub_ext.scheduling.state import State

LONGEST_LIMIT_S = 7200.0
PROJECTS_IN_LINE = 3
LONGEST_S = PROJECTS_IN_LINE * (LONGEST_LIMIT_S + 2 * PATIENCE_S)
STEP_S = 1800.0
MOST_PASSES = int(LONGEST_S / STEP_S)


@dataclass(slots=True)
class _Wait:
    since: float
    passes: int = 0


@dataclass(slots=True)
class Patience:
    """Counts, for each pending session, consecutive passes with a free share."""

    waits: dict[str, _Wait] = field(default_factory=dict)

    def note(self, site: Snapshot, started: set[str]) -> list[str]:
        """Count a pass over ``site``; returns who has been starved."""
        free = share_is_free(site) - started
        self.waits = {name: self.waits.get(name) or _Wait(site.now) for name in free}
        for wait in self.waits.values():
            wait.passes += 1
        return sorted(
            name
            for name, wait in self.waits.items()
            if wait.passes > MOST_PASSES and site.now - wait.since > LONGEST_S
        )


def share_is_free(site: Snapshot) -> set[str]:
    """Ids of the pending sessions that only time keeps from running."""
    state = State(site, "pack")
    if state.ending:
        return set()
    without_limited = _without_limited(state)
    return {
        job.id
        for job in _first_of_each_project(state)
        if _within_share(job) and _fits(without_limited, job)
    }


def _first_of_each_project(state: State) -> list[Job]:
    """By priority, then age: worked out here anew, so that the core's own order is judged."""
    first: dict[str, Job] = {}
    for job in sorted(state.pending, key=lambda j: _rank(j.session)):
        if not_allowed_yet(job, state.snapshot.now) is None:
            first.setdefault(job.account.name, job)
    return list(first.values())


def _rank(session: Session) -> tuple[int, float, int]:
    return (-session.priority, session.submitted_at, session.order)


def _within_share(job: Job) -> bool:
    return may_hold(job.account, job.amount, job.fixed) and all(
        account.allocated[r] + job.amount[r] <= account.fair_share[r]
        for account in job.account.path
        for r in (0, 1, 2)
        if job.amount[r]
    )


def _without_limited(state: State) -> Capacity:
    """What would be free if the sessions with a time limit were over."""
    capacity = state.now.copy()
    for job in state.running:
        if job.session.time_limit_s is not None:
            state.release(capacity, job.session, job.session.placements)
    for job in state.pending:
        if job.session.time_limit_s is None:
            state.occupy(capacity, job.session, job.session.reserved)
    return capacity


def _fits(capacity: Capacity, job: Job) -> bool:
    needed = first_tasks(job.session)
    return room_for(capacity, job.request, needed) >= needed

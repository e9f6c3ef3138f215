"""The life of a session: statuses and the only transitions there are (DESIGN 3).

Beyond DESIGN's table: whatever has been granted but does not run yet may be given up
(SCHEDULED -> CANCELLED, PREPARING/STARTING -> TERMINATING) or reclaimed (-> PREEMPTED),
may be started again when the hub died under it (-> SCHEDULED), a RUNNING session whose
container ended by itself goes to TERMINATED at once, and one whose server the hub has
lost is started again (-> SCHEDULED). PREEMPTED holds its slice until nothing of it runs.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a session stands."""

    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    PREPARING = "PREPARING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    PREEMPTED = "PREEMPTED"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    ERROR = "ERROR"


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.SCHEDULED, Status.CANCELLED, Status.EXPIRED, Status.ERROR}),
    Status.SCHEDULED: frozenset(
        {Status.PREPARING, Status.PENDING, Status.PREEMPTED, Status.CANCELLED, Status.ERROR}
    ),
    Status.PREPARING: frozenset(
        {Status.STARTING, Status.PREEMPTED, Status.ERROR, Status.SCHEDULED, Status.TERMINATING}
    ),
    Status.STARTING: frozenset(
        {Status.RUNNING, Status.PREEMPTED, Status.ERROR, Status.SCHEDULED, Status.TERMINATING}
    ),
    Status.RUNNING: frozenset(
        {Status.TERMINATING, Status.PREEMPTED, Status.TERMINATED, Status.SCHEDULED}
    ),
    Status.PREEMPTED: frozenset({Status.PENDING, Status.TERMINATED}),
    Status.TERMINATING: frozenset({Status.TERMINATED}),
    Status.TERMINATED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.EXPIRED: frozenset(),
    Status.ERROR: frozenset(),
}

ENDED = frozenset(status for status, leaves in TRANSITIONS.items() if not leaves)
"""Nothing follows; the allocation is free."""

LIVE = frozenset(TRANSITIONS) - ENDED

BOOKED = LIVE - {Status.PENDING}
"""A slice, CPU and memory of a node are held."""

STOPPING = frozenset({Status.PREEMPTED, Status.TERMINATING})
"""On its way out; its booking comes free soon."""

GRANTED = BOOKED - STOPPING
"""Runs, or is on its way to."""

LAUNCHING = frozenset({Status.PREPARING, Status.STARTING})
"""A spawner is at work on it."""


def sources(target: Status) -> frozenset[Status]:
    """The statuses from which ``target`` may be reached."""
    return frozenset(status for status, leaves in TRANSITIONS.items() if target in leaves)

"""Nobody starves: who has waited long for what is its project's fair share goes first.

Queue order looks at shares, not at time, so a stream of small sessions that come before
a big one in that order could take its place for ever, piece by piece. A session that has
waited for ``PATIENCE_S`` is therefore served before the queue order, the oldest first, if
with it its project and all above stay within fair share. Only the first in the line of
each project counts: priority inside a project is its members' own affair.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from hub_ext.scheduling.accounts import may_hold
from hub_ext.scheduling.backfill import PATIENCE_S
from hub_ext.scheduling.jobs import Job
from hub_ext.scheduling.state import State


def overdue(state: State, jobs: Iterable[Job]) -> Iterator[Job]:
    """Sessions that are overdue, oldest first.

    The next of a project comes up only if the one before it has been decided meanwhile.
    """
    lines: dict[str, list[Job]] = {}
    for job in jobs:
        lines.setdefault(job.account.name, []).append(job)
    heads: list[tuple[float, int, str, str]] = []
    for name, line in lines.items():
        line.sort(key=lambda job: job.rank, reverse=True)
        heapq.heappush(heads, _age(line[-1], name))
    while heads:
        name = heapq.heappop(heads)[-1]
        job = lines[name].pop()
        if not _is_overdue(state, job):
            continue
        yield job
        if state.decided(job) and lines[name]:
            heapq.heappush(heads, _age(lines[name][-1], name))


def _age(job: Job, name: str) -> tuple[float, int, str, str]:
    return (job.session.submitted_at, job.session.order, job.id, name)


def _is_overdue(state: State, job: Job) -> bool:
    waited = state.snapshot.now - job.session.submitted_at
    return (
        waited >= PATIENCE_S
        and may_hold(job.account, job.amount, job.fixed)
        and all(
            account.allocated[r] + job.amount[r] <= account.fair_share[r]
            for account in job.account.path
            for r in (0, 1, 2)
            if job.amount[r]
        )
    )

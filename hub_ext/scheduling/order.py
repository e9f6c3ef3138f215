"""Queue order between and inside projects, and the reverse of it for victims.

KAI 0.17, plugins/proportion/queue_order; the first difference decides: not above the
fair share; next session within quota; project priority; no allocation without any
share; lower (allocated + next) / max(quota, fair share); the same without the next;
smaller share; older. Inside a project: session priority, then age.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from hub_ext.scheduling.accounts import Account
from hub_ext.scheduling.jobs import Job, Rank, VictimRank

_NOTHING = (0, 0, 0)

Key = tuple[float, ...]


def project_key(
    account: Account, following: Sequence[int] = _NOTHING, victims: Sequence[int] = _NOTHING
) -> Key:
    """The smaller, the earlier. ``following``: its next session; ``victims``: what it loses.

    Written out for the three resources: this is the innermost loop of a pass.
    """
    gpu, cpu, memory = account.allocated
    next_gpu, next_cpu, next_memory = (
        gpu + following[0],
        cpu + following[1],
        memory + following[2],
    )
    share, quota, may = account.fair_share, account.quota, account.allocatable
    per_gpu, per_cpu, per_memory = account.per_unit
    return (
        share[0] < gpu and share[1] < cpu and share[2] < memory,
        next_gpu > quota[0] or next_cpu > quota[1] or next_memory > quota[2],
        -account.project.priority,
        (not may[0] and next_gpu > 0)
        or (not may[1] and next_cpu > 0)
        or (not may[2] and next_memory > 0),
        max(
            (next_gpu - victims[0]) * per_gpu,
            (next_cpu - victims[1]) * per_cpu,
            (next_memory - victims[2]) * per_memory,
        ),
        max(gpu * per_gpu, cpu * per_cpu, memory * per_memory),
        *may,
        account.seniority,
    )


class _Branch:
    """A project in the queue: its own sessions (a leaf) or the branches below it."""

    __slots__ = ("account", "branches", "jobs", "lost", "parent")

    def __init__(self, account: Account | None, parent: _Branch | None) -> None:
        self.account = account
        self.parent = parent
        self.branches: list[tuple[Key, int, _Branch]] = []
        self.jobs: list[tuple[Rank | VictimRank | None, Job]] = []
        self.lost = [0, 0, 0]

    def empty(self) -> bool:
        return not self.branches and not self.jobs

    def head(self) -> Job:
        here = self
        while not here.jobs:
            here = here.branches[0][2]
        return here.jobs[0][1]


class JobQueue:
    """Sessions in queue order (or victims in reverse queue order).

    Between two pops only the projects of the session popped last may change; their
    place is worked out anew at the next pop.
    """

    def __init__(self, jobs: Iterable[Job], victims: bool = False) -> None:
        self._victims = victims
        self._top = _Branch(None, None)
        self._stale: _Branch | None = None
        self._counter = 0
        self._fill(jobs)

    def _fill(self, jobs: Iterable[Job]) -> None:
        leaves: dict[str, _Branch] = {}
        inner: dict[str, _Branch] = {}
        children: dict[int, list[_Branch]] = {}
        for job in jobs:
            leaf = leaves.get(job.account.name)
            if leaf is None:
                above = job.account if job.account.children else job.account.parent
                parent = self._inner(above, inner, children)
                leaf = leaves[job.account.name] = _Branch(job.account, parent)
                children.setdefault(id(parent), []).append(leaf)
            leaf.jobs.append((job.victim_rank if self._victims else job.rank, job))
        for leaf in leaves.values():
            heapq.heapify(leaf.jobs)
        self._link(self._top, children)

    def _inner(
        self,
        account: Account | None,
        inner: dict[str, _Branch],
        children: dict[int, list[_Branch]],
    ) -> _Branch:
        """The branch of a project that has others below it, made with its ancestors."""
        if account is None:
            return self._top
        branch = inner.get(account.name)
        if branch is None:
            parent = self._inner(account.parent, inner, children)
            branch = inner[account.name] = _Branch(account, parent)
            children.setdefault(id(parent), []).append(branch)
        return branch

    def _link(self, branch: _Branch, children: dict[int, list[_Branch]]) -> None:
        for child in children.get(id(branch), []):
            self._link(child, children)
            branch.branches.append(self._entry(child))
        heapq.heapify(branch.branches)

    def _entry(self, branch: _Branch) -> tuple[Key, int, _Branch]:
        head = branch.head()
        assert branch.account is not None
        if not self._victims:
            key = project_key(branch.account, following=head.amount)
        else:
            gpu, cpu, memory = branch.lost
            lost = (gpu + head.amount[0], cpu + head.amount[1], memory + head.amount[2])
            forward = project_key(branch.account, victims=lost)
            key = tuple(-x for x in forward)
        self._counter += 1
        return (key, self._counter, branch)

    def __bool__(self) -> bool:
        self._settle()
        return bool(self._top.branches)

    def peek(self) -> Job:
        """The next session; the queue must not be empty."""
        self._settle()
        return self._top.head()

    def pop(self) -> Job:
        """Take the next session; the queue must not be empty."""
        self._settle()
        here = self._top
        while not here.jobs:
            here = here.branches[0][2]
        job = heapq.heappop(here.jobs)[1]
        self._stale = here
        if self._victims:
            self._lose(here, job)
        return job

    def _lose(self, branch: _Branch, job: Job) -> None:
        here: _Branch | None = branch
        while here is not None and here is not self._top:
            for r in (0, 1, 2):
                here.lost[r] += job.amount[r]
            here = here.parent

    def _settle(self) -> None:
        """Put the branches of the last pop, each on top of its heap, where they belong."""
        here, self._stale = self._stale, None
        while here is not None and here is not self._top:
            parent = here.parent
            assert parent is not None
            if here.empty():
                heapq.heappop(parent.branches)
            else:
                heapq.heapreplace(parent.branches, self._entry(here))
            here = parent

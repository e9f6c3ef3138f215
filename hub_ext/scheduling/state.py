"""Everything one pass works on, built from a snapshot."""

from __future__ import annotations

import random
from collections.abc import Iterable

from hub_ext.scheduling.accounts import Accounts
from hub_ext.scheduling.cluster import Capacity, Cluster
from hub_ext.scheduling.fair_share import set_fair_shares
from hub_ext.scheduling.find import Finder
from hub_ext.scheduling.jobs import Job, held_by, not_allowed_yet
from hub_ext.scheduling.model import Demand, Session, Snapshot, TaskPlacement
from hub_ext.scheduling.placement import make_policy
from hub_ext.scheduling.request import RequestBook


class State:
    """Cluster, accounts and sessions of a pass, and what the pass has decided so far.

    now: free at this moment. soon: free once every session that is ending has gone.
    freeing: nodes on which the two differ by more than holds.
    """

    def __init__(self, snapshot: Snapshot, policy: str) -> None:
        self.snapshot = snapshot
        self.cluster = Cluster(snapshot)
        self.accounts = Accounts(snapshot.projects)
        self.requests = RequestBook(self.cluster)
        self.now = Capacity(self.cluster)
        self.pending: list[Job] = []
        self.running: list[Job] = []
        self.ending: list[Job] = []
        self._take_in(snapshot.sessions)
        self.soon = self.now.copy()
        for job in self.ending:
            self.release(self.soon, job.session, job.session.placements)
        self.freeing = {
            self.cluster.number[p.node]
            for job in self.ending
            for p in job.session.placements
            if p.node in self.cluster.number
        }
        set_fair_shares(self.accounts, self.cluster.totals, snapshot.time_aware_k)
        self.policy = make_policy(policy, snapshot.request_types or _mix(snapshot.sessions))
        chance = random.Random(snapshot.seed)
        self.finder = Finder(self.now, self.policy, chance)
        self.later = Finder(self.soon, self.policy, chance)
        self.starts: dict[str, list[TaskPlacement]] = {}
        self.reservations: dict[str, tuple[TaskPlacement, ...]] = {}
        self.evicted: list[Job] = []
        self.overdue: list[Job] = []
        """Those that have waited too long and still have to, the oldest first."""
        self.kept_nodes: set[int] = set()
        """Nodes on which the head of the line has a reservation."""

    def _take_in(self, sessions: Iterable[Session]) -> None:
        """Sort the sessions by what they do, and count what they hold and ask for."""
        sums: dict[tuple[str, bool, str], list[int]] = {}
        for session in sessions:
            job = Job(session, self.accounts.by_name[session.project], self.requests.of(session))
            times = 1
            if session.state == "pending":
                self.pending.append(job)
                if not_allowed_yet(job, self.snapshot.now) is not None:
                    continue  # it can use nothing now, so it asks for no share either
                kind, amount, times = "pending", job.each, session.tasks
            elif session.ending:
                self.ending.append(job)
                kind, amount = "ending", job.amount
            else:
                self.running.append(job)
                kind, amount = "running", job.amount
            total = sums.setdefault((session.project, job.fixed, kind), [0, 0, 0])
            total[0] += amount[0] * times
            total[1] += amount[1] * times
            total[2] += amount[2] * times
        for job in (*self.running, *self.ending):
            self.occupy(self.now, job.session, job.session.placements)
        self.now.changes.clear()
        for (project, fixed, kind), total in sums.items():
            if kind == "ending":
                self.accounts.book_ending(project, total, fixed)
                continue
            self.accounts.request(project, total)
            if kind == "running":
                self.accounts.book(project, total, fixed)

    def decided(self, job: Job) -> bool:
        """Whether the session starts, or has a place kept for it."""
        return job.id in self.starts or job.id in self.reservations

    def release(
        self, capacity: Capacity, session: Session, placements: Iterable[TaskPlacement]
    ) -> None:
        """Give back in one state of affairs what these containers hold."""
        demand = session.demand
        capacity.apply(placements, demand.cpu_milli, demand.memory_mib, +1)

    def occupy(
        self, capacity: Capacity, session: Session, placements: Iterable[TaskPlacement]
    ) -> None:
        """Take in one state of affairs what these containers hold."""
        demand = session.demand
        capacity.apply(placements, demand.cpu_milli, demand.memory_mib, -1)

    def book(self, job: Job, placements: Iterable[TaskPlacement], sign: int = 1) -> None:
        """Book (or unbook) containers of a session in its project and all above it."""
        amount = held_by(placements, job.session)
        self.accounts.book(job.account.name, amount, job.fixed, sign)

    def start(
        self,
        job: Job,
        placements: list[TaskPlacement],
        new: list[TaskPlacement] | None = None,
    ) -> None:
        """Decide: these containers start now. The new ones are already taken from ``now``."""
        added = placements if new is None else new
        self.occupy(self.soon, job.session, added)
        self.book(job, added)
        self.starts[job.id] = placements

    def hold(self, job: Job, placements: tuple[TaskPlacement, ...]) -> None:
        """Keep this place, already taken from ``soon``, for a session that starts later."""
        self.occupy(self.now, job.session, placements)
        self.book(job, placements)
        self.reservations[job.id] = placements


def _mix(sessions: Iterable[Session]) -> tuple[tuple[Demand, float], ...]:
    """Popularity of requests among the sessions of this snapshot."""
    counts: dict[Demand, float] = {}
    for session in sessions:
        counts[session.demand] = counts.get(session.demand, 0.0) + session.tasks
    return tuple(sorted(counts.items(), key=lambda item: _order(item[0])))


def _order(demand: Demand) -> tuple[int, int, int, int]:
    return (demand.gpu_milli, demand.cpu_milli, demand.memory_mib, demand.gpu_memory_mib)

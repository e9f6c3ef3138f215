"""Reclaim between projects and preemption inside one: the search for victims.

Victims are added one at a time in reverse queue order; first those on as few nodes as
will do are tried, then more. A plan counts only if it ends with the claimant running
and its losses are fair (KAI 0.17, actions/common/solvers). The search is bounded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from hub_ext.scheduling.accounts import may_hold, over_quota
from hub_ext.scheduling.harvest import Harvest
from hub_ext.scheduling.jobs import Job, Rank, VictimRank, split, victim_rank
from hub_ext.scheduling.minimum_runtime import is_protected
from hub_ext.scheduling.model import Evict
from hub_ext.scheduling.order import JobQueue
from hub_ext.scheduling.reclaim_rules import Losses, is_fair, may_lose, may_reclaim, may_swap
from hub_ext.scheduling.state import State
from hub_ext.scheduling.trial import Kind, Outcome, carry_out, try_out

MOST_VICTIMS = 1000
"""Victims looked at for one claimant."""
MOST_MOVED = 100
"""Of these, victims that their projects may not lose but that might be moved."""
MOST_TRIALS = 100
"""Plans tried out for one claimant."""
MOST_TRIALS_IN_A_PASS = 200
MOST_STEPS_IN_A_PASS = 5_000


class VictimSearch:
    """Finds victims for pending sessions, one after another, in one pass."""

    def __init__(self, state: State, pending: Sequence[Job]) -> None:
        self._state = state
        self._pending = pending
        self._waiting: dict[str, list[Job]] = {}
        for job in pending:
            self._waiting.setdefault(job.account.name, []).append(job)
        for line in self._waiting.values():
            line.sort(key=lambda job: job.rank)
        self._tried = self._steps = 0
        self._guarded = any(
            p.reclaim_min_runtime_s is not None or p.preempt_min_runtime_s is not None
            for p in state.snapshot.projects
        )
        self._jobs = {j.id: j for j in (*state.pending, *state.ending, *state.running)}
        self._victims: dict[str, list[Job]] = {}
        for job in state.running:
            if not job.fixed:
                self._victims.setdefault(job.account.name, []).extend(split(job))

    def run(self) -> list[Evict]:
        """Reclaim for everyone who may, then preempt; in queue order."""
        return [*self._each("reclaim"), *self._each("preempt")]

    def _each(self, kind: Kind) -> list[Evict]:
        if not self._victims:
            return []
        state = self._state
        evictions: list[Evict] = []
        failed: set[tuple[object, ...]] = set()
        queue = JobQueue([j for j in self._pending if self._open(j)])
        while queue and self._within_bounds():
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

    def _within_bounds(self) -> bool:
        return self._tried < MOST_TRIALS_IN_A_PASS and self._steps < MOST_STEPS_IN_A_PASS

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
        guarded = self._guarded
        gone = {job.id for job in state.evicted}
        spared = self._next_losses()
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
                and _comes_before(v, spared.get(name))
                and (kind == "reclaim" or v.session.priority < claimant.session.priority)
                and not (
                    guarded
                    and v.surplus_of is None
                    and is_protected(v, claimant.account, kind, now)
                )
            ]
        return found

    def _next_losses(self) -> dict[str, VictimRank]:
        """By project: the first it would lose of those that do not run yet, only are to.

        It loses nobody who comes after that one, or the two would take turns for ever.
        """
        first: dict[str, VictimRank] = {}
        for name in self._state.reservations:
            job = self._jobs[name]
            if not job.fixed:
                rank = victim_rank(job.session, whole=True)
                first[job.account.name] = min(first.get(job.account.name, rank), rank)
        return first

    def _search(self, claimant: Job, kind: Kind) -> Outcome | None:
        """The first plan that ends well, or None.

        The first ``MOST_MOVED`` victims may also be such as their projects must not
        lose (they may turn out to be only moved); after those only fair losses.
        """
        state = self._state
        queue = JobQueue(self._candidates(claimant, kind), victims=True)
        harvest = Harvest(state, claimant)
        if harvest.fits_already and may_hold(claimant.account, claimant.amount, claimant.fixed):
            return None  # only the reservation of the head of the line is in its way
        losses = Losses(claimant)
        trials = 0
        for step in range(MOST_VICTIMS):
            if not queue or self._steps >= MOST_STEPS_IN_A_PASS:
                return None
            victim = queue.pop()
            self._steps += 1
            fair = kind == "preempt" or losses.take(victim)
            if not fair and step >= MOST_MOVED:
                continue
            harvest.add(victim)
            if trials >= MOST_TRIALS:
                return None
            for victims in harvest.sets(last=not queue):
                trials += 1
                self._tried += 1
                line = self._line(claimant, victims)
                outcome = try_out(state, claimant, victims, line, harvest.fits_already)
                if outcome is None or not (outcome.lost or outcome.moved):
                    continue
                acceptable = may_swap if kind == "preempt" else is_fair
                if acceptable(claimant, outcome.lost):
                    return outcome
        return None

    def _line(self, claimant: Job, victims: Sequence[Job]) -> list[Job]:
        """Pending sessions that take part in the order of a trial.

        Those of the projects concerned, as far as they come before the claimant or a
        victim there; whoever comes later cannot change how it ends.
        """
        last: dict[str, Rank] = {claimant.account.name: claimant.rank}
        for victim in victims:
            name = victim.account.name
            last[name] = max(last.get(name, victim.rank), victim.rank)
        return [
            job
            for name, rank in last.items()
            for job in self._before(name, rank)
            if job is not claimant and self._open(job)
        ]

    def _before(self, name: str, rank: Rank) -> list[Job]:
        line = self._waiting.get(name, [])
        return line[: bisect_left(line, rank, key=lambda job: job.rank)]


def _comes_before(victim: Job, other: VictimRank | None) -> bool:
    return other is None or (victim.victim_rank is not None and victim.victim_rank < other)

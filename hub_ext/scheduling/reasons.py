"""Why a session waits: one sentence with numbers about what blocks this request."""

from __future__ import annotations

from hub_ext.scheduling.accounts import Account, over_limit, over_quota
from hub_ext.scheduling.amounts import quantity
from hub_ext.scheduling.harvest import room_for
from hub_ext.scheduling.jobs import Job, first_tasks, not_allowed_yet
from hub_ext.scheduling.model import Reason
from hub_ext.scheduling.shortage import Shortages
from hub_ext.scheduling.state import State


class Reasons:
    """Words the reasons of one pass."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._per_gpu = state.snapshot.fgpu_per_gpu
        self._shortages = Shortages(state)

    def of(self, job: Job) -> Reason:
        """The reason of a waiting session."""
        state = self._state
        reason = not_allowed_yet(job, state.snapshot.now)
        if reason is not None:
            return reason
        if job.id in state.reservations:
            return self._being_freed(job)
        if (reason := self._hard_rule(job)) is not None:
            return reason
        found = self._shortages.of(job.request)
        if found is not None:
            return found
        if first_tasks(job.session) > 1:
            return self._gang(job)
        return Reason(
            "reserved",
            "There is room, but it is kept for a larger session ahead in line.",
            "A time limit that ends before the larger session can start lets it go first.",
        )

    def _being_freed(self, job: Job) -> Reason:
        nodes = sorted({p.node for p in self._state.reservations[job.id]})
        where = f"node {nodes[0]}" if len(nodes) == 1 else f"nodes {', '.join(nodes)}"
        return Reason(
            "being_freed", f"Its place on {where} is kept; it starts as soon as that is free."
        )

    def _hard_rule(self, job: Job) -> Reason | None:
        for account in job.account.path:
            resource = over_limit(account, job.amount, with_ending=True)
            if resource is not None:
                return self._limit(account, job, resource)
            if job.fixed:
                resource = over_quota(account, job.amount, with_ending=True)
                if resource is not None:
                    return self._quota(account, job, resource)
        return None

    def _limit(self, account: Account, job: Job, resource: int) -> Reason:
        limit, used = (
            account.limit[resource],
            account.allocated[resource] + account.ending[resource],
        )
        amount = job.amount[resource]
        if amount > limit:
            message = (
                f"Needs {self._say(resource, amount)}; project {account.name} may use at most"
                f" {self._say(resource, limit)} in all."
            )
            return Reason("over_limit", message, "Ask for less, or for a higher limit.")
        message = (
            f"Project {account.name} uses {self._bare(resource, used)} of its limit of"
            f" {self._say(resource, limit)}"
        )
        if used < limit:
            message += f"; this needs {self._bare(resource, amount)}"
        return Reason(
            "project_limit", message + ".", "It starts when another session of the project ends."
        )

    def _quota(self, account: Account, job: Job, resource: int) -> Reason:
        quota = account.quota[resource]
        used = account.fixed[resource] + account.ending_fixed[resource]
        amount = job.amount[resource]
        message = (
            f"Project {account.name} holds {self._bare(resource, used)} of its quota of"
            f" {self._say(resource, quota)} in sessions that may not be reclaimed"
        )
        if used < quota or amount > quota:
            message += f"; this needs {self._bare(resource, amount)}"
        return Reason(
            "project_quota",
            message + ".",
            "Allow this session to be reclaimed: then it may use idle capacity beyond the quota.",
        )

    def _say(self, resource: int, amount: int) -> str:
        return quantity(resource, amount, self._per_gpu)

    def _bare(self, resource: int, amount: int) -> str:
        return (
            self._say(resource, amount).rsplit(" ", 1)[0]
            if resource == 0
            else self._say(resource, amount)
        )

    def _gang(self, job: Job) -> Reason:
        needed = first_tasks(job.session)
        fits = min(room_for(self._state.now, job.request, needed), needed - 1)
        return Reason(
            "gang",
            f"Needs {needed} containers at once; {fits} of them would fit now.",
            "All start together or none does.",
        )

"""Who may take capacity back from whom.

KAI 0.17, plugins/proportion/reclaimable: a project under its fair share may take from
projects above max(quota, fair share); a project within its quota, from any project
above its quota. Two projects are compared where their branches of the tree part.
"""

from __future__ import annotations

from collections.abc import Iterable

from hub_ext.scheduling.accounts import UNBOUNDED, Account, Vector
from hub_ext.scheduling.jobs import Job

Amounts = dict[str, list[int]]
"""Allocations by project name, as they are in the middle of a trial."""


def may_reclaim(claimant: Job) -> bool:
    """Within its project's fair share, and within quota if it is not preemptible."""
    account = claimant.account
    for r in (0, 1, 2):
        if account.allocated[r] + claimant.amount[r] > account.fair_share[r]:
            return False
        if claimant.fixed and account.fixed[r] + claimant.amount[r] > account.quota[r]:
            return False
    return True


def where_they_part(claimant: Account, victim: Account) -> tuple[Account, Account]:
    """The ancestors, at the same depth, by which two projects are compared."""
    ours, theirs = claimant.path[::-1], victim.path[::-1]
    pair = (ours[0], theirs[0])
    for mine, other in zip(ours, theirs, strict=False):
        pair = (mine, other)
        if mine is not other:
            break
    return pair


def may_lose(claimant: Job, victim: Account) -> bool:
    """Whether a project can have victims for this claimant at all (saves a search)."""
    mine, other = where_they_part(claimant.account, victim)
    if not _within_quota(mine, claimant.amount):
        return _above(other.allocated, other.allocatable)
    under = False
    for r in (0, 1, 2):
        if claimant.amount[r] <= 0 or other.quota[r] == UNBOUNDED:
            continue
        if other.allocated[r] > other.quota[r]:
            return True
        under = under or other.allocated[r] < other.quota[r]
    return not under


def _within_quota(account: Account, amount: Vector) -> bool:
    return all(account.allocated[r] + amount[r] <= account.quota[r] for r in (0, 1, 2))


def _above(amounts: Iterable[int], bounds: Iterable[int]) -> bool:
    return any(amount > bound for amount, bound in zip(amounts, bounds, strict=True))


def is_fair(claimant: Job, lost: Iterable[Job]) -> bool:
    """Whether these victims may be lost for the claimant.

    Each is judged by what its project holds before that eviction, so one large session
    may leave its project below its share. To be asked on the accounts as they were.
    """
    by_project: dict[str, list[Job]] = {}
    for victim in lost:
        by_project.setdefault(victim.account.name, []).append(victim)
    left: Amounts = {}
    touched: dict[str, Account] = {}
    involved: dict[str, set[int]] = {}
    for victims in by_project.values():
        mine, other = where_they_part(claimant.account, victims[0].account)
        guaranteed = _within_quota(mine, claimant.amount)
        for victim in victims:
            holds = left.get(other.name, other.allocated)
            if not _above(holds, other.allocatable) and not (
                guaranteed and _above(holds, other.quota)
            ):
                return False
            for account in victim.account.path:
                amounts = left.setdefault(account.name, list(account.allocated))
                touched[account.name] = account
                for r in (0, 1, 2):
                    amounts[r] -= victim.amount[r]
                    if victim.amount[r]:
                        involved.setdefault(account.name, set()).add(r)
    return _stays_fair(claimant, left, touched, involved)


def may_swap(claimant: Job, lost: Iterable[Job]) -> bool:
    """Whether preemption leaves the project, and all above it, within fair share.

    One that was above it already may swap. Otherwise the larger session would be taken
    back by others, the smaller ones would start again, and so on in a loop.
    """
    victims = list(lost)
    for account in claimant.account.path:
        for r in (0, 1, 2):
            after = account.allocated[r] + claimant.amount[r] - sum(v.amount[r] for v in victims)
            if account.allocated[r] <= account.allocatable[r] < after:
                return False
    return True


class Losses:
    """Which victims of a search their projects may lose, if all before them are lost."""

    def __init__(self, claimant: Job) -> None:
        self._claimant = claimant
        self._left: Amounts = {}

    def take(self, victim: Job) -> bool:
        """Whether the victim may be lost; if so it is counted as lost."""
        mine, other = where_they_part(self._claimant.account, victim.account)
        holds = self._left.get(other.name, other.allocated)
        if not _above(holds, other.allocatable) and not (
            _above(holds, other.quota) and _within_quota(mine, self._claimant.amount)
        ):
            return False
        for account in victim.account.path:
            amounts = self._left.setdefault(account.name, list(account.allocated))
            for r in (0, 1, 2):
                amounts[r] -= victim.amount[r]
        return True


def _stays_fair(
    claimant: Job, left: Amounts, touched: dict[str, Account], involved: dict[str, set[int]]
) -> bool:
    """No level where the claimant ends above its share beside a sibling no fuller than it."""
    own = {r for r in (0, 1, 2) if claimant.amount[r]}
    for account in claimant.account.path:
        amounts = left.get(account.name, account.allocated)
        after = [amounts[r] + claimant.amount[r] for r in (0, 1, 2)]
        for name, sibling in touched.items():
            if sibling.parent is not account.parent or sibling is account:
                continue
            for r in own | involved[name]:
                fullness = _fullness(after[r], account.fair_share[r])
                other = _fullness(left[name][r], sibling.fair_share[r])
                if fullness > 1 and sibling.fair_share[r] > 0 and fullness >= other:
                    return False
    return True


def _fullness(allocated: int, fair_share: int) -> float:
    if fair_share == 0:
        return float("inf") if allocated > 0 else 0.0
    return allocated / fair_share

"""Fair shares in rounds, level by level down the project tree.

The rules of Run:ai's scheduler (KAI 0.17, plugins/proportion/resource_division), in
integers: quota first and never scaled down; what remains goes in strict order of
project priority, by over-quota weight, in whole units, rounds until nobody is
satisfied with less than offered; leftovers one unit each to the largest remainder.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from hub_ext.scheduling.accounts import UNBOUNDED, UNITS, Account, Accounts

_SCALE = 1_000_000
"""Weights, past use and k count in millionths, so that shares are exact integers."""


def set_fair_shares(accounts: Accounts, totals: Sequence[int], time_aware_k: float = 0.0) -> None:
    """Set ``fair_share`` and ``allocatable`` of every account. ``totals``: the cluster."""
    for resource in (0, 1, 2):
        _divide_level(accounts.roots, totals[resource], resource, round(time_aware_k * _SCALE))
    for account in accounts.by_name.values():
        account.settle(totals)


def _divide_level(siblings: list[Account], total: int, resource: int, k: int) -> None:
    if not siblings:
        return
    divide(siblings, total, resource, k)
    for account in siblings:
        _divide_level(account.children, account.fair_share[resource], resource, k)


def divide(siblings: list[Account], total: int, resource: int, k: int = 0) -> int:
    """Divide ``total`` of one resource between siblings; returns what nobody wants.

    k: weight of past use, in millionths (0: the share does not look back).
    """
    remaining = total
    for account in siblings:
        quota = account.quota[resource]
        share = min(total if quota == UNBOUNDED else quota, account.requestable(resource))
        account.fair_share[resource] = share
        remaining -= share
    if remaining <= 0:
        return 0
    leftovers: list[tuple[list[Account], dict[str, Fraction]]] = []
    for priority in sorted({a.project.priority for a in siblings}, reverse=True):
        group = [a for a in siblings if a.project.priority == priority]
        remainders: dict[str, Fraction] = {}
        remaining = _rounds(group, remaining, resource, k, remainders)
        leftovers.append((group, remainders))
    for group, remainders in leftovers:
        remaining = _hand_out_leftovers(group, remainders, remaining, resource)
    return remaining


def _rounds(
    group: list[Account], remaining: int, resource: int, k: int, remainders: dict[str, Fraction]
) -> int:
    """Offer ``remaining`` by weight until a round satisfies nobody with less than offered."""
    unit = UNITS[resource]
    again = True
    while again and remaining > 0:
        again = False
        offered = remaining
        shares = _share_weights(group, resource, k)
        total_share = sum(shares.values())
        if total_share == 0:
            break
        for account in group:
            share = shares.get(account.name, 0)
            if share == 0:
                continue
            wanted = account.requestable(resource) - account.fair_share[resource]
            offer = offered * share
            if wanted * total_share <= offer:
                given = wanted
                remainders.pop(account.name, None)
                again = again or wanted * total_share < offer
            else:
                given = offer // (total_share * unit) * unit
                rest = offer - given * total_share
                if rest:
                    remainders[account.name] = Fraction(rest, total_share)
            account.fair_share[resource] += given
            remaining -= given
    return remaining


def _share_weights(group: list[Account], resource: int, k: int) -> dict[str, int]:
    """max(0, n + k (n - usage)) with n = weight / all weights of the unsatisfied, scaled."""
    weights = {
        a.name: round(a.weight[resource] * _SCALE)
        for a in group
        if a.requestable(resource) > a.fair_share[resource]
    }
    total = sum(weights.values())
    if k == 0:
        return weights
    usage = {a.name: round(a.project.usage * _SCALE) for a in group}
    return {
        name: max(0, weight * _SCALE * _SCALE + k * (weight * _SCALE - usage[name] * total))
        for name, weight in weights.items()
        if weight
    }


def _hand_out_leftovers(
    group: list[Account], remainders: dict[str, Fraction], remaining: int, resource: int
) -> int:
    """One unit each: largest remainder, then the oldest project, then by name."""
    waiting = sorted(
        (a for a in group if a.name in remainders),
        key=lambda a: (-remainders[a.name], a.project.created_order, a.name),
    )
    for account in waiting:
        if remaining <= 0:
            break
        given = min(UNITS[resource], remaining)
        account.fair_share[resource] += given
        remaining -= given
    return remaining

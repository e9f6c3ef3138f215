"""The project tree as the pass uses it: what each project may have and what it holds.

Quantities are lists of three integers in the order of ``RESOURCES``: milli-GPU,
milli-CPU, MiB. ``UNBOUNDED`` stands for a quota or limit that does not bind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hub_ext.scheduling.errors import SnapshotError
from hub_ext.scheduling.model import GPU, UNLIMITED, Project, Resources, Weights

RESOURCES = ("gpu_milli", "cpu_milli", "memory_mib")
UNITS = (GPU, 1, 1)
"""The step in which a fair share is cut off: whole GPUs, milli-CPU, MiB (KAI)."""

UNBOUNDED = 1 << 60

NO_SHARE_PENALTY = 1000

Vector = tuple[int, int, int]


def vector(resources: Resources) -> Vector:
    """The quantities of a quota or limit, unlimited ones as ``UNBOUNDED``."""
    return (
        UNBOUNDED if resources.gpu_milli == UNLIMITED else resources.gpu_milli,
        UNBOUNDED if resources.cpu_milli == UNLIMITED else resources.cpu_milli,
        UNBOUNDED if resources.memory_mib == UNLIMITED else resources.memory_mib,
    )


class Account:
    """One project: its rules and its running totals, all descendants included.

    allocated: booked by running sessions, without those that are ending.
    fixed: the part of it that is not preemptible.
    ending, ending_fixed: still booked by sessions that are being stopped.
    requested: running + pending, for the fair share.
    """

    __slots__ = (
        "allocatable",
        "allocated",
        "children",
        "ending",
        "ending_fixed",
        "fair_share",
        "fixed",
        "limit",
        "name",
        "parent",
        "path",
        "per_unit",
        "project",
        "quota",
        "requested",
        "seniority",
        "weight",
    )

    def __init__(self, project: Project) -> None:
        self.project = project
        self.name = project.name
        self.parent: Account | None = None
        self.children: list[Account] = []
        self.path: tuple[Account, ...] = (self,)
        self.quota = vector(project.quota)
        self.limit = vector(project.limit)
        self.weight = _weights(project, self.quota)
        self.allocated = [0, 0, 0]
        self.fixed = [0, 0, 0]
        self.ending = [0, 0, 0]
        self.ending_fixed = [0, 0, 0]
        self.requested = [0, 0, 0]
        self.fair_share = [0, 0, 0]
        self.allocatable: Vector = (0, 0, 0)
        self.per_unit = (0.0, 0.0, 0.0)
        self.seniority = 0

    def requestable(self, resource: int) -> int:
        """min(requested, limit) of one resource."""
        return min(self.requested[resource], self.limit[resource])

    def settle(self, totals: Sequence[int]) -> None:
        """Fix what the project may hold by right: max(quota, fair share) within its limit.

        And, for the queue order, what one unit of each resource weighs in its share; an
        allocation without any share weighs so much that it comes last (KAI).
        """
        gpu, cpu, memory = (
            limit if quota == UNBOUNDED else min(limit, max(quota, share))
            for quota, share, limit in zip(self.quota, self.fair_share, self.limit, strict=True)
        )
        self.allocatable = (gpu, cpu, memory)
        bases = [
            t if may == UNBOUNDED else may for may, t in zip(self.allocatable, totals, strict=True)
        ]
        gpu_part, cpu_part, memory_part = (
            1 / base if base else NO_SHARE_PENALTY / unit
            for base, unit in zip(bases, UNITS, strict=True)
        )
        self.per_unit = (gpu_part, cpu_part, memory_part)


def _weights(project: Project, quota: Vector) -> tuple[float, float, float]:
    """Over-quota weights; without one, or with a negative one, the quota is the weight."""
    asked = project.over_quota_weight
    by_resource = asked if isinstance(asked, Weights) else Weights(asked, asked, asked)
    gpu, cpu, memory = (
        weight if weight is not None and weight >= 0 else 1.0 if q == UNBOUNDED else float(q)
        for weight, q in zip(
            (by_resource.gpu, by_resource.cpu, by_resource.memory), quota, strict=True
        )
    )
    return (gpu, cpu, memory)


class Accounts:
    """All projects by name, their tree, and every booking and release in it."""

    def __init__(self, projects: Iterable[Project]) -> None:
        self.by_name: dict[str, Account] = {p.name: Account(p) for p in projects}
        self.roots: list[Account] = []
        for account in self.by_name.values():
            self._link(account)
        for account in self.by_name.values():
            account.path = tuple(self._walk_up(account))
        for rank, account in enumerate(sorted(self.by_name.values(), key=_age)):
            account.seniority = rank
        for account in self.by_name.values():
            account.children.sort(key=lambda a: a.seniority)
        self.roots.sort(key=lambda a: a.seniority)

    def _link(self, account: Account) -> None:
        parent = account.project.parent
        if parent is None:
            self.roots.append(account)
            return
        if parent not in self.by_name:
            raise SnapshotError(
                f"Project {account.name} has the unknown parent {parent}.", field="parent"
            )
        account.parent = self.by_name[parent]
        account.parent.children.append(account)

    def _walk_up(self, account: Account) -> Iterator[Account]:
        seen: set[str] = set()
        here: Account | None = account
        while here is not None:
            if here.name in seen:
                raise SnapshotError(
                    f"The parents of project {account.name} go round in a cycle.", field="parent"
                )
            seen.add(here.name)
            yield here
            here = here.parent

    def request(self, name: str, amount: Sequence[int]) -> None:
        """Count a demand (running or pending) towards the fair share."""
        for account in self.by_name[name].path:
            for r in (0, 1, 2):
                account.requested[r] += amount[r]

    def book(self, name: str, amount: Sequence[int], fixed: bool, sign: int = 1) -> None:
        """Book (or with sign -1 give back) an allocation at every ancestor."""
        for account in self.by_name[name].path:
            held = account.allocated
            held[0] += sign * amount[0]
            held[1] += sign * amount[1]
            held[2] += sign * amount[2]
            if fixed:
                for r in (0, 1, 2):
                    account.fixed[r] += sign * amount[r]

    def book_ending(self, name: str, amount: Sequence[int], fixed: bool) -> None:
        """Count what a session that is being stopped still holds."""
        for account in self.by_name[name].path:
            for r in (0, 1, 2):
                account.ending[r] += amount[r]
                if fixed:
                    account.ending_fixed[r] += amount[r]


def _age(account: Account) -> tuple[int, str]:
    return (account.project.created_order, account.name)


def over_limit(account: Account, amount: Sequence[int], with_ending: bool) -> int | None:
    """The first resource by which ``amount`` more would break the limit, or None."""
    for r in (0, 1, 2):
        held = account.allocated[r] + (account.ending[r] if with_ending else 0)
        if amount[r] and held + amount[r] > account.limit[r]:
            return r
    return None


def over_quota(account: Account, amount: Sequence[int], with_ending: bool) -> int | None:
    """The first resource by which ``amount`` more, not preemptible, would leave the quota."""
    for r in (0, 1, 2):
        held = account.fixed[r] + (account.ending_fixed[r] if with_ending else 0)
        if amount[r] and held + amount[r] > account.quota[r]:
            return r
    return None


def may_hold(leaf: Account, amount: Sequence[int], fixed: bool, with_ending: bool = False) -> bool:
    """The two hard rules at every ancestor: limit, and non-preemptible within quota."""
    for account in leaf.path:
        if over_limit(account, amount, with_ending) is not None:
            return False
        if fixed and over_quota(account, amount, with_ending) is not None:
            return False
    return True

"""Sessions as the pass handles them: with their account, request and rank resolved."""

from __future__ import annotations

from collections.abc import Iterable

from hub_ext.scheduling.accounts import Account, Vector
from hub_ext.scheduling.model import Session, TaskPlacement
from hub_ext.scheduling.request import Request

Rank = tuple[int, float, int, str]
VictimRank = tuple[int, bool, float, int, "Descending"]


class Job:
    """One session in a pass.

    amount: what it asks for (pending: its first tasks, a request by GPU memory at its
    largest possible fraction) or holds (running). rank: its place inside its project.
    """

    __slots__ = (
        "account",
        "amount",
        "each",
        "fixed",
        "id",
        "rank",
        "request",
        "session",
        "victim_rank",
    )

    def __init__(self, session: Session, account: Account, request: Request) -> None:
        self.session = session
        self.id = session.id
        self.account = account
        self.request = request
        self.fixed = not session.preemptible
        gpu, cpu, memory = request.amount
        self.each: Vector = (gpu, cpu, memory)
        tasks = first_tasks(session)
        self.amount: Vector = (gpu * tasks, cpu * tasks, memory * tasks)
        if session.state == "running":
            self.amount = held_by(session.placements, session)
        self.rank: Rank = rank(session)
        self.victim_rank: VictimRank | None = None
        if session.state == "running" and session.preemptible:
            self.victim_rank = victim_rank(session)


def first_tasks(session: Session) -> int:
    """Containers that must start together: all, unless fewer are enough."""
    return session.tasks if session.min_available is None else session.min_available


def held_by(placements: Iterable[TaskPlacement], session: Session) -> Vector:
    """What these placements of a session book: milli-GPU, milli-CPU, MiB."""
    tasks = gpu = 0
    for placement in placements:
        tasks += 1
        for piece in placement.slices:
            gpu += piece.milli
    return (gpu, session.demand.cpu_milli * tasks, session.demand.memory_mib * tasks)


def rank(session: Session) -> Rank:
    """Order inside a project: priority, then age (KAI)."""
    return (-session.priority, session.submitted_at, session.order, session.id)


def victim_rank(session: Session) -> VictimRank:
    """Victims inside a project: lowest priority, surplus gangs, youngest first."""
    whole = len(session.placements) <= first_tasks(session)
    return (
        session.priority,
        whole,
        -session.submitted_at,
        -session.order,
        Descending(session.id),
    )


class Descending:
    """A string that sorts the other way round."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __lt__(self, other: Descending) -> bool:
        return self.text > other.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

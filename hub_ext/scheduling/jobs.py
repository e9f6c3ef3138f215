"""Sessions as the pass handles them: with their account, request and rank resolved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hub_ext.scheduling.accounts import Account, Vector
from hub_ext.scheduling.amounts import duration
from hub_ext.scheduling.model import Reason, Session, TaskPlacement
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
        "surplus_of",
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
            self.victim_rank = victim_rank(session, whole=True)
        self.surplus_of: str | None = None


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


def not_allowed_yet(job: Job, now: float) -> Reason | None:
    """Reasons that hold whatever the capacity is: a hold, a closed project, a start time."""
    session = job.session
    if session.held is not None:
        return session.held
    for account in job.account.path:
        if account.project.closed:
            return Reason("project_closed", account.project.closed)
    if session.not_before is not None and session.not_before > now:
        wait = duration(session.not_before - now)
        return Reason("not_before", f"It is set to start later, in {wait}.")
    return None


def split(job: Job) -> list[Job]:
    """A running gang as victims: what it cannot do without, and each container beyond that."""
    session, minimum = job.session, first_tasks(job.session)
    if len(session.placements) <= minimum:
        return [job]
    core = replace(
        session, placements=session.placements[:minimum], tasks=minimum, min_available=None
    )
    parts = [Job(core, job.account, job.request)]
    for number, placement in enumerate(session.placements[minimum:], start=minimum):
        one = replace(
            session,
            id=f"{session.id}#{number:04}",
            placements=(placement,),
            tasks=1,
            min_available=None,
        )
        part = Job(one, job.account, job.request)
        part.surplus_of = session.id
        part.victim_rank = victim_rank(one, whole=False)
        parts.append(part)
    return parts


def one_more(job: Job) -> Job:
    """One container more of a gang that may have more than its minimum."""
    one = replace(job.session, state="pending", placements=(), tasks=1, min_available=None)
    return Job(one, job.account, job.request)


def victim_rank(session: Session, whole: bool) -> VictimRank:
    """Victims inside a project: lowest priority, surplus containers of gangs, youngest first."""
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

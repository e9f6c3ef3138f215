"""Try out an eviction: victims go, they and the claimant are placed again in queue order.

A victim that fits again is only moved (or stays where it is), not lost. A trial leaves
no trace; what it found out is carried out by ``carry_out``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from hub_ext.scheduling.accounts import may_hold
from hub_ext.scheduling.allocate import fits_exactly, place
from hub_ext.scheduling.cluster import numbers
from hub_ext.scheduling.jobs import Job
from hub_ext.scheduling.model import Evict, Reason, TaskPlacement
from hub_ext.scheduling.order import JobQueue
from hub_ext.scheduling.state import State

Kind = Literal["reclaim", "preempt"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ends: where the claimant runs, who is lost, who runs elsewhere."""

    claimant: Job
    placements: tuple[TaskPlacement, ...]
    lost: tuple[Job, ...]
    moved: tuple[tuple[Job, tuple[TaskPlacement, ...]], ...]


class _Journal:
    """Remembers rows and bookings so that a trial can be undone."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._rows: dict[int, object] = {}
        self._booked: list[tuple[Job, tuple[TaskPlacement, ...], int]] = []

    def remember(self, nodes: Iterable[int]) -> None:
        for node in nodes:
            if node not in self._rows:
                self._rows[node] = self._state.soon.row(node)

    def book(self, job: Job, placements: tuple[TaskPlacement, ...], sign: int) -> None:
        self._state.book(job, placements, sign)
        self._booked.append((job, placements, sign))

    def undo(self) -> None:
        for node, row in self._rows.items():
            self._state.soon.set_row(node, row)  # type: ignore[arg-type]
        for job, placements, sign in self._booked:
            self._state.book(job, placements, -sign)


def try_out(
    state: State,
    claimant: Job,
    victims: Sequence[Job],
    line: Sequence[Job],
    anywhere: bool = False,
) -> Outcome | None:
    """What becomes of everybody, or None when the claimant would not run.

    anywhere: the claimant may run on other nodes than those of the victims.
    line: the pending sessions of the projects concerned; they take part in the order
    but are not placed (this is what prevents evicting and admitting again in a loop).
    """
    journal = _Journal(state)
    nodes: set[int] = set()
    for victim in victims:
        nodes |= numbers(state.soon, victim.session.placements)
    journal.remember(nodes)
    for victim in victims:
        state.release(state.soon, victim.session, victim.session.placements)
        journal.book(victim, victim.session.placements, -1)
    try:
        where = None if anywhere or claimant.session.tasks > 1 else sorted(nodes | state.freeing)
        return _place_again(state, journal, claimant, victims, line, where)
    finally:
        journal.undo()


def _place_again(
    state: State,
    journal: _Journal,
    claimant: Job,
    victims: Sequence[Job],
    line: Sequence[Job],
    where: list[int] | None,
) -> Outcome | None:
    todo = {v.id for v in victims} | {claimant.id}
    queue = JobQueue([*line, *victims, claimant])
    lost: list[Job] = []
    moved: list[tuple[Job, tuple[TaskPlacement, ...]]] = []
    found: tuple[TaskPlacement, ...] | None = None
    while todo and queue:
        job = queue.pop()
        if job.id not in todo:
            continue
        todo.discard(job.id)
        if job is claimant:
            placements = place(
                state.later, job, with_ending=False, nodes=where, seen=journal.remember
            )
            if placements is None:
                return None
            found = tuple(placements)
            journal.book(job, found, +1)
            continue
        broken = job.surplus_of in {other.id for other in lost}
        again = None if broken else _same_or_other_place(state, journal, job)
        if again is None:
            lost.append(job)
        elif again != job.session.placements:
            moved.append((job, again))
    if found is None:
        return None
    order = {v.id: i for i, v in enumerate(victims)}
    lost.sort(key=lambda j: order[j.id])
    return Outcome(claimant, found, tuple(lost), tuple(moved))


def _same_or_other_place(
    state: State, journal: _Journal, victim: Job
) -> tuple[TaskPlacement, ...] | None:
    session = victim.session
    if may_hold(victim.account, victim.amount, victim.fixed) and fits_exactly(
        state.soon, victim, session.placements
    ):
        state.occupy(state.soon, session, session.placements)
        placements = session.placements
    else:
        if victim.surplus_of is not None:
            return None
        found = place(state.later, victim, with_ending=False, seen=journal.remember)
        if found is None:
            return None
        placements = tuple(found)
        if numbers(state.soon, placements) & state.kept_nodes:
            state.release(state.soon, session, placements)
            return None
    journal.book(victim, placements, +1)
    return placements


def carry_out(state: State, outcome: Outcome, kind: Kind) -> list[Evict]:
    """Decide it: evict the lost and the moved, keep the places for claimant and moved."""
    claimant = outcome.claimant
    evictions = []
    for victim in (*outcome.lost, *(job for job, _ in outcome.moved)):
        placements = victim.session.placements
        state.release(state.soon, victim.session, placements)
        state.book(victim, placements, -1)
        state.freeing |= numbers(state.soon, placements)
        state.evicted.append(victim)
    for victim in outcome.lost:
        part = victim.session.placements if victim.surplus_of else ()
        name = victim.surplus_of or victim.id
        evictions.append(Evict(name, claimant.id, kind, _why(kind, claimant, None), part))
    for victim, placements in outcome.moved:
        evictions.append(Evict(victim.id, claimant.id, kind, _why(kind, claimant, placements)))
        state.occupy(state.soon, victim.session, placements)
        state.hold(victim, placements)
    state.occupy(state.soon, claimant.session, outcome.placements)
    state.hold(claimant, outcome.placements)
    return evictions


def _why(kind: Kind, claimant: Job, moved: tuple[TaskPlacement, ...] | None) -> Reason:
    project = claimant.account.name
    if kind == "reclaim":
        message = f"Project {project} takes back its share."
    else:
        message = f"A session of higher priority of project {project} needs its place."
    if moved is None:
        return Reason(f"{kind}ed", message, "It goes back to the queue and starts again in turn.")
    nodes = ", ".join(sorted({p.node for p in moved}))
    return Reason("moved", message, f"It starts again on {nodes}, where a place is kept for it.")

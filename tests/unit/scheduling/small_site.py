"""A small site for tests: short builders, and the world moved on by decisions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hub_ext.scheduling import schedule
from hub_ext.scheduling.model import (
    UNLIMITED,
    Decisions,
    Demand,
    Device,
    Node,
    Project,
    Resources,
    Session,
    Slice,
    Snapshot,
    TaskPlacement,
    Waiting,
)

NOW = 1_000_000.0


def node(name: str = "gpu-1", gpus: int = 2, **more: Any) -> Node:
    """A node of 64 cores and 256 GiB with devices of 16 GiB."""
    values: dict[str, Any] = {"cpu_milli": 64_000, "memory_mib": 262_144} | more
    return Node(name, tuple(Device(i, 16_384) for i in range(gpus)), **values)


def project(name: str, quota: int = UNLIMITED, limit: int = UNLIMITED, **more: Any) -> Project:
    """A project with a quota and a limit in milli-GPU; CPU and memory are unlimited."""
    return Project(
        name,
        quota=Resources(quota, UNLIMITED, UNLIMITED),
        limit=Resources(limit, UNLIMITED, UNLIMITED),
        **more,
    )


def session(
    name: str, gpu_milli: int = 1000, project: str = "ml101", cpu: int = 1000, **more: Any
) -> Session:
    """A pending preemptible session of one core and 1 GiB, submitted now."""
    demand = more.pop("demand", Demand(gpu_milli, cpu, 1024))
    values: dict[str, Any] = {"preemptible": True, "submitted_at": NOW} | more
    return Session(name, "someone", project, demand, **values)


def running(name: str, slices: Iterable[tuple[int, int]], where: str = "gpu-1", **more: Any) -> Any:
    """A running session with (device, milli) slices of one node."""
    pieces = tuple(Slice(device, milli) for device, milli in slices)
    return session(
        name,
        sum(p.milli for p in pieces),
        state="running",
        placements=(TaskPlacement(where, pieces),),
        **more,
    )


def snapshot(
    *sessions: Session,
    nodes: Iterable[Node] = (node(),),
    projects: Iterable[Project] = (project("ml101"),),
    **more: Any,
) -> Snapshot:
    """A snapshot at NOW."""
    values: dict[str, Any] = {"now": NOW} | more
    return Snapshot(
        nodes=tuple(nodes), projects=tuple(projects), sessions=tuple(sessions), **values
    )


def started(decisions: Decisions) -> set[str]:
    """Ids of the sessions that start."""
    return {start.session_id for start in decisions.starts}


def evicted(decisions: Decisions) -> set[str]:
    """Ids of the sessions that are stopped."""
    return {eviction.session_id for eviction in decisions.evictions}


def why(decisions: Decisions, name: str) -> Waiting:
    """How a waiting session stands."""
    return next(w for w in decisions.waiting if w.session_id == name)


def carry_out(state: Snapshot, decisions: Decisions, at_once: bool = False) -> Snapshot:
    """The world after a pass: starts run; the evicted are ending, or gone back at once."""
    starts = {s.session_id: s.placements for s in decisions.starts}
    victims = evicted(decisions)
    moved = []
    for one in state.sessions:
        if one.id in starts:
            one = replace(
                one,
                state="running",
                placements=starts[one.id],
                running_since=state.now,
                reserved=(),
            )
        elif one.id in victims:
            one = replace(one, ending=True)
        one = replace(one, reserved=decisions.reservations.get(one.id, ()))
        moved.append(requeued(one) if at_once and one.ending else one)
    return replace(state, sessions=tuple(moved))


def requeued(one: Session) -> Session:
    """An evicted session that has stopped and waits again."""
    return replace(one, state="pending", placements=(), ending=False, running_since=None)


def settle(state: Snapshot, policy: str = "fragmentation", passes: int = 50) -> Snapshot:
    """Pass after pass until nothing happens; fails when it never ends."""
    for _ in range(passes):
        decisions = schedule(state, policy)
        if not decisions.starts and not decisions.evictions:
            return state
        state = carry_out(state, decisions, at_once=True)
    raise AssertionError("the scheduler never comes to rest")

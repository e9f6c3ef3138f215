"""Rows in, the scheduler's view out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session, lazyload

from hub_ext.db.models import NodeRow, SessionRow, SliceRow
from hub_ext.gpu.enforcers.choice import read_device_uses
from hub_ext.nodes.groups import closed_groups, why_unavailable
from hub_ext.projects.held import held_reasons
from hub_ext.projects.shares import allowed, scheduler_projects
from hub_ext.projects.tree import read_projects
from hub_ext.projects.usage import UsageHistory
from hub_ext.scheduling import model
from hub_ext.sessions.notices import EVICTIONS
from hub_ext.sessions.start_time import start_time_reason
from hub_ext.sessions.status import LIVE, STOPPING, Status
from hub_ext.site import Policy, Site

_UNTRIED_DURATION_S = 2 * 3600.0
"""How long a session is expected to last while the site has no history."""


_COLUMNS = (
    SessionRow.id,
    SessionRow.user,
    SessionRow.project,
    SessionRow.status,
    SessionRow.order,
    SessionRow.gpu_milli,
    SessionRow.cpu_milli,
    SessionRow.memory_mib,
    SessionRow.node,
    SessionRow.priority,
    SessionRow.preemptible,
    SessionRow.submitted_at,
    SessionRow.scheduled_at,
    SessionRow.running_at,
    SessionRow.lifetime_s,
    SessionRow.image,
    SessionRow.notice_code,
    SessionRow.dismissed,
    SessionRow.not_before,
)
"""All that a snapshot reads of a session. Of thousands, whole objects take ten times as long."""


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """What a snapshot needs beside the database. ``images`` None: any image is anywhere."""

    policy: Policy
    images: frozenset[str] | None = None
    reservations: Mapping[str, tuple[model.TaskPlacement, ...]] = field(default_factory=dict)
    history: UsageHistory = field(default_factory=UsageHistory)
    mps_ready: frozenset[str] | None = None


def view_of(site: Site) -> SnapshotView:
    """The view of the running service."""
    images = frozenset(site.images)
    return SnapshotView(site.policy, images, site.reservations or {}, site.history, site.mps_ready)


def read_snapshot(
    db: Session, view: SnapshotView, candidates: Sequence[SessionRow] = ()
) -> model.Snapshot:
    """Nodes, devices, projects and live sessions as they are now.

    ``candidates``: PENDING rows that are not stored, to be looked at with the others.
    """
    now, policy, history = time.time(), view.policy, view.history
    query = select(*_COLUMNS).where(SessionRow.status.in_(LIVE)).order_by(SessionRow.order)
    rows = [*cast(Iterable[SessionRow], db.execute(query)), *candidates]
    pending = [row for row in rows if row.status == Status.PENDING]
    return model.Snapshot(
        now=now,
        nodes=_nodes(db, view, now),
        projects=scheduler_projects(db, policy, now, history),
        sessions=_sessions(db, view, rows, _held(db, view, pending, now)),
        fgpu_per_gpu=policy.unit.per_gpu,
        fgpu_quantum_milli=policy.unit.quantum_milli,
        request_types=_request_types(rows),
        time_aware_k=policy.time_aware_k,
    )


def _held(
    db: Session, view: SnapshotView, pending: Sequence[SessionRow], now: float
) -> dict[str, model.Reason]:
    """Why some may not start whatever the capacity is: a time of their own, or their project."""
    held = dict(held_reasons(db, view.policy, now, pending, view.history))
    for row in pending:
        reason = start_time_reason(row.not_before, now, view.policy.timezone)
        if reason is not None:
            held[row.id] = reason
    return held


def _sessions(
    db: Session, view: SnapshotView, rows: Sequence[SessionRow], held: Mapping[str, model.Reason]
) -> tuple[model.Session, ...]:
    typical_s = typical_duration_s(db)
    slices = _slices(db)
    projects = read_projects(db)
    names = {row.project for row in rows}
    groups = {name: allowed(projects, name, "resource_groups") for name in names}
    return tuple(
        _session(
            row,
            slices=tuple(slices.get(row.id, ())),
            expected_duration_s=typical_s,
            resource_groups=groups[row.project],
            held=held.get(row.id),
            reserved=tuple(view.reservations.get(row.id, ())),
        )
        for row in rows
    )


def _slices(db: Session) -> dict[str, list[model.Slice]]:
    """What each session holds."""
    query = select(SliceRow.session_id, SliceRow.device, SliceRow.milli)
    found: dict[str, list[model.Slice]] = {}
    for session_id, device, milli in db.execute(query.order_by(SliceRow.device)):
        found.setdefault(session_id, []).append(model.Slice(device, milli))
    return found


def _session(
    row: SessionRow,
    *,
    slices: tuple[model.Slice, ...],
    expected_duration_s: float,
    resource_groups: frozenset[str] | None,
    held: model.Reason | None,
    reserved: tuple[model.TaskPlacement, ...],
) -> model.Session:
    """One row as the scheduler sees it."""
    waits = row.status == Status.PENDING
    placement = model.TaskPlacement(row.node or "", slices)
    return model.Session(
        id=row.id,
        user=row.user,
        project=row.project,
        demand=model.Demand(row.gpu_milli, row.cpu_milli, row.memory_mib),
        state="pending" if waits else "running",
        placements=() if waits else (placement,),
        priority=row.priority,
        preemptible=row.preemptible,
        submitted_at=row.submitted_at,
        order=row.order,
        running_since=None if waits else row.running_at or row.scheduled_at,
        time_limit_s=row.lifetime_s,
        expected_duration_s=expected_duration_s,
        not_before=row.not_before,
        image=row.image,
        resource_groups=resource_groups,
        ending=row.status in STOPPING or row.notice_code in EVICTIONS,
        held=held,
        reserved=reserved,
    )


def _nodes(db: Session, view: SnapshotView, now: float) -> tuple[model.Node, ...]:
    closed = closed_groups(db, now, view.policy.timezone)
    devices = _devices(db, view)
    query = select(NodeRow).options(lazyload(NodeRow.devices)).order_by(NodeRow.name)
    return tuple(
        _node(row, tuple(devices.get(row.name, ())), view.images, closed)
        for row in db.scalars(query)
    )


def _node(
    row: NodeRow,
    devices: tuple[model.Device, ...],
    images: frozenset[str] | None,
    closed: Mapping[str, str],
) -> model.Node:
    problem = why_unavailable(row, closed)
    return model.Node(
        name=row.name,
        devices=devices,
        cpu_milli=row.cpu_milli,
        memory_mib=row.memory_mib,
        resource_group=row.resource_group,
        labels=row.labels,
        schedulable=not problem,
        problem=problem,
        images=images,
        gpu_problem=row.gpu_problem,
    )


def _devices(db: Session, view: SnapshotView) -> dict[str, list[model.Device]]:
    """The devices of each node."""
    found: dict[str, list[model.Device]] = {}
    for row, use in read_device_uses(db, view.policy, mps_ready=view.mps_ready).values():
        device = model.Device(
            row.device,
            row.memory_mib,
            healthy=not use.problem,
            problem=use.problem,
            capacity_milli=row.capacity_milli,
            serves=use.serves,
            parts_alone=use.parts_alone,
        )
        found.setdefault(row.node, []).append(device)
    return found


def typical_duration_s(db: Session) -> float:
    """Median running time of the last hundred sessions that ran."""
    ended = db.execute(
        select(SessionRow.running_at, SessionRow.ended_at)
        .where(SessionRow.ended_at.is_not(None), SessionRow.running_at.is_not(None))
        .order_by(SessionRow.order.desc())
        .limit(100)
    ).all()
    durations = [end - start for start, end in ended if start and end]
    return statistics.median(durations) if durations else _UNTRIED_DURATION_S


def _request_types(rows: Sequence[SessionRow]) -> tuple[tuple[model.Demand, float], ...]:
    """How popular each request is among the live sessions, for the placement policy."""
    counts: dict[model.Demand, int] = {}
    for row in rows:
        demand = model.Demand(row.gpu_milli, row.cpu_milli, row.memory_mib)
        counts[demand] = counts.get(demand, 0) + 1
    return tuple((demand, count / len(rows)) for demand, count in counts.items())

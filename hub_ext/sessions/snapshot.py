"""Rows in, the scheduler's view out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import DeviceRow, NodeRow, SessionRow
from hub_ext.scheduling import model
from hub_ext.sessions.status import LIVE, Status
from hub_ext.site import Site

DEFAULT_PROJECT = "default"
_UNTRIED_DURATION_S = 2 * 3600.0
"""How long a session is expected to last while the site has no history."""


def read_snapshot(site: Site, db: Session) -> model.Snapshot:
    """Nodes, devices and live sessions as they are now."""
    typical_s = typical_duration_s(db)
    rows = db.scalars(
        select(SessionRow).where(SessionRow.status.in_(LIVE)).order_by(SessionRow.order)
    ).all()
    return model.Snapshot(
        now=time.time(),
        nodes=tuple(_node(site, row) for row in db.scalars(select(NodeRow).order_by(NodeRow.name))),
        projects=(model.Project(DEFAULT_PROJECT),),
        sessions=tuple(_session(site, row, typical_s) for row in rows),
        fgpu_per_gpu=site.policy.unit.per_gpu,
        fgpu_quantum_milli=site.policy.unit.quantum_milli,
        request_types=_request_types(rows),
    )


def _session(site: Site, row: SessionRow, typical_s: float) -> model.Session:
    """One row as the scheduler sees it."""
    waits = row.status == Status.PENDING
    placement = model.TaskPlacement(
        row.node or "", tuple(model.Slice(part.device, part.milli) for part in row.slices)
    )
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
        expected_duration_s=typical_s,
        image=row.image,
        ending=row.status == Status.TERMINATING,
        reserved=tuple(site.reservations.get(row.id, ())),
    )


def _node(site: Site, row: NodeRow) -> model.Node:
    problem = "it is drained" if row.drained else row.problem
    return model.Node(
        name=row.name,
        devices=tuple(_device(device) for device in row.devices),
        cpu_milli=row.cpu_milli,
        memory_mib=row.memory_mib,
        resource_group=row.resource_group,
        schedulable=not problem,
        problem=problem,
        images=frozenset(site.images),
    )


def _device(row: DeviceRow) -> model.Device:
    return model.Device(row.device, row.memory_mib, healthy=not row.problem, problem=row.problem)


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

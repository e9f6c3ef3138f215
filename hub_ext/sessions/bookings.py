"""What must hold of sessions, slices and runs as the tables have them.

The scheduler's own rules (capacity, limits, quotas) are in ``scheduling/invariants.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, lazyload

from hub_ext.db.models import DeviceRow, NodeRow, RunRow, SessionRow, SliceRow
from hub_ext.fgpu import GPU_MILLI
from hub_ext.sessions.status import BOOKED


@dataclass(frozen=True, slots=True)
class _Tables:
    """``booked``: sessions by id; ``others``: status of those that hold something without it."""

    nodes: frozenset[str]
    devices: Mapping[tuple[str, int], str]
    """UUID by node and device."""
    booked: Mapping[str, SessionRow]
    others: Mapping[str, str]
    slices: Sequence[SliceRow]
    open_runs: Sequence[RunRow]


def violations(db: Session) -> list[str]:
    """One sentence for each booking that is not whole; [] when all is well."""
    tables = _read(db)
    return [
        *_sessions(tables),
        *_slices(tables),
        *_devices(tables),
        *_runs(tables),
    ]


def _read(db: Session) -> _Tables:
    query = select(SessionRow).where(SessionRow.status.in_(BOOKED))
    rows = db.scalars(query.options(lazyload(SessionRow.slices))).all()
    booked = {row.id: row for row in rows}
    slices = db.scalars(select(SliceRow).order_by(SliceRow.id)).all()
    runs = select(RunRow).where(RunRow.ended_at.is_(None)).order_by(RunRow.id)
    open_runs = db.scalars(runs).all()
    devices = db.execute(select(DeviceRow.node, DeviceRow.device, DeviceRow.uuid))
    holders = {part.session_id for part in slices} | {run.session_id for run in open_runs}
    others = db.execute(
        select(SessionRow.id, SessionRow.status).where(SessionRow.id.in_(holders - booked.keys()))
    )
    return _Tables(
        nodes=frozenset(db.scalars(select(NodeRow.name))),
        devices={(node, device): uuid for node, device, uuid in devices},
        booked=booked,
        others={row.id: row.status for row in others},
        slices=slices,
        open_runs=open_runs,
    )


def _sessions(tables: _Tables) -> Iterator[str]:
    """A booked session has a node that is there, and holds exactly what it asked for."""
    held: Counter[str] = Counter()
    for part in tables.slices:
        held[part.session_id] += part.milli
    for row in tables.booked.values():
        if row.node not in tables.nodes:
            where = f"the unknown node {row.node}" if row.node else "no node"
            yield f"Session {row.id} is {row.status} on {where}."
        if row.ended_at is not None:
            yield f"Session {row.id} is {row.status}, and yet has ended."
        if held[row.id] != row.gpu_milli:
            yield f"Session {row.id} holds {held[row.id]} milli-GPU, not {row.gpu_milli}."


def _slices(tables: _Tables) -> Iterator[str]:
    """A slice belongs to one booked session, and is on its node, of a device there."""
    for part in tables.slices:
        place = f"{part.milli} milli-GPU of device {part.device} of {part.node}"
        row = tables.booked.get(part.session_id)
        if row is None:
            yield f"{_holder(tables, part.session_id)} holds {place}."
            continue
        if part.node != row.node:
            yield f"Session {row.id} is on {row.node} and holds {place}."
        uuid = tables.devices.get((part.node, part.device))
        if uuid is None:
            yield f"Session {row.id} holds {place}, which is not there."
        elif uuid != part.uuid:
            yield f"Session {row.id} holds {place} as {part.uuid}; that device is {uuid}."


def _devices(tables: _Tables) -> Iterator[str]:
    """No device is booked more than once over."""
    booked: Counter[tuple[str, int]] = Counter()
    for part in tables.slices:
        booked[part.node, part.device] += part.milli
        if not 0 < part.milli <= GPU_MILLI:
            yield f"Session {part.session_id} holds a slice of {part.milli} milli-GPU."
    for (node, device), milli in sorted(booked.items()):
        if milli > GPU_MILLI:
            yield f"Device {device} of {node} is booked with {milli} of {GPU_MILLI} milli-GPU."


def _runs(tables: _Tables) -> Iterator[str]:
    """A booked session has one open run, its own; nobody else has one."""
    runs = Counter(run.session_id for run in tables.open_runs)
    for row in tables.booked.values():
        if runs[row.id] != 1:
            yield f"Session {row.id} is {row.status} with {runs[row.id]} open runs, not 1."
    for run in tables.open_runs:
        owner = tables.booked.get(run.session_id)
        if owner is None:
            yield f"{_holder(tables, run.session_id)} has the open run {run.id}."
        elif runs[owner.id] == 1 and owner.run_id != run.id:
            yield f"Session {owner.id} is in run {owner.run_id}, but run {run.id} is open."


def _holder(tables: _Tables, session_id: str) -> str:
    """A session that may hold nothing."""
    status = tables.others.get(session_id)
    if status is None:
        return f"The unknown session {session_id}"
    return f"Session {session_id}, which is {status},"

"""The devices of the nodes as rows: what is seen is written, and who is concerned is told.

A device that falls out, or comes back, is an event for the admin and an alert for the sessions
that hold a part of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from hub_ext.db.models import DeviceEventRow, DeviceRow, NodeRow, SessionRow, SliceRow
from hub_ext.gpu.devices import GpuDevice, GpuSource, MeasuredGpus
from hub_ext.gpu.foreign import OUTSIDE, foreign_problems
from hub_ext.metering.cgroups import Cgroups
from hub_ext.sessions.alerts import DEVICE, clear_alert_in, raise_alert_in
from hub_ext.sessions.changes import Change
from hub_ext.sessions.status import BOOKED
from hub_ext.site import Site

GONE = "The device is gone: it is no longer listed."
LOST, SICK, FOREIGN, RUNTIME, MPS, BACK = "lost", "sick", "foreign", "runtime", "mps", "back"
"""Codes of events."""

_KEPT_EVENTS = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NodeGpus:
    """What a node reports; ``codes``: of events, by UUID, for problems that NVML does not see."""

    devices: list[GpuDevice]
    driver: str = ""
    codes: Mapping[str, str] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    """UUIDs whose processes cannot be told now."""


async def read_devices(site: Site) -> dict[str, NodeGpus]:
    """By node, on a thread: a driver may take its time."""
    with site.database.transaction() as db:
        query = select(SessionRow.container_id).where(SessionRow.status.in_(BOOKED))
        containers = set(db.scalars(query)) - {None}
    cgroups = Cgroups() if site.policy.containers else None

    def ours(pid: int) -> bool:
        return cgroups is None or cgroups.container_of(pid) in containers

    def read() -> dict[str, NodeGpus]:
        mps = site.mps_problems
        return {name: _read(source, ours, mps) for name, source in site.nodes.items()}

    return await asyncio.to_thread(read)


def _read(source: GpuSource, ours: Callable[[int], bool], mps: Mapping[str, str]) -> NodeGpus:
    devices = source.devices()
    if not devices or not isinstance(source, MeasuredGpus):
        return NodeGpus(devices)
    running = source.processes(computing=False) or {}
    crowded = foreign_problems(devices, list(chain.from_iterable(running.values())), ours)
    codes = dict.fromkeys(mps, MPS) | dict.fromkeys(crowded, FOREIGN)
    others = {**mps, **crowded}
    known = [replace(each, problem=each.problem or others.get(each.uuid, "")) for each in devices]
    unread = frozenset(device.uuid for device in devices if device.uuid not in running)
    return NodeGpus(known, source.driver(), codes, unread)


def write_devices(db: Session, node: str, found: NodeGpus, gpu_problem: str) -> list[Change]:
    """Devices are known by UUID; one that has vanished stays listed, with its problem.

    A simulated one, or a MIG instance, stays only while it is booked; a GPU that is split now is
    its instances. A device keeps its number for good, whatever order NVML lists it in: bookings
    name it. Returns what the caller announces after its transaction.
    """
    known = db.scalars(select(DeviceRow).where(DeviceRow.node == node)).all()
    rows = {row.uuid: row for row in known}
    told: list[Change] = []
    taken = {row.device for row in known}
    for device in found.devices:
        row = rows.pop(device.uuid, None)
        if row is None:
            row = _new_row(db, node, device, taken)
        problem = device.problem
        if device.uuid in found.unread and row.problem.startswith(OUTSIDE):
            problem = problem or row.problem  # nobody can say that they have gone
        told += _set_problem(db, row, problem, found.codes.get(device.uuid, SICK))
        row.simulated = device.simulated
        row.mig_profile, row.parent_uuid = device.mig_profile, device.parent_uuid
        row.capacity_milli = device.capacity_milli
        if device.memory_mib or not row.memory_mib:  # a lost one cannot say it any more
            row.model, row.memory_mib = device.model, device.memory_mib
    split = {device.parent_uuid for device in found.devices}
    for row in rows.values():
        booked = db.scalar(select(exists().where(SliceRow.uuid == row.uuid)))
        told += _set_problem(db, row, GONE, LOST)
        if not booked and (row.simulated or row.mig_profile or row.uuid in split):
            db.delete(row)
    _write_node(db, node, found, gpu_problem)
    return told


def _new_row(db: Session, node: str, device: GpuDevice, taken: set[int]) -> DeviceRow:
    number = device.index
    while number in taken:
        number += 1
    taken.add(number)
    row = DeviceRow(node=node, device=number, uuid=device.uuid, model="", memory_mib=0, problem="")
    db.add(row)
    return row


def _set_problem(db: Session, row: DeviceRow, problem: str, code: str) -> list[Change]:
    """Note an event and tell the sessions, when it falls out or comes back."""
    before, row.problem = row.problem, problem
    if bool(before) == bool(problem) and (problem != GONE or before == GONE):
        return []  # a temperature that goes on rising is no news
    if row.simulated:
        return _tell(db, row)
    what = f"GPU {row.device}" + (f" (MIG {row.mig_profile})" if row.mig_profile else "")
    if problem:
        note_event(db, row.node, code, f"{what} takes no sessions: {problem}", row)
    else:
        note_event(db, row.node, BACK, f"{what} takes sessions again.", row)
    return _tell(db, row)


def _tell(db: Session, row: DeviceRow) -> list[Change]:
    """The sessions that hold a part of it."""
    query = select(SliceRow.session_id).where(
        SliceRow.node == row.node, SliceRow.device == row.device
    )
    told = []
    for session_id in db.scalars(query).all():
        if row.problem:
            message = f"This session's GPU is out of order; save your work. {row.problem}"
            session = raise_alert_in(db, session_id, DEVICE, message)
        else:
            session = clear_alert_in(db, session_id, DEVICE, "Its GPU works again.")
        if session is not None:
            told.append(Change(session.id, session.user, session.project))
    return told


def _write_node(db: Session, name: str, found: NodeGpus, gpu_problem: str) -> None:
    node = db.get(NodeRow, name)
    if node is None:
        return
    real = any(not device.simulated for device in found.devices)
    problem = gpu_problem if real else ""
    if problem and not node.gpu_problem:
        note_event(db, name, RUNTIME, f"Its GPUs take no sessions: {problem}")
    elif node.gpu_problem and not problem and real:
        note_event(db, name, BACK, "Its GPUs take sessions again.")
    node.gpu_problem = problem
    node.driver = found.driver or (node.driver if real else "")


def note_event(
    db: Session, node: str, code: str, message: str, device: DeviceRow | None = None
) -> None:
    """For the admin. The oldest go."""
    row = DeviceEventRow(at=time.time(), node=node, code=code, message=message)
    if device is not None:
        row.device, row.uuid = device.device, device.uuid
    db.add(row)
    db.flush()
    oldest = db.get(DeviceEventRow, row.id - _KEPT_EVENTS)
    if oldest is not None:
        db.delete(oldest)


def list_events(
    db: Session, node: str | None = None, *, limit: int = 50, before: int | None = None
) -> list[DeviceEventRow]:
    """The newest first; ``before``: the id to continue below."""
    query = select(DeviceEventRow).order_by(DeviceEventRow.id.desc())
    if node is not None:
        query = query.where(DeviceEventRow.node == node)
    if before is not None:
        query = query.where(DeviceEventRow.id < before)
    return list(db.scalars(query.limit(limit)))


class DeviceWatch:
    """Looks at the devices every ``device_check_s``: a sick one must not wait for the minute."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def run(self) -> None:
        """For ever; at once only where there are devices that can fall sick."""
        while True:
            await asyncio.sleep(self._site.policy.device_check_s)
            if any(isinstance(source, MeasuredGpus) for source in self._site.nodes.values()):
                try:
                    await self.look()
                except Exception:
                    log.exception("Looking at the devices failed; it is tried again.")

    async def look(self) -> None:
        """Read and write once."""
        before = _states(self._site)
        found = await read_devices(self._site)
        told: list[Change] = []
        with self._site.database.transaction() as db:
            for name, gpus in found.items():
                node = db.get(NodeRow, name)
                if node is not None:
                    told += write_devices(db, name, gpus, node.gpu_problem)
        if _states(self._site) != before:
            self._site.changes.announce_nodes()
        for change in told:
            self._site.changes.announce(change)


def _states(site: Site) -> Mapping[str, tuple[object, ...]]:
    columns = (DeviceRow.problem, DeviceRow.memory_mib, DeviceRow.capacity_milli)
    with site.database.transaction() as db:
        return {row[0]: tuple(row[1:]) for row in db.execute(select(DeviceRow.uuid, *columns))}

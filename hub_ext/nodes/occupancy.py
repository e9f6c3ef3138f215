"""Who holds what of which node: the nodes and devices as pages and metrics show them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, lazyload

from hub_ext.db.models import DeviceRow, NodeRow, SessionRow, SliceRow
from hub_ext.fgpu import GPU_MILLI
from hub_ext.nodes.groups import why_unavailable
from hub_ext.sessions.status import BOOKED, Status

IDLE_AFTER_S = 15 * 60.0
"""A session without activity for so long holds its GPU in vain."""

ActiveAt = Callable[[str, str], float | None]
"""When (Unix s) a user's server was last active; None: nobody knows."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A session that holds something; ``idle_s`` since its last activity, None: not known."""

    session_id: str
    name: str
    user: str
    project: str
    status: str
    node: str
    gpu_milli: int
    cpu_milli: int
    memory_mib: int
    idle_s: float | None

    @property
    def idle(self) -> bool:
        """It runs, and nobody has done anything in it for long."""
        return self.idle_s is not None and self.idle_s >= IDLE_AFTER_S


@dataclass(frozen=True, slots=True)
class Part:
    """A slice of a device, in milli-GPU and MiB of its memory."""

    holder: Holder
    milli: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """A device and its slices. ``busy``: what it computes now, 0 to 1; None: not measured.

    capacity_milli: what it holds in all; mig_profile: "" of a whole GPU. A MIG instance that
    somebody holds a part of is his as a whole.
    """

    number: int
    uuid: str
    model: str
    memory_mib: int
    simulated: bool
    problem: str
    parts: Sequence[Part]
    busy: float | None
    capacity_milli: int = GPU_MILLI
    mig_profile: str = ""

    @property
    def booked_milli(self) -> int:
        """Held by sessions."""
        if self.mig_profile and self.parts:
            return self.capacity_milli
        return sum(part.milli for part in self.parts)

    @property
    def idle_milli(self) -> int:
        """Held by sessions in which nothing happens."""
        return sum(part.milli for part in self.parts if part.holder.idle)

    @property
    def free_milli(self) -> int:
        """Not held; 0 of a device that is out of order."""
        return 0 if self.problem else max(0, self.capacity_milli - self.booked_milli)


@dataclass(frozen=True, slots=True)
class NodeUse:
    """A node; ``reason``: why it takes no sessions now, "" when it does."""

    name: str
    group: str
    drained: bool
    problem: str
    reason: str
    cpu_milli: int
    memory_mib: int
    seen_at: float
    holders: Sequence[Holder]
    devices: Sequence[DeviceUse]

    @property
    def cpu_milli_booked(self) -> int:
        """Held by sessions."""
        return sum(holder.cpu_milli for holder in self.holders)

    @property
    def memory_mib_booked(self) -> int:
        """Held by sessions."""
        return sum(holder.memory_mib for holder in self.holders)

    @property
    def free_milli(self) -> int:
        """milli-GPU that a session could get here now."""
        return 0 if self.reason else sum(device.free_milli for device in self.devices)


@dataclass(frozen=True, slots=True)
class Fleet:
    """All nodes by name. Sums are milli-GPU."""

    nodes: Sequence[NodeUse]

    @property
    def devices(self) -> list[DeviceUse]:
        """Of all nodes."""
        return [device for node in self.nodes for device in node.devices]

    @property
    def there_milli(self) -> int:
        """All devices, those out of order too."""
        return sum(device.capacity_milli for device in self.devices)

    @property
    def out_milli(self) -> int:
        """Devices that are out of order, or on nodes that take no sessions now."""
        return sum(
            device.capacity_milli
            for node in self.nodes
            for device in node.devices
            if node.reason or device.problem
        )

    @property
    def booked_milli(self) -> int:
        """Held by sessions."""
        return sum(device.booked_milli for device in self.devices)

    @property
    def idle_milli(self) -> int:
        """Held by sessions in which nothing happens."""
        return sum(device.idle_milli for device in self.devices)

    @property
    def free_milli(self) -> int:
        """What sessions could get now."""
        return sum(node.free_milli for node in self.nodes)

    @property
    def idle_holders(self) -> list[Holder]:
        """Sessions with a GPU in which nothing happens."""
        holders = (holder for node in self.nodes for holder in node.holders)
        return [holder for holder in holders if holder.idle and holder.gpu_milli]


def read_fleet(
    db: Session,
    closed: Mapping[str, str],
    now: float,
    active_at: ActiveAt,
    busy: Mapping[str, float] | None = None,
) -> Fleet:
    """Everything, as of now. ``closed``: of ``closed_groups``; ``busy``: by UUID of a device."""
    holders = _holders(db, now, active_at)
    parts = _parts(db, holders)
    of_node = defaultdict(list)
    for holder in holders.values():
        of_node[holder.node].append(holder)
    devices = _devices(db, parts, busy or {})
    query = select(NodeRow).options(lazyload(NodeRow.devices)).order_by(NodeRow.name)
    return Fleet(
        [
            NodeUse(
                name=row.name,
                group=row.resource_group,
                drained=row.drained,
                problem=row.problem,
                reason=why_unavailable(row, closed),
                cpu_milli=row.cpu_milli,
                memory_mib=row.memory_mib,
                seen_at=row.seen_at,
                holders=of_node.get(row.name, []),
                devices=devices.get(row.name, []),
            )
            for row in db.scalars(query)
        ]
    )


_HELD: tuple[Any, ...] = (
    SessionRow.id,
    SessionRow.name,
    SessionRow.user,
    SessionRow.project,
    SessionRow.status,
    SessionRow.node,
    SessionRow.gpu_milli,
    SessionRow.cpu_milli,
    SessionRow.memory_mib,
    SessionRow.server_name,
    SessionRow.running_at,
)
"""All that is read of a session: of thousands, whole rows take ten times as long."""


def _holders(db: Session, now: float, active_at: ActiveAt) -> dict[str, Holder]:
    query = select(*_HELD).where(SessionRow.status.in_(BOOKED)).order_by(SessionRow.order)
    found = {}
    for row in db.execute(query):
        key, name, user, project, status, node, gpu, cpu, memory, server_name, running_at = row
        idle_s = None
        if status == Status.RUNNING and running_at is not None:
            idle_s = _idle_s(active_at(user, server_name), running_at, now)
        found[key] = Holder(key, name, user, project, status, node, gpu, cpu, memory, idle_s)
    return found


def _idle_s(active_at: float | None, running_at: float, now: float) -> float | None:
    """What the hub knows may be from before this start: a start is activity."""
    return None if active_at is None else max(0.0, now - max(active_at, running_at))


def _parts(db: Session, holders: Mapping[str, Holder]) -> dict[tuple[str, int], list[Any]]:
    query = select(
        *(SliceRow.node, SliceRow.device, SliceRow.session_id),
        *(SliceRow.milli, SliceRow.memory_mib),
    )
    found = defaultdict(list)
    for node, device, session_id, milli, mib in db.execute(query.order_by(SliceRow.id)):
        if session_id in holders:
            found[node, device].append((holders[session_id], milli, mib))
    return found


def _devices(
    db: Session, parts: Mapping[tuple[str, int], list[Any]], busy: Mapping[str, float]
) -> dict[str, list[DeviceUse]]:
    query = select(
        DeviceRow.node,
        DeviceRow.device,
        DeviceRow.uuid,
        DeviceRow.model,
        DeviceRow.memory_mib,
        DeviceRow.simulated,
        DeviceRow.problem,
        DeviceRow.capacity_milli,
        DeviceRow.mig_profile,
        NodeRow.gpu_problem,
    ).join(NodeRow, NodeRow.name == DeviceRow.node)
    found = defaultdict(list)
    for row in db.execute(query.order_by(DeviceRow.node, DeviceRow.device)):
        node, number, uuid, model, memory_mib, simulated, problem, capacity, profile, why = row
        held = [
            Part(holder, milli, mib or milli * memory_mib // GPU_MILLI)
            for holder, milli, mib in parts.get((node, number), ())
        ]
        problem = problem or ("" if simulated else why)
        use = DeviceUse(
            *(number, uuid, model, memory_mib, simulated, problem, held, busy.get(uuid)),
            capacity_milli=capacity,
            mig_profile=profile,
        )
        found[node].append(use)
    return found

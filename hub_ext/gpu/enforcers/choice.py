"""Which enforcer holds on a device, and what the device gives then."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import DeviceRow, NodeRow, ResourceGroupRow, SliceRow
from hub_ext.errors import Conflict
from hub_ext.gpu.enforcers import ENFORCERS
from hub_ext.gpu.enforcers.enforcer import Serves
from hub_ext.site import Policy


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """``enforcer``: its name, "" of a simulated device; ``problem``: why it gives nothing."""

    enforcer: str
    serves: Serves
    problem: str = ""
    parts_alone: bool = False


def enforcer_of(of_node: str | None, of_group: str | None, default: str) -> str:
    """The node's own, else its resource group's, else the site's."""
    return of_node or of_group or default


def device_use(row: DeviceRow, chosen: str, *, hami_library: bool = True) -> DeviceUse:
    """A MIG instance serves only as such, whatever is chosen for its node; and where MIG is
    chosen, a GPU that is not split serves nobody. hami_library: the site has given it."""
    if row.simulated:
        return DeviceUse("", "parts")
    if row.mig_profile:
        return DeviceUse("mig", "instance")
    if chosen == "mig":
        return DeviceUse("mig", "instance", "It has no MIG instances; make some with nvidia-smi.")
    if chosen == "hami" and not hami_library:
        return DeviceUse(chosen, "parts", "HAMi's library is missing: set hami_library.")
    enforcer = ENFORCERS[chosen]
    return DeviceUse(chosen, enforcer.serves, parts_alone=enforcer.parts_alone)


def check_no_other_enforcer(db: Session, nodes: Collection[NodeRow], default: str) -> None:
    """A device never mixes enforcers: raise Conflict while sessions hold slices of ``nodes``
    under another one than theirs now."""
    for node in nodes:
        group = db.get(ResourceGroupRow, node.resource_group)
        chosen = enforcer_of(node.enforcer, group.enforcer if group else None, default)
        query = select(func.count(SliceRow.session_id.distinct())).where(
            SliceRow.node == node.name, SliceRow.enforcer.not_in({"", "mig", chosen})
        )
        held = db.scalar(query) or 0
        if held:
            raise Conflict(
                f"Node {node.name} has sessions under another enforcer ({held}), and a device never"
                " mixes two. Drain the node, and change this when they have ended.",
                field="enforcer",
            )


def read_device_uses(
    db: Session,
    policy: Policy,
    nodes: Collection[str] | None = None,
    mps_ready: Collection[str] | None = None,
) -> dict[tuple[str, int], tuple[DeviceRow, DeviceUse]]:
    """Devices by node and number, with what they give now; ``nodes`` None: of all nodes.

    ``mps_ready``: UUIDs of those whose MPS daemon serves; None: that is not asked.
    """
    query = (
        select(DeviceRow, NodeRow.gpu_problem, NodeRow.enforcer, ResourceGroupRow.enforcer)
        .join(NodeRow, NodeRow.name == DeviceRow.node)
        .outerjoin(ResourceGroupRow, ResourceGroupRow.name == NodeRow.resource_group)
        .order_by(DeviceRow.node, DeviceRow.device)
    )
    if nodes is not None:
        query = query.where(DeviceRow.node.in_(nodes))
    library = policy.hami_library is not None and policy.hami_library.is_file()
    others = _enforcers_in_force(db)
    found = {}
    for row, gpu_problem, of_node, of_group in db.execute(query):
        chosen = enforcer_of(of_node, of_group, policy.default_enforcer)
        use = device_use(row, chosen, hami_library=library)
        problem = row.problem or use.problem or ("" if row.simulated else gpu_problem)
        if not problem and others.get((row.node, row.device), set()) - {use.enforcer}:
            problem = "It is held under another enforcer; it is free when those sessions end."
        elif not problem and use.enforcer == "mps" and mps_ready is not None:
            problem = "" if row.uuid in mps_ready else "Its MPS daemon does not serve yet."
        found[row.node, row.device] = (row, replace(use, problem=problem))
    return found


def _enforcers_in_force(db: Session) -> Mapping[tuple[str, int], set[str]]:
    """By node and device, what the sessions there are held by. The site's choice may be another
    after a restart of the service."""
    query = select(SliceRow.node, SliceRow.device, SliceRow.enforcer).distinct()
    found: dict[tuple[str, int], set[str]] = {}
    for node, device, enforcer in db.execute(query.where(SliceRow.enforcer != "")):
        found.setdefault((node, device), set()).add(enforcer)
    return found

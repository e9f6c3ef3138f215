"""``/api/v1/nodes`` and ``resource-groups``: what there is, and an admin's changes to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from tornado import web

from hub_ext.db.models import DeviceEventRow, DeviceRow, NodeRow, ResourceGroupRow
from hub_ext.fgpu import FgpuUnit
from hub_ext.gpu.enforcers import ENFORCERS
from hub_ext.gpu.enforcers.choice import DeviceUse, read_device_uses
from hub_ext.nodes.administration import NodeChange, change_node, existing_node
from hub_ext.nodes.bookings import Booked, booked_of
from hub_ext.nodes.device_rows import list_events
from hub_ext.nodes.groups import (
    GroupChange,
    NewGroup,
    add_group,
    change_group,
    closed_groups,
    delete_group,
    existing_group,
    group_version,
    list_groups,
    why_unavailable,
)
from hub_ext.web.api.administration import AdminApiHandler
from hub_ext.web.sentences import sentence
from hub_ext.web.translation import gettext, ngettext


class NodeApiHandler(AdminApiHandler):
    """Nodes as JSON."""

    for_admins = "Only an admin manages nodes and resource groups."

    def closed(self, db: Session) -> dict[str, str]:
        """Resource groups that take no sessions at this hour."""
        return closed_groups(db, time.time(), self.site.policy.timezone)

    def nodes_json(self, db: Session) -> list[dict[str, Any]]:
        """All nodes by name, with what is booked on each."""
        nodes = db.scalars(select(NodeRow).order_by(NodeRow.name)).all()
        booked, closed, unit = booked_of(db), self.closed(db), self.site.policy.unit
        uses = read_device_uses(db, self.site.policy, mps_ready=self.site.mps_ready)
        return [_node_json(node, booked[node.name], closed, unit, uses) for node in nodes]

    def node_json(self, db: Session, name: str) -> dict[str, Any]:
        """One of them. Raises NotFound."""
        node = existing_node(db, name)
        booked = booked_of(db, name)[name]
        uses = read_device_uses(db, self.site.policy, [name], self.site.mps_ready)
        return _node_json(node, booked, self.closed(db), self.site.policy.unit, uses)


class NodesHandler(NodeApiHandler):
    """Nodes and their devices, with what is booked on each."""

    def get(self) -> None:
        """For admins; others learn what they can launch from the dry run."""
        if not self.caller.admin:
            raise web.HTTPError(403, "Only an admin sees the nodes.")
        with self.site.database.transaction() as db:
            nodes = self.nodes_json(db)
        self.reply({"nodes": nodes})


class NodeHandler(NodeApiHandler):
    """One node."""

    def patch(self, name: str) -> None:
        """Drain or resume it, move it to another group, set its labels and enforcer.

        The answer is the node; its ``message`` says what becomes of the sessions there.
        """
        change = self.read(NodeChange)
        with self.site.database.transaction() as db:
            default = self.site.policy.default_enforcer
            node = change_node(db, name, change, self.caller.name, default)
            booked, closed = booked_of(db, name)[name], self.closed(db)
            answer = self.node_json(db, name)
        self.parts.queue.wake()
        self.reply(answer | {"message": _message(node, booked.sessions, closed)})


class NodeEventsHandler(NodeApiHandler):
    """What has happened to the GPUs of a node."""

    def get(self, name: str) -> None:
        """The newest first; ``before``: the id to continue below. Raises NotFound."""
        self.require_admin()
        limit = self.whole_number("limit", 50, 1, 200)
        before = self.whole_number("before", 0, 0, 2**40) or None
        with self.site.database.transaction() as db:
            existing_node(db, name)
            rows = list_events(db, name, limit=limit + 1, before=before)
            events = [event_json(row) for row in rows[:limit]]
        more = events[-1]["id"] if len(rows) > limit else None
        self.reply({"events": events, "next": more})


class EnforcersHandler(NodeApiHandler):
    """What can keep sessions inside their slices."""

    def get(self) -> None:
        """In the order in which they are offered, each with what it isolates."""
        self.require_admin()
        self.reply({"enforcers": enforcers_json(), "default": self.site.policy.default_enforcer})


class GroupApiHandler(NodeApiHandler):
    """Resource groups as JSON."""

    def groups_json(self) -> list[dict[str, Any]]:
        """All of them by name."""
        with self.site.database.transaction() as db:
            closed = self.closed(db)
            return [_group_json(db, group, closed) for group in list_groups(db)]

    def group_json(self, name: str) -> dict[str, Any]:
        """One of them. Raises NotFound."""
        with self.site.database.transaction() as db:
            return _group_json(db, existing_group(db, name), self.closed(db))


class ResourceGroupsHandler(GroupApiHandler):
    """Named sets of nodes."""

    def get(self) -> None:
        """By name."""
        self.require_admin()
        self.reply({"resource_groups": self.groups_json()})

    def post(self) -> None:
        """A new one; 409 when it exists."""
        new = self.read(NewGroup)
        with self.site.database.transaction() as db:
            group = add_group(db, new, self.caller.name)
            answer = _group_json(db, group, self.closed(db))
        self.reply(answer, 201)


class ResourceGroupHandler(GroupApiHandler):
    """One of them."""

    def patch(self, name: str) -> None:
        """Title, hours, enforcer."""
        change = self.read(GroupChange)
        with self.site.database.transaction() as db:
            default = self.site.policy.default_enforcer
            group = change_group(db, name, change, self.caller.name, default)
            answer = _group_json(db, group, self.closed(db))
        self.parts.queue.wake()
        self.reply(answer)

    def delete(self, name: str) -> None:
        """The answer is what it was; 409 while nodes are in it or projects name it."""
        self.require_admin()
        with self.site.database.transaction() as db:
            group = delete_group(db, name, self.caller.name)
            answer = _group_json(db, group, self.closed(db))
        self.reply(answer)


def enforcers_json() -> list[dict[str, Any]]:
    """Each with what it isolates, in the language of the page."""
    return [
        {
            "name": each.name,
            "title": each.title,
            "memory": sentence(each.memory),
            "compute": sentence(each.compute),
            "serves": each.serves,
        }
        for each in ENFORCERS.values()
    ]


def event_json(row: DeviceEventRow) -> dict[str, Any]:
    """One event; ``device`` None: it is about all GPUs of the node."""
    return {
        "id": row.id,
        "at": row.at,
        "node": row.node,
        "device": row.device,
        "uuid": row.uuid or None,
        "code": row.code,
        "message": row.message,
    }


def _message(node: NodeRow, running: int, closed: Mapping[str, str]) -> str:
    """For whoever has just changed it."""
    reason = why_unavailable(node, closed)
    words = {"node": node.name, "number": running, "reason": sentence(reason)}
    if node.drained:
        text = ngettext(
            "No new session starts on %(node)s; %(number)s session holds a booking there and"
            " may go on.",
            "No new session starts on %(node)s; %(number)s sessions hold a booking there and"
            " may go on.",
            running,
        )
    elif reason:
        text = gettext("Sessions do not start on %(node)s now: %(reason)s.")
    else:
        text = ngettext(
            "Sessions may start on %(node)s; %(number)s session holds a booking there.",
            "Sessions may start on %(node)s; %(number)s sessions hold a booking there.",
            running,
        )
    return text % words


def _group_json(db: Session, group: ResourceGroupRow, closed: Mapping[str, str]) -> dict[str, Any]:
    query = select(NodeRow.name).where(NodeRow.resource_group == group.name).order_by(NodeRow.name)
    return {
        "name": group.name,
        "title": group.title,
        "hours": group.hours,
        "enforcer": group.enforcer,
        "open": group.name not in closed,
        "nodes": [*db.scalars(query)],
        "version": group_version(group),
    }


def _node_json(
    node: NodeRow,
    booked: Booked,
    closed: Mapping[str, str],
    unit: FgpuUnit,
    uses: Mapping[tuple[str, int], tuple[DeviceRow, DeviceUse]],
) -> dict[str, Any]:
    reason = why_unavailable(node, closed)
    return {
        "name": node.name,
        "resource_group": node.resource_group,
        "labels": node.labels,
        "drained": node.drained,
        "schedulable": not reason,
        "reason": reason,
        "problem": node.problem,
        "gpu_problem": node.gpu_problem,
        "driver": node.driver,
        "enforcer": node.enforcer,
        "sessions": booked.sessions,
        "cpu_milli": node.cpu_milli,
        "cpu_milli_booked": booked.cpu_milli,
        "memory_mib": node.memory_mib,
        "memory_mib_booked": booked.memory_mib,
        "seen_at": node.seen_at,
        "devices": [
            _device_json(device, booked.gpu_milli.get(device.device, 0), unit, use)
            for device, use in (uses[node.name, each.device] for each in node.devices)
        ],
    }


def _device_json(
    device: DeviceRow, milli_booked: int, unit: FgpuUnit, use: DeviceUse
) -> dict[str, Any]:
    free = 0 if use.problem else max(0, device.capacity_milli - milli_booked)
    if use.serves == "instance" and milli_booked:
        free = 0  # whoever holds a part of it holds it all
    return {
        "device": device.device,
        "uuid": device.uuid,
        "model": device.model,
        "memory_mib": device.memory_mib,
        "simulated": device.simulated,
        "problem": use.problem,
        "capacity_milli": device.capacity_milli,
        "mig_profile": device.mig_profile or None,
        "enforcer": use.enforcer or None,
        "milli_booked": milli_booked,
        "fgpu_booked": unit.fgpu(milli_booked),
        "fgpu_free": unit.fgpu(free),
    }

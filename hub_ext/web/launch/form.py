"""The launch form: one template for the hub's spawn page and the service's own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import DeviceRow, NodeRow, SessionRow
from hub_ext.folders.access import Person
from hub_ext.nodes.presets import list_presets
from hub_ext.scheduling.model import GPU
from hub_ext.sessions.launch import MAX_COUNT, MAX_PRIORITY
from hub_ext.site import Site
from hub_ext.web.launch.folders import launch_folders
from hub_ext.web.launch.images import launch_families
from hub_ext.web.launch.projects import launch_projects
from hub_ext.web.templating import templates


def render_launch_form(
    site: Site,
    user: str,
    server_name: str,
    groups: Collection[str] = frozenset(),
    admin: bool = False,
) -> str:
    """Form fields for this user; their last request is filled in.

    ``groups`` and ``admin`` as the hub has them: they decide about projects.
    """
    with site.database.transaction() as db:
        context = _context(site, db, user, server_name)
        context["families"] = launch_families(db, site, user, groups)
        context["folders"] = launch_folders(db, site, Person(user, groups, admin), context["last"])
        context["projects"] = launch_projects(db, site, user, frozenset(groups), admin)
    return templates.get_template("launch_form.html").render(context)


def _context(site: Site, db: Session, user: str, server_name: str) -> dict[str, Any]:
    unit = site.policy.unit
    devices = db.scalars(select(DeviceRow)).all()
    nodes = db.scalars(select(NodeRow)).all()
    last = db.scalar(
        select(SessionRow).where(SessionRow.user == user).order_by(SessionRow.order.desc()).limit(1)
    )
    memories = {device.memory_mib for device in devices}
    per_node = max((len(node.devices) for node in nodes), default=0)
    return {
        "presets": [
            {
                "name": preset.name,
                "title": preset.title,
                "description": preset.description,
                "fgpu": unit.fgpu(preset.gpu_milli),
                "cpu": preset.cpu_milli / 1000,
                "memory_mib": preset.memory_mib,
            }
            for preset in list_presets(db)
            if preset.gpu_milli <= per_node * GPU
        ],
        "limits": {
            "fgpu_max": unit.fgpu(per_node * GPU),
            "fgpu_step": unit.quantum_milli / 1000,
            "fgpu_per_gpu": unit.per_gpu,
            "gpu_memory_mib_per_fgpu": (
                memories.pop() // unit.per_gpu if len(memories) == 1 else None
            ),
            "cpu_max": max((node.cpu_milli for node in nodes), default=0) / 1000,
            "memory_mib_max": max((node.memory_mib for node in nodes), default=0),
            "count_max": MAX_COUNT,
            "priority_min": -MAX_PRIORITY,
        },
        "warning_s": site.policy.reclaim_warning_s,
        "last": last.options if last is not None else {},
        "simulated": any(device.simulated for device in devices),
        "user": user,
        "server_name": server_name,
    }

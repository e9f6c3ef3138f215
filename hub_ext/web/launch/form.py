"""The launch form: one template for the hub's spawn page and the service's own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import DeviceRow, NodeRow, SessionRow
from hub_ext.folders.access import Person
from hub_ext.nodes.presets import list_presets
from hub_ext.scheduling.model import GPU
from hub_ext.sessions.launch import MAX_COUNT, MAX_PRIORITY
from hub_ext.sessions.start_time import zone_name
from hub_ext.site import Site
from hub_ext.web.launch.fields import OWN_NUMBERS
from hub_ext.web.launch.filled import Filled, filled_from_options
from hub_ext.web.launch.folders import launch_folders
from hub_ext.web.launch.images import launch_families
from hub_ext.web.launch.projects import launch_projects
from hub_ext.web.templating import BASE_URL, ROOT, templates


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why what was sent did not become a session. ``field``: the form's; "": none of them."""

    message: str
    field: str = ""


def render_launch_form(
    site: Site,
    user: str,
    server_name: str,
    groups: Collection[str] = frozenset(),
    admin: bool = False,
    *,
    filled: Filled | None = None,
    refusal: Refusal | None = None,
) -> str:
    """Form fields for the hub's spawn page; without ``filled`` the last request is in them.

    ``groups`` and ``admin`` as the hub has them: they decide about projects.
    """
    person = Person(user, frozenset(groups), admin)
    with site.database.transaction() as db:
        context = launch_context(db, site, person, filled=filled, refusal=refusal)
    context["server_name"] = server_name
    context["dry_run_url"] = f"{BASE_URL}hub/apportion/dry-run/"  # the script adds whose server
    return templates.get_template("launch_form.html").render(context)


def launch_context(
    db: Session,
    site: Site,
    person: Person,
    *,
    filled: Filled | None = None,
    refusal: Refusal | None = None,
) -> dict[str, Any]:
    """What the template of the form's fields needs, as the service's own page has it."""
    groups, admin = frozenset(person.groups), person.admin
    filled = filled or _last_request(db, person.name)
    families = launch_families(db, site, person.name, groups)
    projects = launch_projects(db, site, person.name, groups, admin)
    limits = _limits(db, site)
    presets = _presets(db, site, limits["devices"] * GPU)
    known = {image["reference"] for family in families for image in family["images"]}
    by_name = filled.image_by_name or ("" if filled.image in known else filled.image)
    caps = [project["max_lifetime_h"] for project in projects]
    return {
        "families": families,
        "folders": launch_folders(db, site, person, filled.folders),
        "projects": [_chosen_project(project, filled) for project in projects],
        "presets": presets,
        "preset": _chosen_preset(presets, filled),
        "limits": limits
        | {
            "lifetime_h_max": None if None in caps else max(caps, default=None),
            "priority_max": max((project["max_priority"] for project in projects), default=0),
        },
        "filled": filled,
        "image_by_name": by_name,
        "refusal": refusal,
        "warning_s": site.policy.reclaim_warning_s,
        "zone": filled.not_before_zone or zone_name(site.policy.timezone),
        "simulated": db.scalar(select(DeviceRow.uuid).where(DeviceRow.simulated).limit(1)),
        "user_name": person.name,
        "server_name": "",
        "dry_run_url": f"{ROOT}launch/forecast",
    }


def _last_request(db: Session, user: str) -> Filled:
    query = select(SessionRow.options).where(SessionRow.user == user)
    options = db.scalar(query.order_by(SessionRow.order.desc()).limit(1))
    return filled_from_options(options or {})


def _chosen_project(project: dict[str, Any], filled: Filled) -> dict[str, Any]:
    """The one that the form names, else what a launch without a word would take."""
    if not filled.project:
        return project
    return project | {"chosen": project["name"] == filled.project}


def _chosen_preset(presets: list[dict[str, Any]], filled: Filled) -> str:
    names = [preset["name"] for preset in presets]
    if filled.preset == OWN_NUMBERS or not names:
        return OWN_NUMBERS
    return filled.preset if filled.preset in names else names[0]


def _presets(db: Session, site: Site, largest: int) -> list[dict[str, Any]]:
    """Those that some node could hold; ``largest``: milli-GPU on one."""
    unit = site.policy.unit
    return [
        {
            "name": preset.name,
            "title": preset.title,
            "description": preset.description,
            "fgpu": unit.fgpu(preset.gpu_milli),
            "cpu": preset.cpu_milli / 1000,
            "memory_mib": preset.memory_mib,
        }
        for preset in list_presets(db)
        if preset.gpu_milli <= largest
    ]


def _limits(db: Session, site: Site) -> dict[str, Any]:
    """What the largest node has, and what a unit of GPU means."""
    unit = site.policy.unit
    cpu, memory = db.execute(
        select(func.max(NodeRow.cpu_milli), func.max(NodeRow.memory_mib))
    ).one()
    devices = db.execute(
        select(func.count(), func.sum(DeviceRow.capacity_milli)).group_by(DeviceRow.node)
    ).all()
    most = max((count for count, _ in devices), default=0)
    most_milli = max((milli for _, milli in devices), default=0)
    memories = set(db.scalars(select(DeviceRow.memory_mib).distinct()))
    return {
        "devices": most,
        "fgpu_max": unit.fgpu(most_milli),
        "fgpu_step": unit.quantum_milli / 1000,
        "fgpu_per_gpu": unit.per_gpu,
        "gpu_memory_mib_per_fgpu": memories.pop() // unit.per_gpu if len(memories) == 1 else None,
        "cpu_max": (cpu or 0) / 1000,
        "memory_mib_max": memory or 0,
        "count_max": MAX_COUNT,
        "priority_min": -MAX_PRIORITY,
    }

"""The projects of the launch form: which, how full, and what one may ask for there."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import DeviceRow, MemberRow, ProjectRow
from hub_ext.errors import Forbidden
from hub_ext.projects.admission import launch_project
from hub_ext.projects.holdings import holdings
from hub_ext.projects.limits import limits_of
from hub_ext.projects.membership import roles_of
from hub_ext.projects.permissions import Action, may
from hub_ext.projects.shares import quota_now
from hub_ext.projects.tree import read_projects
from hub_ext.scheduling.model import UNLIMITED
from hub_ext.sessions.launch import MAX_PRIORITY
from hub_ext.site import Site
from hub_ext.web.formats import number
from hub_ext.web.translation import gettext as _


def launch_projects(
    db: Session, site: Site, user: str, groups: frozenset[str], admin: bool
) -> list[dict[str, Any]]:
    """Where this user may launch, the oldest first; ``chosen`` is what a launch would take.

    max_lifetime_h: hours, None without a cap; max_priority: the highest this user may give.
    """
    rows = read_projects(db)
    roles = roles_of(db, site.policy, user, groups, admin)
    members = {
        member.project: member
        for member in db.scalars(select(MemberRow).where(MemberRow.user == user))
    }
    held = holdings(db, rows)
    chosen = _chosen(db, site, user, groups, admin)
    has_gpus = db.scalar(select(DeviceRow.uuid).limit(1)) is not None
    found = []
    for name, row in rows.items():
        role = roles.get(name)
        if not may(role, Action.LAUNCH):
            continue
        limits = limits_of(row, members.get(name))
        cap_s = limits.max_lifetime_s
        found.append(
            {
                "name": name,
                "title": row.title or name,
                "text": _text(site, row, held[name].gpu_milli) if has_gpus else _name(row),
                "chosen": name == chosen,
                "max_priority": (
                    MAX_PRIORITY if may(role, Action.PRIORITISE) else limits.max_priority
                ),
                "max_lifetime_h": None if cap_s is None else cap_s / 3600,
            }
        )
    return found


def _chosen(db: Session, site: Site, user: str, groups: frozenset[str], admin: bool) -> str | None:
    try:
        return launch_project(db, site, user, groups, admin, None)[0].name
    except Forbidden:
        return None


def _name(row: ProjectRow) -> str:
    return f"{row.title} ({row.name})" if row.title else row.name


def _text(site: Site, row: ProjectRow, gpu_milli: int) -> str:
    """ "Machine Learning (ml101): 3 of 8 fGPU in use"."""
    unit = site.policy.unit
    quota = quota_now(row, time.time(), site.policy.timezone).gpu_milli
    told = {"project": _name(row), "used": number(unit.fgpu(gpu_milli))}
    if quota == UNLIMITED:
        return _("%(project)s: %(used)s fGPU in use") % told
    return _("%(project)s: %(used)s of %(quota)s fGPU in use") % (
        told | {"quota": number(unit.fgpu(quota))}
    )

"""Whether a session may be asked for at all, and in which project.

Refused at once is what waiting cannot cure, in one sentence with the numbers. A project that
is closed at this hour, a quota that others use now, a term that begins later: these wait.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import MemberRow, PresetRow, ProjectRow, SessionRow
from hub_ext.errors import BadValue, Forbidden, OverLimit
from hub_ext.projects.held import budget_spent
from hub_ext.projects.limits import MemberLimits, limits_of
from hub_ext.projects.membership import Role, roles_of
from hub_ext.projects.permissions import Action, may
from hub_ext.projects.shares import (
    Allowance,
    allowed,
    greatest_quota,
    limit_of,
    term_is_over,
    term_sentence,
)
from hub_ext.projects.tree import Rows, lineage, read_projects
from hub_ext.projects.usage import gpu_hours
from hub_ext.scheduling.amounts import cores, exact_duration, fgpu
from hub_ext.scheduling.model import UNLIMITED, Demand, Resources
from hub_ext.sessions.launch import MAX_PRIORITY
from hub_ext.sessions.status import Status

if TYPE_CHECKING:  # the site holds the store of projects
    from hub_ext.site import Site

_FIELDS = {"gpu_milli": "fgpu", "cpu_milli": "cpu", "memory_mib": "memory_mib"}
"""Resources, and as a launch request names them."""
_MOST_LISTED = 5
"""Names in a sentence that lists what is allowed."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as it came out: who, in which project (None: to be chosen), for what.

    groups, admin: as the hub has them. ``count`` sessions of this demand each; 0: a change
    to one that is in the queue already.
    """

    user: str
    groups: frozenset[str]
    admin: bool
    project: str | None
    image: str
    preset: str | None
    kind: str
    demand: Demand
    preemptible: bool
    priority: int
    count: int
    lifetime_s: int | None


@dataclass(frozen=True, slots=True)
class Admission:
    """``lifetime_s``: what was asked, else the longest allowed (None: no end).

    ``resource_groups`` None: every group of nodes.
    """

    project: str
    lifetime_s: int | None
    resource_groups: frozenset[str] | None


def admit(db: Session, site: Site, ask: Ask) -> Admission:
    """The project and what it adds to the request.

    Raises BadValue, Forbidden or OverLimit with the field at fault.
    """
    now = time.time()
    projects = read_projects(db)
    row, role = launch_project(db, site, ask.user, ask.groups, ask.admin, ask.project)
    above = lineage(projects, row.name)
    _check_lasts(site, above, now)
    _check_allowed(db, site, above, ask)
    groups = allowed(projects, row.name, "resource_groups")
    if groups is not None and not groups:
        raise Forbidden(
            f"Project {row.name} may use no resource group that is open to those above it.",
            field="project",
        )
    _check_limits(site, above, ask.demand)
    if not ask.preemptible:
        check_quotas(site, above, ask.demand)
    limits = limits_of(row, db.get(MemberRow, (row.name, ask.user)))
    _check_member(db, site, row.name, limits, ask)
    check_priority(row.name, role, limits, ask.priority)
    _check_budgets(db, site, above, ask.demand, now)
    lifetime_s = limits.max_lifetime_s if ask.lifetime_s is None else ask.lifetime_s
    return Admission(row.name, lifetime_s, groups)


def launch_project(
    db: Session, site: Site, user: str, groups: frozenset[str], admin: bool, wanted: str | None
) -> tuple[ProjectRow, Role]:
    """The project of a launch, and the user's role in it.

    The wanted one; else the one used last that may still be used; else the first that the
    user is in; else the first that is open to all. Raises BadValue, Forbidden.
    """
    projects = read_projects(db)
    roles = roles_of(db, site.policy, user, groups, admin)
    if wanted is not None:
        if may(roles.get(wanted), Action.LAUNCH):
            return projects[wanted], roles[wanted]
        raise _no_such_project(db, projects, user, admin, wanted)
    candidates = _candidates(projects, roles, time.time())
    if not candidates:
        raise Forbidden("You are in no project; ask an instructor to add you.", field="project")
    name = _last_used(db, user, candidates)
    if name is None:
        own = roles_of(db, site.policy, user, groups, False) if admin else roles
        listed = set(db.scalars(select(MemberRow.project).where(MemberRow.user == user)))
        name = min(candidates, key=lambda name: _distance(projects[name], own.get(name), listed))
    return projects[name], roles[name]


def check_priority(project: str, role: Role | None, limits: MemberLimits, priority: int) -> None:
    """Raises BadValue for what is no priority, OverLimit for more than this role may give."""
    if abs(priority) > MAX_PRIORITY:
        raise BadValue(
            f"A priority is from -{MAX_PRIORITY} to {MAX_PRIORITY}, not {priority}.",
            field="priority",
        )
    if priority > limits.max_priority and not may(role, Action.PRIORITISE):
        raise OverLimit(
            f"Asks for priority {priority}; in project {project} a session of yours may have"
            f" at most {limits.max_priority}.",
            field="priority",
        )


def _no_such_project(
    db: Session, projects: Rows, user: str, admin: bool, wanted: str
) -> BadValue | Forbidden:
    """The same for all who are not in it; those who are learn that it is archived."""
    row = projects.get(wanted)
    archived = row is not None and row.archived_at is not None
    if archived and (admin or db.get(MemberRow, (wanted, user)) is not None):
        return Forbidden(f"Project {wanted} is archived.", field="project")
    return BadValue(f"There is no project '{wanted}' that you may use.", field="project")


def _candidates(projects: Rows, roles: Mapping[str, Role], now: float) -> list[str]:
    """Where the user may launch; those whose term is over only if there is nothing else."""
    mine = [name for name in projects if may(roles.get(name), Action.LAUNCH)]
    lasting = [
        name for name in mine if not any(term_is_over(row, now) for row in lineage(projects, name))
    ]
    return lasting or mine


def _last_used(db: Session, user: str, candidates: Collection[str]) -> str | None:
    return db.scalar(
        select(SessionRow.project)
        .where(SessionRow.user == user, SessionRow.project.in_(candidates))
        .order_by(SessionRow.submitted_at.desc(), SessionRow.order.desc())
        .limit(1)
    )


def _distance(row: ProjectRow, role: Role | None, listed: Collection[str]) -> tuple[int, int]:
    """Own projects first, then those open to all, then (an admin's) others; oldest first."""
    if role is None:
        return (2, row.created_order)
    is_in = not row.open_to_all or row.name in listed or role is Role.INSTRUCTOR
    return (0 if is_in else 1, row.created_order)


def _check_lasts(site: Site, above: Sequence[ProjectRow], now: float) -> None:
    """A term that is over does not begin again, here or in a project above."""
    for row in above:
        if row.archived_at is not None:
            raise Forbidden(f"Project {row.name} is archived.", field="project")
        if term_is_over(row, now):
            raise Forbidden(term_sentence(row, site.policy.timezone), field="project")


def _check_allowed(db: Session, site: Site, above: Sequence[ProjectRow], ask: Ask) -> None:
    """Kind, image and preset, by the lists of the project and those above it."""
    chosen: tuple[tuple[Allowance, str, str | None], ...] = (
        ("kinds", "kind", ask.kind),
        ("images", "image", ask.image),
        ("presets", "preset", ask.preset),
    )
    for what, field, value in chosen:
        for row in above:
            names = getattr(row, what)
            if names is None or value in names:
                continue
            asks = f"does not allow the {field} {value}" if value else f"wants a {field}"
            raise Forbidden(f"Project {row.name} {asks}; choose {_one_of(names)}.", field=field)
    if any(row.presets is not None for row in above) and ask.preset is not None:
        _check_preset(db, site, ask.preset, ask.demand)


def _check_preset(db: Session, site: Site, name: str, demand: Demand) -> None:
    """Where presets are given, numbers of one's own do not go beyond them."""
    preset = db.get(PresetRow, name)
    if preset is None:
        raise BadValue(f"There is no preset '{name}'.", field="preset")
    for key, field in _FIELDS.items():
        asked, there = _amount(demand, key), getattr(preset, key)
        if asked > there:
            raise Forbidden(
                f"Asks for {_say(site, key, asked)}; the preset {name} has"
                f" {_say(site, key, there)}, and the project allows no more than its presets.",
                field=field,
            )


def _check_limits(site: Site, above: Sequence[ProjectRow], demand: Demand) -> None:
    for row in above:
        if (key := _beyond(demand, limit_of(row))) is not None:
            raise OverLimit(
                f"Asks for {_say(site, key, _amount(demand, key))}; project {row.name} may never"
                f" hold more than its limit of {_say(site, key, getattr(limit_of(row), key))}.",
                field=_FIELDS[key],
            )


def check_quotas(site: Site, above: Sequence[ProjectRow], demand: Demand) -> None:
    """A session that may not be reclaimed lives within the quota of every level.

    ``above``: its project and those above it. Raises OverLimit.
    """
    for row in above:
        quota = greatest_quota(row)
        if (key := _beyond(demand, quota)) is not None:
            raise OverLimit(
                f"Project {row.name} has a quota of {_say(site, key, getattr(quota, key))}:"
                f" {_say(site, key, _amount(demand, key))} can only be had over quota, so the"
                " session must say that it may be reclaimed.",
                field="preemptible",
            )


def _check_member(db: Session, site: Site, project: str, limits: MemberLimits, ask: Ask) -> None:
    """What one member may have: size, number, time."""
    if limits.max_sessions == 0:
        raise OverLimit(
            f"Project {project} lets you run 0 sessions at once; its instructor can change that.",
            field="project",
        )
    asked = _amount(ask.demand, "gpu_milli")
    if limits.max_gpu_milli is not None and asked > limits.max_gpu_milli:
        raise OverLimit(
            f"Asks for {_say(site, 'gpu_milli', asked)}; in project {project} a session of yours"
            f" may have at most {_say(site, 'gpu_milli', limits.max_gpu_milli)}.",
            field="fgpu",
        )
    if limits.max_lifetime_s is not None and (ask.lifetime_s or 0) > limits.max_lifetime_s:
        wanted = exact_duration(ask.lifetime_s or 0)
        raise OverLimit(
            f"Asks to run for {wanted}; in project {project} a session of yours may run for at most"
            f" {exact_duration(limits.max_lifetime_s)}.",
            field="lifetime_s",
        )
    if limits.max_pending is not None and ask.count:
        _check_pending(db, project, limits.max_pending, ask)


def _check_pending(db: Session, project: str, most: int, ask: Ask) -> None:
    query = select(func.count()).where(
        SessionRow.user == ask.user,
        SessionRow.project == project,
        SessionRow.status == Status.PENDING,
    )
    waiting = db.scalar(query) or 0
    if waiting + ask.count > most:
        raise OverLimit(
            f"{waiting} of your sessions wait{'s' * (waiting == 1)} in project {project} already;"
            f" with {ask.count} more that is above the limit of {most}.",
            field="count",
        )


def _check_budgets(
    db: Session, site: Site, above: Sequence[ProjectRow], demand: Demand, now: float
) -> None:
    """A budget of GPU-hours does not fill up again; a session without a GPU needs none."""
    if not _amount(demand, "gpu_milli"):
        return
    used = gpu_hours(db, [row.name for row in above if row.budget_gpu_h is not None], now)
    for row in above:
        sentence = budget_spent(row, used.get(row.name, 0.0), site.policy.unit.per_gpu)
        if sentence:
            raise OverLimit(
                f"{sentence}; ask for a larger one, or launch without a GPU.", field="project"
            )


def _beyond(demand: Demand, most: Resources) -> str | None:
    """The first resource of which more is asked."""
    for key in _FIELDS:
        bound = getattr(most, key)
        if bound != UNLIMITED and _amount(demand, key) > bound:
            return key
    return None


def _amount(demand: Demand, key: str) -> int:
    """What the session asks for in all."""
    if key == "gpu_milli":
        return demand.gpu_milli * demand.devices
    return int(getattr(demand, key))


def _say(site: Site, key: str, amount: int) -> str:
    if key == "gpu_milli":
        return f"{fgpu(amount, site.policy.unit.per_gpu)} fGPU"
    return f"{cores(amount)} CPU cores" if key == "cpu_milli" else f"{amount} MiB of memory"


def _one_of(names: Sequence[str]) -> str:
    """ "a, b or c"; of a long list the beginning."""
    first = list(names[:_MOST_LISTED])
    if len(names) > _MOST_LISTED:
        return f"{', '.join(first)} or another of its {len(names)}"
    return f"{', '.join(first[:-1])} or {first[-1]}" if first[1:] else "".join(first)

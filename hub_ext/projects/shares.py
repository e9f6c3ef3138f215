"""Projects as the scheduler sees them: quota of the hour, limit, weights, hours, past use."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import ProjectRow, SessionRow
from hub_ext.hours import closed, in_force, opening
from hub_ext.projects.tree import Rows, lineage, read_projects
from hub_ext.projects.usage import UsageHistory
from hub_ext.scheduling.model import UNLIMITED, Project, Resources, Weights
from hub_ext.sessions.status import LIVE

if TYPE_CHECKING:  # the site holds the store of projects
    from hub_ext.site import Policy

_RESOURCES = ("gpu_milli", "cpu_milli", "memory_mib")
_LAST_DATE = 253402300799.0 - 2 * 86400
"""Two days before the end of the year 9999: a date in every time zone."""

Allowance = Literal["images", "presets", "kinds", "resource_groups"]


def scheduler_projects(
    db: Session, policy: Policy, now: float, history: UsageHistory | None = None
) -> tuple[Project, ...]:
    """Every project that the scheduler may meet, the oldest first.

    Also those that are archived, or unknown, as long as a live session names them or a
    project below them is there: they are closed. ``history``: given by who asks often.
    """
    rows = read_projects(db)
    live = set(db.scalars(select(SessionRow.project).where(SessionRow.status.in_(LIVE)).distinct()))
    usage: Mapping[str, float] = {}
    if policy.time_aware_k > 0:
        history = history or UsageHistory()
        usage = history.shares(db, rows, now, policy.usage_half_life_s)
    shown = _shown(rows, live)
    known = [
        _project(rows, row, usage.get(name, 0.0), policy.timezone, now)
        for name, row in rows.items()
        if name in shown
    ]
    return (*known, *(_unknown(name) for name in sorted(live - rows.keys())))


def allowed(rows: Rows, name: str, what: Allowance) -> frozenset[str] | None:
    """What sessions of a project may use, by its list and those above it; None: everything."""
    narrow: frozenset[str] | None = None
    for row in lineage(rows, name):
        names = getattr(row, what)
        if names is not None:
            narrow = frozenset(names) if narrow is None else narrow & frozenset(names)
    return narrow


def closed_sentence(row: ProjectRow, now: float, tz: tzinfo) -> str:
    """Why nothing may start in this project now, whatever is above it; "" if it may."""
    if row.archived_at is not None:
        return f"Project {row.name} is archived."
    if row.valid_from is not None and now < row.valid_from:
        return f"The term of project {row.name} starts on {_date(row.valid_from, tz)}."
    if term_is_over(row, now):
        return term_sentence(row, tz)
    shut = closed(row.hours, now, tz)
    if shut is None:
        return ""
    sentence = f"Project {row.name} is open {shut.when}"
    if shut.opens_at is not None:
        sentence += f"; it opens again on {opening(shut.opens_at, tz)}"
    return sentence + "."


def term_is_over(row: ProjectRow, now: float) -> bool:
    """Whether nothing will ever start in it again."""
    return row.valid_until is not None and now >= row.valid_until


def term_sentence(row: ProjectRow, tz: tzinfo) -> str:
    """Of a term that is over."""
    return f"The term of project {row.name} ended on {last_day(row, tz)}."


def last_day(row: ProjectRow, tz: tzinfo) -> str:
    """Of a term that ends: "2026-09-30". One that ends at midnight ends on the day before."""
    assert row.valid_until is not None
    return _date(row.valid_until - 1, tz)[:10]


def quota_now(row: ProjectRow, now: float, tz: tzinfo) -> Resources:
    """The quota of this hour, never above the limit."""
    window = in_force(row.quota_hours, now, tz) or {}
    return _within_limit(row, {key: window.get(key, _own_quota(row, key)) for key in _RESOURCES})


def greatest_quota(row: ProjectRow) -> Resources:
    """The most that the quota comes to at any hour, by resource; never above the limit."""
    greatest = {}
    for key in _RESOURCES:
        amounts = {_own_quota(row, key), *(w[key] for w in row.quota_hours or () if key in w)}
        greatest[key] = UNLIMITED if UNLIMITED in amounts else max(amounts)
    return _within_limit(row, greatest)


def limit_of(row: ProjectRow) -> Resources:
    """The limit as the scheduler takes it."""
    return Resources(row.limit_gpu_milli, row.limit_cpu_milli, row.limit_memory_mib)


def _own_quota(row: ProjectRow, key: str) -> int:
    return int(getattr(row, f"quota_{key}"))


def _within_limit(row: ProjectRow, quota: Mapping[str, int]) -> Resources:
    limit = limit_of(row)
    within = {}
    for key, amount in quota.items():
        most = getattr(limit, key)
        within[key] = amount if UNLIMITED in (amount, most) else min(amount, most)
    return Resources(**within)


def _shown(rows: Rows, live: Collection[str]) -> set[str]:
    """Projects in use, and everything above them: its limits hold for them."""
    in_use = [n for n, row in rows.items() if row.archived_at is None or n in live]
    return {row.name for name in in_use for row in lineage(rows, name)}


def _project(rows: Rows, row: ProjectRow, usage: float, tz: tzinfo, now: float) -> Project:
    circle = lineage(rows, row.name)[-1].parent == row.name
    return Project(
        name=row.name,
        parent=None if circle else row.parent,
        quota=quota_now(row, now, tz),
        limit=limit_of(row),
        over_quota_weight=Weights(row.weight_gpu, row.weight_cpu, row.weight_memory),
        priority=row.priority,
        created_order=row.created_order,
        reclaim_min_runtime_s=row.reclaim_min_runtime_s,
        preempt_min_runtime_s=row.preempt_min_runtime_s,
        usage=usage,
        closed=f"Project {row.name} is below itself." if circle else closed_sentence(row, now, tz),
    )


def _unknown(name: str) -> Project:
    """A project that a session names and nobody knows: what runs in it is over quota."""
    return Project(
        name, quota=Resources(), over_quota_weight=0.0, closed=f"There is no project {name} now."
    )


def _date(at: float, tz: tzinfo) -> str:
    """ "2026-09-30", with the time if it is not midnight: "2026-09-30 at 08:00"."""
    local = datetime.fromtimestamp(min(at, _LAST_DATE), tz)
    return local.strftime(
        "%Y-%m-%d" if (local.hour, local.minute) == (0, 0) else "%Y-%m-%d at %H:%M"
    )

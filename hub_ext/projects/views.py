"""Projects, members and audit entries as JSON. fGPU, cores, MiB; null: unlimited, everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub_ext.db.models import AuditRow, MemberRow, ProjectRow
from hub_ext.fgpu import FgpuUnit
from hub_ext.projects.bounds import bounds_of
from hub_ext.projects.holdings import Holding
from hub_ext.projects.limits import MemberLimits, limits_of
from hub_ext.projects.membership import Role
from hub_ext.projects.permissions import Action, may
from hub_ext.projects.roster import Outcome, Removal
from hub_ext.projects.settings import QUOTA_KEYS
from hub_ext.scheduling.model import UNLIMITED, Resources

_AS_STORED = (
    "name",
    "title",
    "description",
    "parent",
    "priority",
    "reclaim_min_runtime_s",
    "preempt_min_runtime_s",
    "open_to_all",
    "valid_from",
    "valid_until",
    "hours",
    "stops_at_close",
    "images",
    "presets",
    "resource_groups",
    "kinds",
    "materials_folder_id",
    "version",
)


def project_json(
    row: ProjectRow,
    unit: FgpuUnit,
    *,
    role: Role | None,
    held: Holding,
    fair_share: Resources | None,
) -> dict[str, Any]:
    """One project; ``role`` is the caller's. ``use`` counts all projects below it too.

    ``bounds``, for those who set what they bound: up to where an instructor may go.
    """
    return {
        **{name: getattr(row, name) for name in _AS_STORED},
        "archived": row.archived_at is not None,
        "role": role,
        "quota": _quota_or_limit(row, "quota", unit),
        "limit": _quota_or_limit(row, "limit", unit),
        "weight": {
            "fgpu": row.weight_gpu,
            "cpu": row.weight_cpu,
            "memory_mib": row.weight_memory,
        },
        "quota_hours": _quota_hours(row.quota_hours, unit),
        "budget_fgpu_h": (
            None if row.budget_gpu_h is None else round(row.budget_gpu_h * unit.per_gpu, 6)
        ),
        "member_limits": limits_json(limits_of(row, None), unit),
        "use": _amounts(held, unit),
        "fair_share": None if fair_share is None else _amounts(fair_share, unit),
        "running": held.running,
        "pending": held.pending,
        **({"bounds": _admins_bounds(row, unit)} if may(role, Action.RESTRICT) else {}),
    }


def member_json(row: MemberRow, unit: FgpuUnit) -> dict[str, Any]:
    """One member; ``limits`` are only those that differ from the project's."""
    own = limits_json(MemberLimits.model_validate(row.limits), unit)
    given = {"max_fgpu" if name == "max_gpu_milli" else name for name in row.limits}
    return {
        "user": row.user,
        "role": row.role,
        "limits": {name: value for name, value in own.items() if name in given},
        "added_at": row.added_at,
        "added_by": row.added_by,
    }


def limits_json(limits: MemberLimits, unit: FgpuUnit) -> dict[str, Any]:
    """The limits of a member; null: none."""
    values = limits.model_dump()
    milli = values.pop("max_gpu_milli")
    return {"max_fgpu": None if milli is None else unit.fgpu(milli), **values}


def removal_sentences(removal: Removal) -> list[str]:
    """What becomes of somebody who is taken off the list, and of his sessions."""
    user, project = removal.row.user, removal.row.project
    if removal.stays_as is not None:
        return [
            f"{user} may still use project {project}, as {removal.stays_as}: it is open to all,"
            f" or {user} teaches a project above it. Sessions go on and start as before."
        ]
    found = []
    if removal.running:
        runs = "1 session runs" if removal.running == 1 else f"{removal.running} sessions run"
        found.append(
            f"{runs} on for {user} in project {project}; what is reclaimed does not start again."
        )
    if removal.waiting:
        waits = "1 session waits" if removal.waiting == 1 else f"{removal.waiting} sessions wait"
        found.append(
            f"{waits} for {user} in project {project} and will not start unless {user} is added"
            " again."
        )
    return found


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """What becomes of a line of a list of members."""
    return {
        "line": outcome.line.number,
        "user": outcome.line.user,
        "role": outcome.line.role.value,
        "result": outcome.result,
        "problem": outcome.line.problem,
    }


def audit_json(row: AuditRow) -> dict[str, Any]:
    """One entry. ``before`` and ``after`` are in the units of the tables."""
    columns = ("id", "at", "by", "action", "subject", "project", "before", "after")
    return {column: getattr(row, column) for column in columns}


def _amount(key: str, value: int, unit: FgpuUnit) -> float | int | None:
    if value == UNLIMITED:
        return None
    if key == "gpu_milli":
        return unit.fgpu(value)
    return value / 1000 if key == "cpu_milli" else value


def _amounts(held: Holding | Resources, unit: FgpuUnit) -> dict[str, Any]:
    return {rest: _amount(key, getattr(held, key), unit) for rest, key in QUOTA_KEYS.items()}


def _quota_or_limit(row: ProjectRow, kind: str, unit: FgpuUnit) -> dict[str, Any]:
    return {
        rest: _amount(key, getattr(row, f"{kind}_{key}"), unit) for rest, key in QUOTA_KEYS.items()
    }


def _admins_bounds(row: ProjectRow, unit: FgpuUnit) -> dict[str, Any]:
    most = bounds_of(row)
    limits = MemberLimits.model_validate(most["member_limits"])
    return {**most, "member_limits": limits_json(limits, unit)}


def _quota_hours(
    windows: list[dict[str, Any]] | None, unit: FgpuUnit
) -> list[dict[str, Any]] | None:
    if windows is None:
        return None
    return [_window(window, unit) for window in windows]


def _window(window: Mapping[str, Any], unit: FgpuUnit) -> dict[str, Any]:
    when = {key: window[key] for key in ("days", "from", "until")}
    quota = {
        rest: _amount(key, window[key], unit) for rest, key in QUOTA_KEYS.items() if key in window
    }
    return {**when, **quota}

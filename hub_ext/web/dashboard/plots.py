"""Use and waiting times as plots (see templates/plots.html for the shape)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

from hub_ext.db.models import ProjectRow
from hub_ext.fgpu import FgpuUnit
from hub_ext.projects.periods import Period
from hub_ext.projects.shares import quota_now
from hub_ext.projects.tree import Rows, below
from hub_ext.projects.use_over_time import Use
from hub_ext.scheduling.model import UNLIMITED
from hub_ext.sessions.waiting_times import Waits
from hub_ext.web.dashboard.wording import COLOURS
from hub_ext.web.translation import gettext as _

SHOWN = 10
"""Projects of a plot; the others are one."""

_Values = Sequence[float | None]


def colours(rows: Rows) -> dict[str, int]:
    """A colour for each project; they stay while projects come."""
    return {name: place % COLOURS for place, name in enumerate(rows)}


def use_plot(
    use: Use, rows: Rows, unit: FgpuUnit, tz: tzinfo, *, project: str, capacity: float
) -> dict[str, Any]:
    """fGPU held over time, stacked by project: all of them, or one (``project``) with those below.

    ``capacity``: fGPU of all devices there are now.
    """
    family = None if not project else {project, *below(rows, project)}
    names = [name for name in use.projects if family is None or name in family]
    shown = sorted(names, key=lambda name: (-use.total(name), name))[:SHOWN]
    rest = [name for name in names if name not in shown]
    known = {name: place for place, name in enumerate(rows)}
    shown.sort(key=lambda name: known.get(name, len(known)))
    series = [_series(name, _fgpu(use.mean(name), unit)) for name in shown]
    for each, colour in zip(series, _distinct(shown, colours(rows)), strict=True):
        each["colour"] = colour
    if rest:
        label = _("%(count)s others") % {"count": len(rest)}
        others = _sum([_fgpu(use.mean(name), unit) for name in rest])
        series.append(_series(label, others) | {"colour": COLOURS})
    lines = (
        _project_lines(use.period, rows[project], unit, tz)
        if project
        else _site_lines(use.period, rows, unit, tz, capacity)
    )
    return {
        "times": use.period.times,
        "unit": "fGPU",
        "kind": "area",
        "stacked": True,
        "series": [*series, *lines],
    }


def waiting_plot(period: Period, waits: Sequence[Waits]) -> dict[str, Any]:
    """Median and 95th of each step."""
    longest = max((step.p95_s or 0.0 for step in waits), default=0.0)
    divisor, unit = _time_unit(longest)

    def scaled(seconds: float | None) -> float | None:
        return None if seconds is None else round(seconds / divisor, 2)

    median = _series(_("Median"), [scaled(step.median_s) for step in waits])
    slow = _series(_("95 of 100 wait less"), [scaled(step.p95_s) for step in waits])
    return {
        "times": period.times,
        "unit": unit,
        "kind": "line",
        "stacked": False,
        "series": [median | {"colour": 0}, slow | {"colour": 5}],
    }


def _time_unit(longest_s: float) -> tuple[float, str]:
    if longest_s < 120:
        return 1.0, _("s")
    return (60.0, _("min")) if longest_s < 2 * 3600 else (3600.0, _("h"))


def _series(label: str, values: _Values, *, line: bool = False) -> dict[str, Any]:
    return {"label": label, "values": [*values], "line": line}


def _fgpu(gpus: _Values, unit: FgpuUnit) -> list[float | None]:
    return [None if value is None else round(value * unit.per_gpu, 3) for value in gpus]


def _sum(values: Sequence[_Values]) -> list[float | None]:
    return [
        None if None in step else round(sum(value or 0.0 for value in step), 3)
        for step in zip(*values, strict=True)
    ]


def _distinct(names: Sequence[str], wanted: Mapping[str, int]) -> list[int]:
    """Its own colour for each, as long as nobody before it has that; else one that is free."""
    chosen: list[int] = []
    for name in names:
        colour = wanted.get(name, 0)
        if colour in chosen:
            colour = next((free for free in range(COLOURS) if free not in chosen), colour)
        chosen.append(colour)
    return chosen


def _site_lines(
    period: Period, rows: Rows, unit: FgpuUnit, tz: tzinfo, capacity: float
) -> list[dict[str, Any]]:
    """All GPUs there are, and what the topmost projects have been promised of them."""
    found = [_series(_("All GPUs"), [capacity] * period.steps, line=True)]
    tops = [row for row in rows.values() if row.parent is None and row.archived_at is None]
    quotas = [quota for row in tops if (quota := _quota(period, row, unit, tz)) is not None]
    if quotas:
        found.append(_series(_("All quotas"), _sum(quotas), line=True))
    return _coloured(found)


def _project_lines(
    period: Period, row: ProjectRow, unit: FgpuUnit, tz: tzinfo
) -> list[dict[str, Any]]:
    """Its quota and its limit, as they are set now."""
    found = []
    quota = _quota(period, row, unit, tz)
    if quota is not None:
        found.append(_series(_("Quota"), quota, line=True))
    if row.limit_gpu_milli != UNLIMITED:
        limit = unit.fgpu(row.limit_gpu_milli)
        found.append(_series(_("Limit"), [limit] * period.steps, line=True))
    return _coloured(found)


def _coloured(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line | {"colour": colour} for line, colour in zip(lines, (5, 1), strict=False)]


def _quota(
    period: Period, row: ProjectRow, unit: FgpuUnit, tz: tzinfo
) -> list[float | None] | None:
    """fGPU at the begin of each step; None: unlimited at some time."""
    if row.quota_hours:
        milli = [quota_now(row, time, tz).gpu_milli for time in period.times]
    else:
        milli = [quota_now(row, period.begin, tz).gpu_milli] * period.steps
    return None if UNLIMITED in milli else [unit.fgpu(each) for each in milli]

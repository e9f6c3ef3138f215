"""Sentences of the dashboard: why sessions wait, how long, what a slice is."""

from __future__ import annotations

from functools import lru_cache

from hub_ext.fgpu import FgpuUnit
from hub_ext.nodes.occupancy import DeviceUse, Part
from hub_ext.sessions.queue_summary import Waiting
from hub_ext.sessions.status import STOPPING, Status
from hub_ext.web.formats import number, size
from hub_ext.web.translation import gettext as _
from hub_ext.web.translation import language, ngettext

COLOURS = 10
"""So many colours tell projects apart; plots and slices use the same."""


def reason(group: Waiting) -> str:
    """What a group of waiting sessions waits for, in a few words."""
    project = {"project": group.project}
    texts = {
        "new": _("just submitted"),
        "not_before": _("set to start later"),
        "project_limit": _("limit of project %(project)s") % project,
        "project_quota": _("quota of project %(project)s, in sessions that may not be reclaimed")
        % project,
        "over_limit": _("more than project %(project)s may use") % project,
        "project_closed": _("project %(project)s is closed now") % project,
        "budget": _("budget of project %(project)s is used up") % project,
        "member_limit": _("their user runs as many sessions as members of the project may"),
        "not_member": _("their user is no longer a member"),
        "no_slice": _("no slice of that size is free"),
        "no_devices": _("not so many whole devices are free on one node"),
        "no_cpu": _("no node has so many CPU cores free"),
        "no_memory": _("no node has so much memory free"),
        "no_image": _("their image is on no node"),
        "no_node": _("no node in service may take them"),
        "too_large": _("no node can ever hold them"),
        "being_freed": _("their place is being freed"),
        "reserved": _("room is kept for a larger session ahead"),
        "gang": _("not all their containers fit at once"),
    }
    return texts.get(group.code) or group.example or _("no reason known yet")


def duration(seconds: float | None) -> str:
    """Seconds as people read them: "45 s", "3.5 min", "2.1 h", "3 days"; None: "-"."""
    if seconds is None:
        return "-"
    if seconds < 99.5:
        return _("%(number)s s") % {"number": _number(round(seconds), language())}
    if seconds < 5400:
        return _("%(number)s min") % {"number": _number(_short(seconds / 60), language())}
    if seconds < 36 * 3600:
        return _("%(number)s h") % {"number": _number(_short(seconds / 3600), language())}
    return _("%(number)s days") % {"number": _number(_short(seconds / 86400), language())}


def slice_in_short(part: Part, fgpu: float, state: str) -> str:
    """In the slice itself: who, how much, and what it is about (see ``slice_state``)."""
    return f"{part.holder.user} {_number(fgpu, language())}{', ' if state else ''}{state}"


def slice_in_full(part: Part, fgpu: float, state: str) -> str:
    """A sentence about a slice."""
    holder = part.holder
    text = _("%(user)s, session %(name)s of project %(project)s: %(fgpu)s fGPU, %(memory)s") % {
        "user": holder.user,
        "name": holder.name,
        "project": holder.project,
        "fgpu": _number(fgpu, language()),
        "memory": _memory(part.memory_mib, language()),
    }
    return f"{text} ({state})" if state else text


def device(use: DeviceUse, unit: FgpuUnit) -> str:
    """A sentence about a device."""
    text = ngettext(
        "Device %(device)s: %(booked)s fGPU booked in %(count)s slice, %(free)s free",
        "Device %(device)s: %(booked)s fGPU booked in %(count)s slices, %(free)s free",
        len(use.parts),
    ) % {
        "device": use.number,
        "booked": _number(unit.fgpu(use.booked_milli), language()),
        "count": len(use.parts),
        "free": _number(unit.fgpu(use.free_milli), language()),
    }
    return f"{text}; {use.problem}" if use.problem else text


def slice_state(part: Part) -> str:
    """What the holder of a slice is about; "" when it just runs."""
    holder = part.holder
    if holder.idle:
        assert holder.idle_s is not None
        return _("idle for %(time)s") % {"time": duration(holder.idle_s)}
    if holder.status in STOPPING:
        return _("stopping")
    return "" if holder.status == Status.RUNNING else _("starting")


def percent(part: float) -> str:
    """0.5 as "50 %"."""
    return _("%(number)s %%") % {"number": number(round(100 * part))}


@lru_cache(4096)
def _number(value: float, _language: str) -> str:
    """A page has thousands of slices of few sizes."""
    return number(value)


@lru_cache(4096)
def _memory(mib: int, _language: str) -> str:
    return size(mib * 2**20)


def _short(value: float) -> float:
    """One decimal where it says something."""
    return round(value, 1) if value < 10 else round(value)

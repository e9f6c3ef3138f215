"""Sentences of the dashboard: why sessions wait, how long, what a slice is."""

from __future__ import annotations

from hub_ext.nodes.occupancy import Part
from hub_ext.sessions.queue_summary import Waiting
from hub_ext.sessions.status import STOPPING, Status
from hub_ext.web.formats import number
from hub_ext.web.translation import gettext as _

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
        return _("%(number)s s") % {"number": number(round(seconds))}
    if seconds < 5400:
        return _("%(number)s min") % {"number": number(_short(seconds / 60))}
    if seconds < 36 * 3600:
        return _("%(number)s h") % {"number": number(_short(seconds / 3600))}
    return _("%(number)s days") % {"number": number(_short(seconds / 86400))}


def state(part: Part) -> str:
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


def _short(value: float) -> float:
    """One decimal where it says something."""
    return round(value, 1) if value < 10 else round(value)

"""Sessions in words: statuses, spans of time, what ends them, in the language of the page."""

from __future__ import annotations

from typing import NamedTuple

from hub_ext.sessions.status import Status
from hub_ext.web.formats import number
from hub_ext.web.translation import gettext as _
from hub_ext.web.translation import ngettext, pgettext


class Badge(NamedTuple):
    """A status as people see it: never by its colour alone."""

    word: str
    colour: str
    icon: str


_LOOKS = {
    Status.PENDING: ("warning", "hourglass-half"),
    Status.SCHEDULED: ("info", "bookmark"),
    Status.PREPARING: ("info", "download"),
    Status.STARTING: ("info", "gear"),
    Status.RUNNING: ("success", "play"),
    Status.PREEMPTED: ("warning", "rotate-left"),
    Status.TERMINATING: ("secondary", "power-off"),
    Status.TERMINATED: ("secondary", "stop"),
    Status.CANCELLED: ("secondary", "ban"),
    Status.EXPIRED: ("secondary", "clock"),
    Status.ERROR: ("danger", "triangle-exclamation"),
}


def status_words() -> dict[Status, str]:
    """Every status in a word or two."""
    return {
        Status.PENDING: pgettext("status of a session", "Waiting"),
        Status.SCHEDULED: pgettext("status of a session", "Booked"),
        Status.PREPARING: pgettext("status of a session", "Preparing"),
        Status.STARTING: pgettext("status of a session", "Starting"),
        Status.RUNNING: pgettext("status of a session", "Running"),
        Status.PREEMPTED: pgettext("status of a session", "Making room"),
        Status.TERMINATING: pgettext("status of a session", "Stopping"),
        Status.TERMINATED: pgettext("status of a session", "Ended"),
        Status.CANCELLED: pgettext("status of a session", "Cancelled"),
        Status.EXPIRED: pgettext("status of a session", "Waited too long"),
        Status.ERROR: pgettext("status of a session", "Failed"),
    }


def badge(status: str) -> Badge:
    """How a status is shown."""
    colour, icon = _LOOKS[Status(status)]
    return Badge(status_words()[Status(status)], colour, icon)


def span(seconds: float) -> str:
    """A length of time in its largest unit, rounded down: "45 seconds", "12 minutes", "3 hours"."""
    count = max(0, int(seconds))
    if count < 120:
        text = ngettext("%(number)s second", "%(number)s seconds", count)
    elif count < 120 * 60:
        count //= 60
        text = ngettext("%(number)s minute", "%(number)s minutes", count)
    elif count < 48 * 3600:
        count //= 3600
        text = ngettext("%(number)s hour", "%(number)s hours", count)
    else:
        count //= 86400
        text = ngettext("%(number)s day", "%(number)s days", count)
    return text % {"number": number(count)}


def ending_word(code: str) -> str:
    """What ends a session, in a few words; "" for what has none of its own."""
    return {
        "lifetime": _("lifetime"),
        "idle": _("if it stays idle"),
        "hours": _("hours of the project"),
        "term": _("term of the project"),
        "folder": _("a folder is taken back"),
        "asked": _("somebody has asked for it"),
        "reclaim": _("others are due its place"),
        "preempt": _("a more urgent session"),
    }.get(code, "")

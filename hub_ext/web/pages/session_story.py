"""The life of a session as people tell it: sentences with times, from the rows of its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hub_ext.db.models import HistoryRow
from hub_ext.sessions.status import LAUNCHING, Status
from hub_ext.web.pages.session_words import span, status_words
from hub_ext.web.sentences import sentence
from hub_ext.web.translation import gettext as _

_MACHINES = frozenset({"scheduler", "service", "spawner", "hub"})
_SHORT_S = 2.0
"""Spans below are not worth a word."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened: when (Unix s), what, why ("": that says it), who ("": nobody)."""

    at: float
    text: str
    why: str = ""
    by: str = ""
    status: str = ""


def story(rows: Sequence[HistoryRow]) -> list[Step]:
    """The steps, the oldest first; what only machines see on the way to another is left out."""
    told: list[Step] = []
    since = rows[0].at if rows else 0.0
    for number, row in enumerate(rows):
        following = rows[number + 1] if number + 1 < len(rows) else None
        moved = row.from_status != row.to_status
        if not (moved and following is not None and _passes(row, following)):
            told.append(_step(row, row.at - since))
            since = row.at if moved else since
    return told


def _passes(row: HistoryRow, following: HistoryRow) -> bool:
    """Whether it is a mere station on the way to run, with nothing said of it."""
    launching = {Status.STARTING, Status.RUNNING}
    return row.to_status in LAUNCHING and not row.message and following.to_status in launching


def _step(row: HistoryRow, took_s: float) -> Step:
    to, took = Status(row.to_status), span(took_s)
    by = "" if row.by in _MACHINES else row.by
    why = sentence(row.message)
    long = took_s >= _SHORT_S
    if row.from_status == to:
        return Step(row.at, why, by=by)
    if not row.from_status:
        return Step(row.at, _("Asked for."), by=by, status=to)
    text = _text(row, to)
    if to is Status.SCHEDULED and row.from_status == Status.PENDING and long:
        text = _("Waited %(time)s in line, then got its place.") % {"time": took}
    elif to is Status.RUNNING and long:
        text = _("Started within %(time)s, and runs.") % {"time": took}
    elif row.from_status == Status.RUNNING and long:
        text = _("Ran for %(time)s. %(then)s") % {"time": took, "then": text}
    return Step(row.at, text, why=why, by=by, status=to)


def _text(row: HistoryRow, to: Status) -> str:
    if to is Status.PENDING:
        return _("Waits in line again.")
    texts = {
        Status.SCHEDULED: _("Got its place."),
        Status.PREPARING: _("Image and folders are being prepared."),
        Status.STARTING: _("Its server is being started."),
        Status.RUNNING: _("Runs."),
        Status.PREEMPTED: _("Was stopped to make room for others."),
        Status.TERMINATING: _("Was told to stop."),
        Status.TERMINATED: _("Ended; its place is free."),
        Status.CANCELLED: _("Was cancelled."),
        Status.EXPIRED: _("Was given up after waiting too long."),
        Status.ERROR: _("Failed."),
    }
    return texts.get(to, status_words()[to])

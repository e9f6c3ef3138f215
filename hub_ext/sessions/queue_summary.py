"""The queue in a few lines: how many run and wait in each project, and why they wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import SessionRow
from hub_ext.sessions.status import LIVE, Status

OF_PROJECT = frozenset({"project_limit", "project_quota", "project_closed", "budget", "over_limit"})
"""Reasons that a project's own rules make; the others are the same for all."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Sessions that wait for the same reason; ``project``: "" when it is no project's own.

    ``example``: what the first of them is told. ``since``: Unix s of the one that waits longest.
    """

    code: str
    project: str
    count: int
    gpu_milli: int
    since: float
    example: str


def waiting(db: Session) -> list[Waiting]:
    """By reason, the most frequent first."""
    query = (
        select(
            SessionRow.reason_code,
            SessionRow.project,
            func.count(),
            func.sum(SessionRow.gpu_milli),
            func.min(SessionRow.submitted_at),
            func.min(SessionRow.reason_message),
        )
        .where(SessionRow.status == Status.PENDING)
        .group_by(SessionRow.reason_code, SessionRow.project)
    )
    found: dict[tuple[str, str], Waiting] = {}
    for code, project, count, gpu_milli, since, example in db.execute(query):
        whose = project if code in OF_PROJECT else ""
        group = Waiting(code, whose, count, gpu_milli, since, example)
        before = found.get((code, whose))
        found[code, whose] = group if before is None else _both(before, group)
    return sorted(found.values(), key=lambda group: (-group.count, group.code, group.project))


def live_counts(db: Session) -> Mapping[str, Mapping[str, int]]:
    """Live sessions by project and status."""
    query = select(SessionRow.project, SessionRow.status, func.count()).where(
        SessionRow.status.in_(LIVE)
    )
    found: dict[str, dict[str, int]] = {}
    for project, status, count in db.execute(query.group_by(SessionRow.project, SessionRow.status)):
        found.setdefault(project, {})[status] = count
    return found


def _both(one: Waiting, other: Waiting) -> Waiting:
    return Waiting(
        one.code,
        one.project,
        one.count + other.count,
        one.gpu_milli + other.gpu_milli,
        min(one.since, other.since),
        one.example,
    )


def total(groups: Sequence[Waiting]) -> int:
    """How many wait in all."""
    return sum(group.count for group in groups)

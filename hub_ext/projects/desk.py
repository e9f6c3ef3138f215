"""Who waits, who idles and who uses most in a project now: what an instructor looks at in class.

Times are Unix s, amounts milli-GPU or GPU-hours of a physical device.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import SessionRow
from hub_ext.projects.use_over_time import gpu_hours_by_user
from hub_ext.sessions.status import Status

IDLE_AFTER_S = 15 * 60.0
"""So long without activity, with a GPU booked, and it stands in the list of the idle."""


@dataclass(frozen=True, slots=True)
class Idle:
    """A session that holds a GPU and does nothing; ``since`` in Unix s."""

    row: SessionRow
    since: float


def waiting(db: Session, projects: Collection[str], limit: int) -> tuple[Sequence[SessionRow], int]:
    """What waits, in the order of the line, and how many there are in all."""
    which = (SessionRow.project.in_(projects), SessionRow.status == Status.PENDING)
    total = db.scalar(select(func.count()).where(*which)) or 0
    place = func.coalesce(SessionRow.position, 2**31 - 1)
    query = select(SessionRow).where(*which).order_by(place, SessionRow.order)
    return db.scalars(query.limit(limit)).all(), total


def idle(
    db: Session,
    projects: Collection[str],
    active_at: Callable[[str, str], float | None],
    now: float,
) -> list[Idle]:
    """The longest idle first. ``active_at``: of a user's server; None: nobody knows."""
    query = select(SessionRow).where(
        SessionRow.project.in_(projects),
        SessionRow.status == Status.RUNNING,
        SessionRow.kind == "interactive",
        SessionRow.gpu_milli > 0,
    )
    found = []
    for row in db.scalars(query):
        active = active_at(row.user, row.server_name)
        if active is None:
            continue
        since = max(active, row.running_at or 0.0)
        if now - since >= IDLE_AFTER_S:
            found.append(Idle(row, since))
    return sorted(found, key=lambda each: (each.since, each.row.order))


def top_users(
    db: Session, projects: Collection[str], since: float, until: float, now: float, limit: int
) -> list[tuple[str, float]]:
    """Users and their GPU-hours, the most first."""
    hours: dict[str, float] = {}
    for (_, user), amount in gpu_hours_by_user(db, since, until, now, projects).items():
        hours[user] = hours.get(user, 0.0) + amount
    return sorted(hours.items(), key=lambda each: (-each[1], each[0]))[:limit]

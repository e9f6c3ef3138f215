"""The report on a project's term: what each member has used of it, and how long he waited.

Times are Unix s, amounts GPU-hours of a physical device. Projects below it count for it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import MemberRow, ProjectRow, RunRow, SessionRow
from hub_ext.fgpu import FgpuUnit
from hub_ext.projects.tree import with_below
from hub_ext.projects.use_over_time import gpu_hours_by_user

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets take a cell that begins so for a formula."""


@dataclass(frozen=True, slots=True)
class UserReport:
    """One user. role: as listed in the project, "": not listed there.

    waited_s: the median time in line of his sessions that started; last_seen: when a session of
    his was last submitted or held a booking. None: never.
    """

    user: str
    role: str
    sessions: int
    gpu_hours: float
    waited_s: float | None
    last_seen: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """What happened between ``since`` and ``until``; users by name."""

    project: str
    since: float
    until: float
    users: tuple[UserReport, ...]
    sessions: int
    gpu_hours: float
    waited_s: float | None

    @property
    def active(self) -> int:
        """Users who have had a session."""
        return sum(user.sessions > 0 for user in self.users)


def term_of(row: ProjectRow, now: float) -> tuple[float, float]:
    """From the beginning of the term, else of the project, until its end or now."""
    until = now if row.valid_until is None else min(now, row.valid_until)
    since = row.created_at if row.valid_from is None else row.valid_from
    return min(since, until), until


def report_of(db: Session, row: ProjectRow, now: float) -> Report:
    """Who is listed in the project, and whoever else has used it or one below it."""
    names = with_below(db, row.name)
    since, until = term_of(row, now)
    sessions = _sessions(db, names, since, until)
    waits = _waits(db, names, since, until)
    hours: dict[str, float] = {}
    for (_, user), amount in gpu_hours_by_user(db, since, until, now, names).items():
        hours[user] = hours.get(user, 0.0) + amount
    seen = _last_seen(db, names, since, until)
    query = select(MemberRow.user, MemberRow.role).where(MemberRow.project == row.name)
    roles = {row.user: row.role for row in db.execute(query)}
    users = tuple(
        UserReport(
            user=user,
            role=roles.get(user, ""),
            sessions=sessions.get(user, 0),
            gpu_hours=hours.get(user, 0.0),
            waited_s=median(waits[user]) if user in waits else None,
            last_seen=seen.get(user),
        )
        for user in sorted({*roles, *sessions, *hours})
    )
    every_wait = [wait for each in waits.values() for wait in each]
    return Report(
        project=row.name,
        since=since,
        until=until,
        users=users,
        sessions=sum(sessions.values()),
        gpu_hours=sum(hours.values()),
        waited_s=median(every_wait) if every_wait else None,
    )


def _sessions(db: Session, names: Collection[str], since: float, until: float) -> Mapping[str, int]:
    """Submitted in the time, by user."""
    query = select(SessionRow.user, func.count()).where(
        SessionRow.project.in_(names),
        SessionRow.submitted_at >= since,
        SessionRow.submitted_at <= until,
    )
    return {row.user: row[1] for row in db.execute(query.group_by(SessionRow.user))}


def _waits(
    db: Session, names: Collection[str], since: float, until: float
) -> Mapping[str, list[float]]:
    """Seconds until the first grant of each session, by user; before its own start is no wait."""
    first = func.min(RunRow.started_at)
    query = (
        select(SessionRow.user, SessionRow.submitted_at, SessionRow.not_before, first)
        .join(RunRow, RunRow.session_id == SessionRow.id)
        .where(
            SessionRow.project.in_(names),
            SessionRow.submitted_at >= since,
            SessionRow.submitted_at <= until,
        )
        .group_by(SessionRow.id, SessionRow.user, SessionRow.submitted_at, SessionRow.not_before)
    )
    found: dict[str, list[float]] = {}
    for user, submitted_at, not_before, started_at in db.execute(query):
        from_when = max(submitted_at, not_before or 0.0)
        found.setdefault(user, []).append(max(0.0, started_at - from_when))
    return found


def _last_seen(
    db: Session, names: Collection[str], since: float, until: float
) -> Mapping[str, float]:
    submitted = select(SessionRow.user, func.max(SessionRow.submitted_at)).where(
        SessionRow.project.in_(names),
        SessionRow.submitted_at >= since,
        SessionRow.submitted_at <= until,
    )
    held = select(RunRow.user, func.max(func.coalesce(RunRow.ended_at, until))).where(
        RunRow.project.in_(names), RunRow.started_at <= until
    )
    found: dict[str, float] = {}
    rows = [
        *db.execute(submitted.group_by(SessionRow.user)),
        *db.execute(held.group_by(RunRow.user)),
    ]
    for user, at in rows:
        at = min(at, until)
        if at >= since:
            found[user] = max(at, found.get(user, at))
    return found


def report_json(report: Report, unit: FgpuUnit) -> dict[str, Any]:
    """For the REST API: fGPU-hours, seconds, Unix s."""
    return {
        "project": report.project,
        "since": report.since,
        "until": report.until,
        "sessions": report.sessions,
        "fgpu_h": round(report.gpu_hours * unit.per_gpu, 3),
        "waited_s": report.waited_s,
        "active_users": report.active,
        "users": [
            {
                "user": user.user,
                "role": user.role or None,
                "sessions": user.sessions,
                "fgpu_h": round(user.gpu_hours * unit.per_gpu, 3),
                "waited_s": user.waited_s,
                "last_seen": user.last_seen,
            }
            for user in report.users
        ],
    }


def report_csv(report: Report, unit: FgpuUnit) -> str:
    """The same as a table, one line a user; times are ISO 8601 in UTC."""
    header = ("user", "role", "sessions", "fgpu_hours", "median_wait_s", "last_seen")
    lines = (
        (
            user.user,
            user.role,
            user.sessions,
            round(user.gpu_hours * unit.per_gpu, 3),
            "" if user.waited_s is None else round(user.waited_s),
            _iso(user.last_seen),
        )
        for user in report.users
    )
    return as_csv([header, *lines])


def _iso(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def as_csv(lines: Collection[Collection[Any]]) -> str:
    """Lines as RFC 4180 has them. No text in it is a formula where it is opened."""
    out = io.StringIO()
    writer = csv.writer(out)
    for line in lines:
        writer.writerow([f"'{cell}" if _is_formula(cell) else cell for cell in line])
    return out.getvalue()


def _is_formula(cell: Any) -> bool:
    return isinstance(cell, str) and cell.startswith(_FORMULA)

"""Stored use, read: of one session over a period, and the GPU-hours that projects computed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from hub_ext.db.models import SessionRow
from hub_ext.db.usage_models import SessionUseRow
from hub_ext.metering.samples import Sample
from hub_ext.metering.storing import HOUR_S, MINUTE_S, QUARTER_S
from hub_ext.sessions.status import Status

PERIODS = {
    "hour": (MINUTE_S, 60),
    "day": (QUARTER_S, 96),
    "month": (HOUR_S, 31 * 24),
    "year": (HOUR_S, 366 * 24),
}
"""By name: length of a step in s, and how many."""


@dataclass(frozen=True, slots=True)
class SessionUse:
    """Means over steps of ``step_s``; each ``at`` is when its step began (Unix s)."""

    step_s: int
    samples: list[Sample]


def use_of_session(db: Session, order: int, period: str, now: float) -> SessionUse:
    """Steps in which the session was measured, the oldest first."""
    span_s, steps = PERIODS[period]
    row = SessionUseRow
    query = (
        select(row.at, row.gpu_memory_mib, row.gpu_permille, row.cpu_milli, row.memory_mib)
        .where(row.session_order == order, row.span_s == span_s)
        .where(row.at >= int(now) // span_s - steps)
        .order_by(row.at)
    )
    samples = [
        Sample(at * span_s, gpu_memory, None if gpu is None else gpu / 1000, cpu, memory)
        for at, gpu_memory, gpu, cpu, memory in db.execute(query)
    ]
    return SessionUse(span_s, samples)


def last_computed(db: Session, floor: float) -> list[tuple[str, str, float]]:
    """User, server name and when (Unix s), of each running session that has computed lately.

    floor: the part, above 0, of its slice or of its cores that a minute has to reach.
    """
    row, of = SessionUseRow, SessionRow
    computed = or_(row.gpu_permille >= floor * 1000, row.cpu_milli >= floor * of.cpu_milli)
    query = (
        select(of.user, of.server_name, func.max(row.at))
        .join(row, row.session_order == of.order)
        .where(of.status == Status.RUNNING, row.span_s == MINUTE_S, computed)
        .group_by(of.user, of.server_name)
    )
    return [(user, name, (at + 1.0) * MINUTE_S) for user, name, at in db.execute(query)]


def computed_gpu_hours(
    db: Session, projects: Collection[str], begin: float, end: float
) -> dict[str, float]:
    """GPU-hours (of a physical device) that sessions of these projects really computed.

    By project, of those in which anything was measured. What is older than a month counts by
    the hour, the rest by the quarter; the quarter that runs is not in it.
    """
    row, done = SessionUseRow, SessionRow
    span_s = QUARTER_S if end - begin <= 31 * 86400 else HOUR_S
    amount = func.sum(row.gpu_permille * 1.0 * row.measured_s * done.gpu_milli)
    query = (
        select(done.project, amount)
        .join(row, row.session_order == done.order)
        .where(row.span_s == span_s, row.gpu_permille.is_not(None))
        .where(row.at >= int(begin) // span_s, row.at < int(end) // span_s + 1)
        .where(done.project.in_(projects))
        .group_by(done.project)
    )
    return {row[0]: float(row[1] or 0) / 1000 / 1000 / 3600 for row in db.execute(query)}

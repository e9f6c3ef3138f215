"""What the live sessions of each project hold and wait for, with all below it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import SessionRow
from hub_ext.projects.tree import Rows, lineage, with_below
from hub_ext.sessions.status import BOOKED, Status


@dataclass(slots=True)
class Holding:
    """Booked milli-GPU, milli-CPU, MiB; sessions that hold something, and that wait."""

    gpu_milli: int = 0
    cpu_milli: int = 0
    memory_mib: int = 0
    running: int = 0
    pending: int = 0

    def add(self, other: Holding) -> None:
        """Take in another project's."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


def holdings(db: Session, rows: Rows) -> Mapping[str, Holding]:
    """By project, each with what is below it."""
    found = {name: Holding() for name in rows}
    for name, own in _own(db).items():
        for row in lineage(rows, name):
            found[row.name].add(own)
    return found


def holding_of(db: Session, project: str) -> Holding:
    """Of one project, with what is below it."""
    found = Holding()
    for own in _own(db, with_below(db, project)).values():
        found.add(own)
    return found


def _own(db: Session, projects: Collection[str] | None = None) -> dict[str, Holding]:
    """By project, without what is below it; only of ``projects``, if they are given."""
    query = (
        select(
            SessionRow.project,
            SessionRow.status,
            func.count(),
            func.sum(SessionRow.gpu_milli),
            func.sum(SessionRow.cpu_milli),
            func.sum(SessionRow.memory_mib),
        )
        .where(SessionRow.status.in_([*BOOKED, Status.PENDING]))
        .group_by(SessionRow.project, SessionRow.status)
    )
    if projects is not None:
        query = query.where(SessionRow.project.in_(projects))
    own: dict[str, Holding] = {}
    for project, status, count, gpu, cpu, memory in db.execute(query):
        waits = status == Status.PENDING
        held = Holding(pending=count) if waits else Holding(gpu, cpu, memory, running=count)
        own.setdefault(project, Holding()).add(held)
    return own

"""What sessions hold of each node: sums that the database makes, for pages of many sessions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import SessionRow, SliceRow
from hub_ext.sessions.status import BOOKED


@dataclass(slots=True)
class Booked:
    """Of one node: milli-CPU, MiB, and milli-GPU by device."""

    sessions: int = 0
    cpu_milli: int = 0
    memory_mib: int = 0
    gpu_milli: dict[int, int] = field(default_factory=dict)


class Holder(NamedTuple):
    """A session that holds a booking on a node."""

    node: str
    id: str
    name: str
    user: str
    project: str
    status: str


def booked_of(db: Session, node: str | None = None) -> defaultdict[str, Booked]:
    """By node; ``node``: of this one only."""
    found: defaultdict[str, Booked] = defaultdict(Booked)
    sums = (func.count(), func.sum(SessionRow.cpu_milli), func.sum(SessionRow.memory_mib))
    query = select(SessionRow.node, *sums).where(SessionRow.status.in_(BOOKED))
    if node is not None:
        query = query.where(SessionRow.node == node)
    for name, count, cpu, memory in db.execute(query.group_by(SessionRow.node)):
        found[name or ""] = Booked(int(count), int(cpu), int(memory))
    parts = select(SliceRow.node, SliceRow.device, func.sum(SliceRow.milli))
    if node is not None:
        parts = parts.where(SliceRow.node == node)
    for name, device, milli in db.execute(parts.group_by(SliceRow.node, SliceRow.device)):
        found[name].gpu_milli[device] = int(milli)
    return found


def holders(db: Session, node: str | None = None) -> defaultdict[str, list[Holder]]:
    """Who holds a booking, by node, the oldest first; ``node``: on this one only."""
    columns = (getattr(SessionRow, name) for name in Holder._fields)
    query = select(*columns).where(SessionRow.status.in_(BOOKED), SessionRow.node.is_not(None))
    if node is not None:
        query = query.where(SessionRow.node == node)
    found: defaultdict[str, list[Holder]] = defaultdict(list)
    for row in db.execute(query.order_by(SessionRow.order)):
        found[row.node].append(Holder(*row))
    return found

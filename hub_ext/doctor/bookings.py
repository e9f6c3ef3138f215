"""Bookings: each is whole, none overlap, and nobody holds more than there is or is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database, DatabaseError
from hub_ext.doctor.deployment_state import is_sqlite_to_come
from hub_ext.doctor.finding import Deployment, Finding, fail, ok, warn
from hub_ext.fgpu import FgpuUnit
from hub_ext.scheduling import invariants, model
from hub_ext.sessions import bookings as tables
from hub_ext.sessions.snapshot import SnapshotView, read_snapshot
from hub_ext.site import Policy

_MOST_SHOWN = 10
_NO_BOUND = 2**40
_UNLIMITED = model.Resources(model.UNLIMITED, model.UNLIMITED, model.UNLIMITED)


def bookings(deployment: Deployment) -> Iterator[Finding]:
    """What the service's database says is booked, against the rules of the scheduler."""
    if not _is_readable(deployment.db_url):
        return  # said by the database check
    with _reading(deployment.db_url) as db:
        broken = tables.violations(db)
        snapshot = read_snapshot(db, SnapshotView(_policy(deployment)))
    boundless = invariants.violations(_without_bounds(snapshot))
    exceeded = [text for text in invariants.violations(snapshot) if text not in boundless]
    # What the tables have wrong shows in the snapshot too: it is said once.
    broken = broken or boundless
    for text in _shown(broken):
        yield fail(
            "bookings",
            text,
            "Stop the session: its end frees what it holds. This must not happen: please report"
            " it with the service's log.",
        )
    for text in _shown(exceeded):
        yield warn(
            "bookings",
            text,
            "Nothing more starts there until it is below again. Raise the number, or stop some"
            " of its sessions.",
        )
    if not broken:
        booked = sum(session.state == "running" for session in snapshot.sessions)
        yield ok("bookings", f"{booked} sessions are booked; every booking is whole, none overlap")


def _is_readable(url: str) -> bool:
    """Whether the database is there, answers, and has this release's tables."""
    if is_sqlite_to_come(url):
        return False
    try:
        database = Database(url)
        try:
            return database.revision() == database.head()
        finally:
            database.engine.dispose()
    except (DatabaseError, SQLAlchemyError):
        return False


@contextmanager
def _reading(url: str) -> Iterator[Session]:
    """One transaction that sees one moment, whatever a running service writes meanwhile."""
    database = Database(url)
    try:
        with database.transaction() as db:
            if database.engine.dialect.name == "postgresql":
                db.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield db
    finally:
        database.engine.dispose()


def _policy(deployment: Deployment) -> Policy:
    """What the rules need: the unit, for the sentences, and this machine's time, for hours."""
    per_gpu = deployment.started_with.get("fgpu_per_gpu")
    per_gpu = per_gpu if isinstance(per_gpu, int) and per_gpu > 0 else 1
    now = datetime.now().astimezone()
    return Policy(unit=FgpuUnit(per_gpu, quantum_milli=per_gpu), timezone=now.tzinfo or UTC)


def _without_bounds(snapshot: model.Snapshot) -> model.Snapshot:
    """The same bookings where an admin has set no bound.

    What is only wrong with the bounds comes of a bound that was lowered below what is held:
    a limit, a quota, or the cores and memory that a node may give.
    """
    nodes = (replace(node, cpu_milli=_NO_BOUND, memory_mib=_NO_BOUND) for node in snapshot.nodes)
    projects = (
        replace(project, quota=_UNLIMITED, limit=_UNLIMITED) for project in snapshot.projects
    )
    return replace(snapshot, nodes=tuple(nodes), projects=tuple(projects))


def _shown(texts: list[str]) -> list[str]:
    """The first of them, and how many more there are."""
    more = len(texts) - _MOST_SHOWN
    return texts if more <= 0 else [*texts[:_MOST_SHOWN], f"And {more} more of this kind."]

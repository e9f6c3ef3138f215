"""Rows of projects, members, sessions and runs, with only what a test says of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import MemberRow, ProjectRow, RunRow, SessionRow

HOUR = 3600.0


def add_project(db: Session, name: str, **columns: Any) -> ProjectRow:
    """A project, younger than all there are."""
    last = db.scalar(select(func.max(ProjectRow.created_order))) or 0
    defaults = {"created_at": 0.0, "created_order": last + 1, "member_limits": {}}
    row = ProjectRow(name=name, **(defaults | columns))
    db.add(row)
    db.flush()
    return row


def add_member(db: Session, project: str, user: str, role: str = "member", **limits: int) -> None:
    """A member with limits of his own."""
    row = MemberRow(project=project, user=user, role=role, limits=limits)
    row.added_at, row.added_by = 0.0, "root"
    db.add(row)
    db.flush()


def add_session(db: Session, project: str, user: str = "ann", **columns: Any) -> SessionRow:
    """A session that waits, at the end of the line."""
    order = (db.scalar(select(func.max(SessionRow.order))) or 0) + 1
    defaults: dict[str, Any] = {
        "id": f"s{order}",
        "order": order,
        "server_name": f"lab-{order}",
        "name": f"lab-{order}",
        "kind": "interactive",
        "status": "PENDING",
        "image": "apportion/base:test",
        "image_title": "Base",
        "gpu_milli": 1000,
        "cpu_milli": 1000,
        "memory_mib": 1024,
        "options": {},
        "mounts": [],
        "submitted_at": float(order),
        "changed_at": float(order),
    }
    row = SessionRow(project=project, user=user, **(defaults | columns))
    row.ended_at = row.changed_at if row.status == "TERMINATED" else None
    db.add(row)
    db.flush()
    return row


def add_run(
    db: Session, project: str, begin: float, end: float | None, gpu_milli: int = 1000
) -> RunRow:
    """A booking of so many milli-GPU from begin to end (None: until now)."""
    status = "RUNNING" if end is None else "TERMINATED"
    session = add_session(db, project, status=status, gpu_milli=gpu_milli)
    row = RunRow(session_id=session.id, user="ann", project=project, gpu_milli=gpu_milli)
    row.cpu_milli, row.memory_mib = 1000, 1024
    row.started_at, row.ended_at = begin, end
    db.add(row)
    db.flush()
    return row

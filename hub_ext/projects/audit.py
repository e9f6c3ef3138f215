"""The audit log: who changed what, from what, to what."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, or_, select
from sqlalchemy.orm import Session

from hub_ext.db.models import AuditRow


def note(
    db: Session,
    by: str,
    action: str,
    subject: str,
    project: str | None,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    """Write it down in the caller's transaction. Of two dicts only the differences are kept.

    action: as in "project.change"; project: whose instructors may read it, None: admins only.
    """
    if before is not None and after is not None:
        changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        before = {key: before[key] for key in changed if key in before}
        after = {key: after[key] for key in changed if key in after}
    db.add(
        AuditRow(
            at=time.time(),
            by=by,
            action=action,
            subject=subject,
            project=project,
            before=before,
            after=after,
        )
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries; "" and None do not filter.

    text: anywhere in who, what and from what to what, in small or capital letters; since, until:
    Unix s, until not included.
    """

    project: str = ""
    by: str = ""
    action: str = ""
    text: str = ""
    since: float | None = None
    until: float | None = None


def entries(
    db: Session, wanted: Wanted, *, readable: Collection[str] | None, limit: int, below: int
) -> Sequence[AuditRow]:
    """The newest first, with an id under ``below``.

    readable: the projects whose entries may be read; None: everything.
    """
    query = select(AuditRow).where(AuditRow.id < below)
    if readable is not None:
        query = query.where(AuditRow.project.in_(readable))
    for column in ("project", "by", "action"):
        value = getattr(wanted, column)
        if value:
            query = query.where(getattr(AuditRow, column) == value)
    if wanted.since is not None:
        query = query.where(AuditRow.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditRow.at < wanted.until)
    if wanted.text:
        query = query.where(_has(db, wanted.text))
    return db.scalars(query.order_by(AuditRow.id.desc()).limit(limit)).all()


def _has(db: Session, text: str) -> ColumnElement[bool]:
    """Values are stored as JSON, which writes some letters and quotes in its own way."""
    plain = (AuditRow.by, AuditRow.action, AuditRow.subject, AuditRow.project)
    stored = [cast(column, Text) for column in (AuditRow.before, AuditRow.after)]
    inside = json.dumps(text)[1:-1]
    # SQLite's LIKE ignores case by itself; lower() would take three times as long.
    has = "contains" if db.get_bind().dialect.name == "sqlite" else "icontains"
    return or_(
        *(getattr(column, has)(text, autoescape=True) for column in plain),
        *(getattr(column, has)(inside, autoescape=True) for column in stored),
    )

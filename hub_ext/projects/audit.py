"""The audit log: who changed what, from what, to what."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select
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


def entries(
    db: Session,
    *,
    readable: Collection[str] | None,
    limit: int,
    below: int,
    project: str = "",
    by: str = "",
    action: str = "",
) -> Sequence[AuditRow]:
    """The newest first, with an id under ``below``; "" does not filter.

    readable: the projects whose entries may be read; None: everything.
    """
    query = select(AuditRow).where(AuditRow.id < below)
    if readable is not None:
        query = query.where(AuditRow.project.in_(readable))
    for column, wanted in ((AuditRow.project, project), (AuditRow.by, by)):
        if wanted:
            query = query.where(column == wanted)
    if action:
        query = query.where(AuditRow.action == action)
    return db.scalars(query.order_by(AuditRow.id.desc()).limit(limit)).all()

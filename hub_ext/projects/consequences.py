"""What a change of a project leaves as it is: sentences for whoever makes the change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import ProjectRow, SessionRow
from hub_ext.fgpu import FgpuUnit
from hub_ext.projects.holdings import Holding, holdings
from hub_ext.projects.settings import QUOTA_KEYS, amount
from hub_ext.projects.tree import Rows, below, lineage
from hub_ext.scheduling.model import UNLIMITED
from hub_ext.sessions.status import Status


def consequences(
    db: Session, rows: Rows, row: ProjectRow, given: Mapping[str, Any], unit: FgpuUnit
) -> Iterator[str]:
    """Where more is held or asked for than has just been set, here or above a new place."""
    held = holdings(db, rows)
    keys = QUOTA_KEYS.values()
    places = [
        (row, kind, key) for kind in ("quota", "limit") for key in keys if f"{kind}_{key}" in given
    ]
    if "parent" in given:
        places += [(above, "limit", key) for above in lineage(rows, row.name)[1:] for key in keys]
    names = [row.name, *below(rows, row.name)]
    for project, kind, key in places:
        if getattr(project, f"{kind}_{key}") == UNLIMITED:
            continue
        yield from _held_above(project, kind, key, held[project.name], unit)
        if kind == "limit":
            yield from _never_start(db, names, project, key, unit)


def _held_above(
    project: ProjectRow, kind: str, key: str, held: Holding, unit: FgpuUnit
) -> Iterator[str]:
    bound, value = getattr(project, f"{kind}_{key}"), getattr(held, key)
    if value > bound:
        yield (
            f"Project {project.name} holds {amount(key, value, unit)}, above its {kind} of"
            f" {amount(key, bound, unit)}. Nothing is stopped by this change."
        )


def _never_start(
    db: Session, names: list[str], project: ProjectRow, key: str, unit: FgpuUnit
) -> Iterator[str]:
    """Sessions of these projects that wait and are too big by themselves."""
    bound = getattr(project, f"limit_{key}")
    count = db.scalar(
        select(func.count()).where(
            SessionRow.project.in_(names),
            SessionRow.status == Status.PENDING,
            getattr(SessionRow, key) > bound,
        )
    )
    if count:
        one = count == 1
        yield (
            f"{count} waiting session{'' if one else 's'} ask{'s' if one else ''} for more than"
            f" the limit of {amount(key, bound, unit)} of project {project.name};"
            f" {'it' if one else 'they'} will not start."
        )

"""Into the trash, out of it, and out of the world.

A folder in the trash leaves its name to others and still counts against the quota. Running
sessions that mount it keep it; none starts with it. It is deleted for good by its name, or
by itself after the site's ``trash_days``; never while a session may still have it open, or a
clone reads it: that would be called done, with holes.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderJobRow, FolderRow
from hub_ext.errors import BadValue, Conflict
from hub_ext.folders.catalogue import as_json, find, free_name, note
from hub_ext.folders.holders import Holder, holders
from hub_ext.folders.names import check_folder_name

_DAY_S = 86400.0
_RUNNING_CLONE = (FolderJobRow.kind == "clone") & (FolderJobRow.state == "running")


def trash(db: Session, folder: FolderRow, *, by: str) -> None:
    """Raises Conflict when it has changed in the same moment."""
    now = time.time()
    done = db.execute(
        update(FolderRow)
        .where(
            FolderRow.id == folder.id,
            FolderRow.trashed_at.is_(None),
            FolderRow.state.in_(["new", "ready"]),
        )
        .values(trashed_at=now, trashed_by=by)
    )
    _require_one(done, folder)
    db.refresh(folder)
    note(db, by, "folder.trash", folder, as_json(folder), None)


def restore(db: Session, folder: FolderRow, name: str | None, *, by: str) -> None:
    """Under its name; when that is taken, under ``name`` or its own with a number.

    Raises BadValue for a name that none is, Conflict for one that is taken.
    """
    wanted = folder.name if name is None else check_folder_name(name)
    if name is not None and find(db, folder.kind, folder.owner, name) is not None:
        raise Conflict(f"There is already a folder '{name}'.", field="name")
    before = as_json(folder)
    free = free_name(db, folder.kind, folder.owner, wanted)
    done = db.execute(
        update(FolderRow)
        .where(
            FolderRow.id == folder.id,
            FolderRow.trashed_at.is_not(None),
            FolderRow.state.in_(["new", "ready"]),
        )
        .values(trashed_at=None, trashed_by=None, name=free)
    )
    _require_one(done, folder)
    db.refresh(folder)
    note(db, by, "folder.restore", folder, before, as_json(folder) | {"restored": True})


def check_purge(db: Session, folder: FolderRow, typed: str) -> None:
    """Whether it may be deleted for good. Raises BadValue, Conflict."""
    if typed != folder.name:
        raise BadValue(
            "To delete a folder for good, type its name exactly: nothing was deleted.", field="name"
        )
    holding = [each.told() for each in holders(db, [folder.id])[folder.id] if each.holds]
    if holding:
        raise Conflict(
            f"Still mounted by {', '.join(holding[:10])}. Stop what uses it, or wait for its end."
        )
    cloning = _cloning(db, [folder.id])[folder.id]
    if cloning:
        raise Conflict(
            f"Still being cloned by {', '.join(cloning[:10])}."
            " Wait for the end of the clone, or have it cancelled."
        )


def begin_purge(db: Session, folder: FolderRow, *, by: str) -> None:
    """From now on it cannot be restored; the job that deletes it follows. Raises Conflict.

    The lock comes first, as in whatever begins a clone: the one that comes later sees the other.
    """
    db.get(FolderRow, folder.id, with_for_update=True)
    reading = _RUNNING_CLONE & (FolderJobRow.source_id == folder.id)
    done = db.execute(
        update(FolderRow)
        .where(
            FolderRow.id == folder.id,
            FolderRow.trashed_at.is_not(None),
            FolderRow.state.in_(["new", "ready"]),
            ~exists().where(reading),
        )
        .values(state="purging")
    )
    _require_one(done, folder)
    db.refresh(folder)
    note(db, by, "folder.purge", folder, as_json(folder), None)


def overdue(db: Session, trash_days: float, now: float) -> list[FolderRow]:
    """What has been in the trash for too long and is open nowhere."""
    if not trash_days:
        return []
    query = select(FolderRow).where(
        FolderRow.trashed_at < now - trash_days * _DAY_S, FolderRow.state.in_(["new", "ready"])
    )
    rows: Sequence[FolderRow] = db.scalars(query).all()
    ids = [row.id for row in rows]
    held, cloning = holders(db, ids), _cloning(db, ids)
    return [row for row in rows if not cloning[row.id] and not any(_holds(held[row.id]))]


def purged_at(folder: FolderRow, trash_days: float) -> float | None:
    """When it will be deleted by itself (Unix s)."""
    if folder.trashed_at is None or not trash_days:
        return None
    return folder.trashed_at + trash_days * _DAY_S


def _cloning(db: Session, folder_ids: Collection[str]) -> dict[str, list[str]]:
    """Of each of these folders, the users whose clones still read it."""
    found: dict[str, list[str]] = {folder_id: [] for folder_id in folder_ids}
    query = select(FolderJobRow.source_id, FolderJobRow.user).where(_RUNNING_CLONE)
    for source_id, user in db.execute(query.order_by(FolderJobRow.started_at)):
        if source_id in found and user not in found[source_id]:
            found[source_id].append(user)
    return found


def _holds(found: Sequence[Holder]) -> list[bool]:
    return [holder.holds for holder in found]


def _require_one(done: object, folder: FolderRow) -> None:
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict("The folder has changed meanwhile; look at it again.")

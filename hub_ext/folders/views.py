"""Folders, invitations and jobs as JSON. Times are Unix seconds, sizes bytes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderJobRow, FolderRow, ShareRow
from hub_ext.folders.access import Access, Action, Right
from hub_ext.folders.catalogue import HOME_FOLDER
from hub_ext.folders.holders import Holder, holders, revoked
from hub_ext.folders.sharing import numbers_open
from hub_ext.folders.trash import purged_at

if TYPE_CHECKING:  # the site holds the folders
    from hub_ext.site import Policy

_AS_STORED = (
    "id",
    "name",
    "kind",
    "owner",
    "usage",
    "created_at",
    "created_by",
    "used_bytes",
    "used_files",
    "measured_at",
    "trashed_at",
    "trashed_by",
)


def folders_json(
    db: Session, policy: Policy, access: Access, rows: Sequence[FolderRow]
) -> list[dict[str, Any]]:
    """As this person sees them; rows that to him do not exist are left out."""
    seen = [(row, right) for row in rows if (right := access.right(row)) is not None]
    ids = [row.id for row, _ in seen]
    held, shared = holders(db, ids), numbers_open(db, ids)
    return [
        _folder(row, right, policy)
        | {
            "sessions": [
                holder.as_json() for holder in visible(held[row.id], right, access.person.name)
            ],
            "shared_with": shared.get(row.id, 0) if Action.SHARE in right.actions else None,
        }
        for row, right in seen
    ]


def folder_json(db: Session, policy: Policy, access: Access, row: FolderRow) -> dict[str, Any]:
    """One folder; its sessions tell whether their users still have the right to it."""
    (described,) = folders_json(db, policy, access, [row])
    gone = {holder.session_id for holder in revoked(db, policy, row, holders(db, [row.id])[row.id])}
    for session in described["sessions"]:
        session["revoked"] = session["id"] in gone
    return described


def visible(found: Collection[Holder], right: Right, user: str) -> list[Holder]:
    """Who keeps the folder sees all sessions that mount it; others see their own."""
    if right.actions & {Action.SHARE, Action.TRANSFER}:
        return list(found)
    return [holder for holder in found if holder.user == user]


def _folder(row: FolderRow, right: Right, policy: Policy) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in _AS_STORED},
        "home": row.name == HOME_FOLDER,
        "members_mode": row.members_mode if row.kind == "project" else None,
        "state": state_of(row),
        "standing": right.standing.value,
        "mode": right.mode.value if right.mode is not None else None,
        "may": sorted(action.value for action in right.actions),
        "purged_at": purged_at(row, policy.trash_days),
    }


def state_of(row: FolderRow) -> str:
    """ready, cloning, trash or purging; whether its directory is made yet concerns nobody."""
    if row.state in {"cloning", "purging"}:
        return row.state
    return "ready" if row.trashed_at is None else "trash"


def share_json(share: ShareRow, folder: FolderRow) -> dict[str, Any]:
    """An invitation with what the invited may know of the folder."""
    columns = ("id", "user", "mode", "state", "invited_by", "invited_at", "answered_at", "ended_at")
    return {column: getattr(share, column) for column in columns} | {
        "folder": {
            "id": folder.id,
            "name": folder.name,
            "kind": folder.kind,
            "owner": folder.owner,
            "usage": folder.usage,
        }
    }


def job_json(job: FolderJobRow) -> dict[str, Any]:
    """How far a clone or purge is."""
    columns = (
        "id",
        "kind",
        "folder_id",
        "source_id",
        "user",
        "state",
        "bytes_done",
        "bytes_total",
        "files_done",
        "files_total",
        "error",
        "note",
        "started_at",
        "ended_at",
    )
    return {column: getattr(job, column) for column in columns}

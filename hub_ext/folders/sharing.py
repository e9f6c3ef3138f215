"""Invitations to folders, and what becomes of them.

    pending  -> accepted or rejected (by the invited), cancelled (by the folder's keepers)
    accepted -> left (by the invited), stopped (by the keepers)

Each step is one ``UPDATE ... WHERE state = ...``: of two at once exactly one wins. Whoever is
invited may be unknown to the hub; nothing here tells whether somebody is.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow, ShareRow
from hub_ext.db.models import ProjectRow
from hub_ext.errors import BadValue, Conflict, NotFound, OverLimit
from hub_ext.folders.access import Access, Action, Mode, Person
from hub_ext.folders.catalogue import note, one
from hub_ext.folders.uploads import drop_without_right

MOST_OPEN = 1000
"""Open invitations of one folder."""
NO_INVITATION = "There is no such invitation."


class ShareState(StrEnum):
    """Where an invitation stands."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    LEFT = "left"
    STOPPED = "stopped"


_FROM = {
    ShareState.ACCEPTED: ShareState.PENDING,
    ShareState.REJECTED: ShareState.PENDING,
    ShareState.CANCELLED: ShareState.PENDING,
    ShareState.LEFT: ShareState.ACCEPTED,
    ShareState.STOPPED: ShareState.ACCEPTED,
}
"""The only state from which each may be reached."""


def invite(
    db: Session, folder: FolderRow, users: Sequence[str], mode: Mode, *, by: Person
) -> list[ShareRow]:
    """Invite all or nobody. Raises BadValue, Conflict, OverLimit."""
    if len(set(users)) != len(users):
        raise BadValue("A name is there twice.", field="users")
    if by.name in users or (folder.kind == "user" and folder.owner in users):
        raise BadValue("The owner of a folder needs no invitation to it.", field="users")
    invited = set(_open_users(db, folder.id))
    for user in users:
        if user in invited:
            raise _invited_already(user)
    if len(invited) + len(users) > MOST_OPEN:
        raise OverLimit(
            f"The folder is shared with {len(invited)} users; {MOST_OPEN} are allowed. Give it to"
            " a project instead.",
            field="users",
        )
    rows = [_new(folder.id, user, mode, by.name) for user in users]
    db.add_all(rows)
    try:
        db.flush()
    except IntegrityError as error:
        raise _invited_already(users[0]) from error
    for row in rows:
        after = {"user": row.user, "mode": row.mode}
        note(db, by.name, "folder.invite", folder, None, after)
    return rows


def change_mode(db: Session, share: ShareRow, mode: Mode, *, by: str) -> ShareRow:
    """Of an invitation that is open. Raises Conflict."""
    before = {"user": share.user, "mode": share.mode}
    done = db.execute(
        update(ShareRow)
        .where(ShareRow.id == share.id, ShareRow.ended_at.is_(None))
        .values(mode=mode.value)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise _too_late(share)
    drop_without_right(db, share.folder_id, share.user)
    if before["mode"] != mode:
        after = {"user": share.user, "mode": mode.value}
        folder = one(db, share.folder_id)
        note(db, by, "folder.share_mode", folder, before, after)
    db.refresh(share)
    return share


def step(db: Session, share: ShareRow, to: ShareState, *, by: str) -> ShareRow:
    """Move an invitation on. Raises Conflict when something else has come first."""
    now, before = time.time(), share.state
    values: dict[str, object] = {"state": to.value}
    if to in {ShareState.ACCEPTED, ShareState.REJECTED}:
        values["answered_at"] = now
    if to is not ShareState.ACCEPTED:
        values["ended_at"] = now
    done = db.execute(
        update(ShareRow)
        .where(ShareRow.id == share.id, ShareRow.state == _FROM[to].value)
        .values(**values)
    )
    db.refresh(share)
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise _too_late(share)
    if to in {ShareState.LEFT, ShareState.STOPPED}:
        drop_without_right(db, share.folder_id, share.user)
    note(
        db,
        by,
        f"folder.{to.value}",
        one(db, share.folder_id),
        {"user": share.user, "state": before},
        {"user": share.user, "state": share.state},
    )
    return share


def stop(db: Session, share: ShareRow, *, by: str) -> ShareRow:
    """Cancel it while it is pending, stop it afterwards. Raises Conflict when it has ended."""
    pending = share.state == ShareState.PENDING
    return step(db, share, ShareState.CANCELLED if pending else ShareState.STOPPED, by=by)


def of_folder(
    db: Session, folder_id: str, *, ended: bool, after: str, limit: int
) -> list[ShareRow]:
    """The invitations of a folder by time; ``after``: the id to go on from. Raises BadValue."""
    query = select(ShareRow).where(ShareRow.folder_id == folder_id, _is_ended(ended))
    return _page(db, query, after, limit)


def received(db: Session, user: str, *, ended: bool, after: str, limit: int) -> list[ShareRow]:
    """A user's invitations to folders that are in use."""
    query = select(ShareRow).join(FolderRow, FolderRow.id == ShareRow.folder_id)
    query = query.where(ShareRow.user == user, _is_ended(ended), in_use())
    return _page(db, query, after, limit)


def sent(db: Session, access: Access, *, ended: bool, after: str, limit: int) -> list[ShareRow]:
    """The invitations that somebody has made to folders which he may still share."""
    made = ShareRow.invited_by == access.person.name
    folders = db.scalars(
        select(FolderRow).where(FolderRow.id.in_(select(ShareRow.folder_id).where(made)))
    )
    rights = {folder.id: access.right(folder) for folder in folders}
    shared = [key for key, right in rights.items() if right and Action.SHARE in right.actions]
    query = select(ShareRow).where(made, ShareRow.folder_id.in_(shared), _is_ended(ended))
    return _page(db, query, after, limit)


def of_user(db: Session, share_id: str, user: str) -> tuple[ShareRow, FolderRow]:
    """An invitation to this user, and its folder. Raises NotFound, as for one not in use."""
    share = db.get(ShareRow, share_id)
    if share is None or share.user != user:
        raise NotFound(NO_INVITATION)
    folder = db.scalar(select(FolderRow).where(FolderRow.id == share.folder_id, in_use()))
    if folder is None:
        raise NotFound(NO_INVITATION)
    return share, folder


def in_use() -> ColumnElement[bool]:
    """Folders that are neither in the trash nor of an archived project."""
    archived = select(ProjectRow.name).where(ProjectRow.archived_at.is_not(None))
    resting = (FolderRow.kind == "project") & FolderRow.owner.in_(archived)
    return FolderRow.trashed_at.is_(None) & ~resting


def of_folder_one(db: Session, folder_id: str, share_id: str) -> ShareRow:
    """One invitation of a folder. Raises NotFound."""
    share = db.get(ShareRow, share_id)
    if share is None or share.folder_id != folder_id:
        raise NotFound(NO_INVITATION)
    return share


def numbers_open(db: Session, folder_ids: Sequence[str]) -> dict[str, int]:
    """With how many users each of these folders is shared."""
    query = select(ShareRow.folder_id, func.count()).where(
        ShareRow.folder_id.in_(folder_ids), ShareRow.state == ShareState.ACCEPTED.value
    )
    return {row[0]: row[1] for row in db.execute(query.group_by(ShareRow.folder_id))}


def _new(folder_id: str, user: str, mode: Mode, by: str) -> ShareRow:
    return ShareRow(
        id=uuid.uuid4().hex,
        folder_id=folder_id,
        user=user,
        mode=mode.value,
        state=ShareState.PENDING.value,
        invited_by=by,
        invited_at=time.time(),
    )


def _open_users(db: Session, folder_id: str) -> Sequence[str]:
    query = select(ShareRow.user).where(
        ShareRow.folder_id == folder_id, ShareRow.ended_at.is_(None)
    )
    return db.scalars(query).all()


def _is_ended(ended: bool) -> ColumnElement[bool]:
    return ShareRow.ended_at.is_not(None) if ended else ShareRow.ended_at.is_(None)


def _page(db: Session, query: Select[ShareRow], after: str, limit: int) -> list[ShareRow]:
    """The oldest first; one more than ``limit`` tells that there are more."""
    if after:
        last = db.scalar(query.where(ShareRow.id == after))
        if last is None:
            raise BadValue("'after' is the id of the last one that you have.", field="after")
        place = tuple_(ShareRow.invited_at, ShareRow.id)
        query = query.where(place > tuple_(literal(last.invited_at), literal(last.id)))
    query = query.order_by(ShareRow.invited_at, ShareRow.id).limit(limit + 1)
    return list(db.scalars(query))


def _invited_already(user: str) -> Conflict:
    return Conflict(
        f"{user} is invited already; change the mode of that invitation instead.", field="users"
    )


def _too_late(share: ShareRow) -> Conflict:
    return Conflict(f"The invitation is {share.state}; this is no longer possible.")

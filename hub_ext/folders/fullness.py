"""Tells running sessions that a folder which they write to is full, and when it is not any more.

The quota is of all folders of an owner together; it stops no program that writes already, so
that whoever is at work has to hear of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow
from hub_ext.db.models import SessionRow
from hub_ext.folders.access import Access
from hub_ext.folders.holders import identity
from hub_ext.folders.quota import Owner, Room, keeps, rooms, size_text
from hub_ext.folders.session_mounts import Mount
from hub_ext.sessions.alerts import FOLDER, clear_alert_in, raise_alert_in
from hub_ext.sessions.changes import Change
from hub_ext.sessions.status import GRANTED

if TYPE_CHECKING:  # the site holds the folders
    from hub_ext.site import Site

FULL_FROM = 0.99
"""So much of the quota counts as all of it: a program needs some room to save at all."""
ROOM_FROM = 0.97
"""Below this it is said that there is room again; between the two nothing changes."""


def tell_of_full(site: Site, owners: Collection[Owner]) -> None:
    """Raise or clear the alerts of sessions that write to folders of these owners."""
    if not owners:
        return
    changed: list[SessionRow] = []
    with site.database.transaction() as db:
        room = rooms(db, site.policy, owners)
        for row in db.scalars(select(SessionRow).where(SessionRow.status.in_(GRANTED))).all():
            mounts = _written(row, room)
            found = _tell(db, site, row, mounts, room) if mounts else None
            if found is not None:
                changed.append(found)
    for row in changed:
        site.changes.announce(Change(row.id, row.user, row.project))


def _written(row: SessionRow, room: Mapping[Owner, Room]) -> list[Mount]:
    """The mounts that it may write to, of these owners."""
    mounts = [Mount.read(values, row.user) for values in row.mounts]
    return [each for each in mounts if each.mode == "rw" and (each.kind, each.owner) in room]


def _tell(
    db: Session, site: Site, row: SessionRow, mounts: list[Mount], room: Mapping[Owner, Room]
) -> SessionRow | None:
    """The session as it is afterwards; None when it knows already."""
    filled = {id(each): _part(room[each.kind, each.owner]) for each in mounts}
    full = [each for each in mounts if filled[id(each)] >= FULL_FROM]
    if full:
        message = _message(db, site, row, full[0], room[full[0].kind, full[0].owner])
        return raise_alert_in(db, row.id, FOLDER, message)
    if all(part < ROOM_FROM for part in filled.values()):
        return clear_alert_in(db, row.id, FOLDER, "There is room in its folders again.")
    return None


def _part(room: Room) -> float:
    if room.limit is None:
        return 0.0
    return 1.0 if room.full else room.used / room.limit


def _message(db: Session, site: Site, row: SessionRow, mount: Mount, room: Room) -> str:
    """The numbers are for those alone who answer for the folder's room."""
    folder = db.get(FolderRow, mount.id)
    access = Access(db, site.policy, identity(db, row.id, row.user))
    name = mount.name or "home"
    if folder is None or not keeps(access.right(folder)):
        return f"Folder {name} is full. Ask its owner to make room."
    whose = room.owner if room.kind == "user" else f"project {room.owner}"
    return (
        f"Folder {name} is full: the folders of {whose} may take {size_text(room.limit or 0)}"
        " together. Delete what is no longer needed; the trash counts too."
    )

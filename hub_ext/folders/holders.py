"""Which live sessions mount a folder, and how they are made to let go of it."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, cast, or_, select
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow, SessionIdentityRow
from hub_ext.db.models import SessionRow
from hub_ext.folders.access import Access, Mode, Person
from hub_ext.folders.catalogue import label
from hub_ext.folders.session_mounts import Mount
from hub_ext.sessions.notices import EVICTIONS, Notice, warn_in
from hub_ext.sessions.status import BOOKED, GRANTED, LIVE, Status

if TYPE_CHECKING:  # the site holds the folders
    from hub_ext.site import Policy

NOTICE = "folder"
"""Code of the warning that a session has to let go of a folder."""
_NAMED_ONE_BY_ONE = 10
"""So many folders are looked for by their ids; of more, all mounts are read."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A live session that mounts a folder, or waits to."""

    session_id: str
    user: str
    name: str
    status: str
    mount: Mount

    @property
    def holds(self) -> bool:
        """Whether it may have the folder open now; a session that waits is checked again."""
        return self.status in BOOKED

    def as_json(self) -> dict[str, Any]:
        """For the REST API."""
        return {
            "id": self.session_id,
            "user": self.user,
            "name": self.name,
            "status": self.status,
            "target": self.mount.target,
            "subpath": self.mount.subpath,
            "mode": self.mount.mode,
            "stops_at": self.mount.until,
        }

    def told(self) -> str:
        """In a sentence: ``lab of bob``."""
        return f"{self.name} of {self.user}"


def holders(db: Session, folder_ids: Collection[str]) -> dict[str, list[Holder]]:
    """Of each of these folders, the live sessions that name it, the oldest first."""
    found: dict[str, list[Holder]] = {folder_id: [] for folder_id in folder_ids}
    if not found:
        return found
    columns = (SessionRow.id, SessionRow.user, SessionRow.name, SessionRow.status)
    query = select(*columns, SessionRow.mounts).where(SessionRow.status.in_(LIVE))
    # Of thousands that live, few mount what is asked for: the others are not read.
    written = cast(SessionRow.mounts, Text)
    if len(found) <= _NAMED_ONE_BY_ONE:
        query = query.where(or_(*(written.contains(folder_id) for folder_id in found)))
    else:
        query = query.where(written != "[]")
    for session_id, user, name, status, mounts in db.execute(query.order_by(SessionRow.order)):
        for values in mounts:
            mount = Mount.read(values, user)
            if mount.id in found:
                found[mount.id].append(Holder(session_id, user, name, status, mount))
    return found


def identify(db: Session, session_id: str, person: Person) -> None:
    """Remember as whom a session mounts folders; what the hub said last, holds."""
    row = db.get(SessionIdentityRow, session_id)
    if row is None:
        row = SessionIdentityRow(session_id=session_id)
        db.add(row)
    row.groups, row.admin = sorted(person.groups), person.admin


def identity(db: Session, session_id: str, user: str) -> Person:
    """As whom a session mounts folders."""
    row = db.get(SessionIdentityRow, session_id)
    if row is None:
        return Person(user)
    return Person(user, frozenset(row.groups), row.admin)


def revoked(
    db: Session, policy: Policy, folder: FolderRow, found: Sequence[Holder]
) -> list[Holder]:
    """Those that hold the folder in a way that their users have no right to any more."""
    return [holder for holder in found if holder.holds and not _allowed(db, policy, folder, holder)]


def _allowed(db: Session, policy: Policy, folder: FolderRow, holder: Holder) -> bool:
    person = identity(db, holder.session_id, holder.user)
    mode = Access(db, policy, person).claim(folder)
    return mode is not None and (holder.mount.mode == "ro" or mode.covers(Mode.RW))


def let_go(
    db: Session, folder: FolderRow, found: Sequence[Holder], warning_s: float
) -> list[SessionRow]:
    """Have these sessions stopped after a warning; returns them, for the caller to announce.

    It is written into their mounts, so that no restart and no other warning loses it; from
    there the culler carries it out.
    """
    now, stopping = time.time(), []
    for holder in found:
        row = db.get(SessionRow, holder.session_id)
        if row is None or row.status not in GRANTED:
            continue
        mounts = [Mount.read(values, row.user) for values in row.mounts]
        until = now + (warning_s if row.status == Status.RUNNING else 0.0)
        row.mounts = [_until(mount, folder.id, until).as_json() for mount in mounts]
        db.flush()
        if row.stops_at is None or (row.stops_at > until and row.notice_code not in EVICTIONS):
            warn_in(db, row.id, Notice(NOTICE, message_of(holder.mount), until))
        stopping.append(row)
    return stopping


def _until(mount: Mount, folder_id: str, until: float) -> Mount:
    """An earlier end stays."""
    if mount.id != folder_id:
        return mount
    return replace(mount, until=min(until, mount.until or until))


def message_of(mount: Mount) -> str:
    """Why a session has to end."""
    return f"The folder {mount.shown} is not shared with its user any more."


def warnings_of(folder: FolderRow, found: Sequence[Holder]) -> list[str]:
    """Sentences about the sessions that a folder's trash leaves alone, and those that wait."""
    holding = [holder.told() for holder in found if holder.holds]
    waiting = [holder.told() for holder in found if not holder.holds]
    sentences = []
    if holding:
        sentences.append(
            f"{_listed(holding)} still {_verb(holding, 'mounts', 'mount')} {label(folder)} and"
            f" {_verb(holding, 'keeps', 'keep')} it until the end."
        )
    if waiting:
        sentences.append(
            f"{_listed(waiting)} {_verb(waiting, 'waits', 'wait')} to mount it and will not start."
        )
    return sentences


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"


def _verb(names: Sequence[str], one: str, more: str) -> str:
    return one if len(names) == 1 else more

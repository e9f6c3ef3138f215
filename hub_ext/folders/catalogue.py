"""Which folders there are: made, named, changed, given to another owner.

Every function takes the transaction it belongs to; who may do it has been decided before
(``access.py``). A new row is in state "new": its directory is made when it is first used
(``ready``), so that no transaction waits for the storage.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.folder_models import FolderRow, ShareRow
from hub_ext.errors import Conflict, NotFound
from hub_ext.folders.access import NO_FOLDER
from hub_ext.folders.names import check_folder_name
from hub_ext.folders.storage import FolderStorage
from hub_ext.projects import audit

HOME_FOLDER = ""
"""Name of the row that is a user's persistent home."""

_CHANGEABLE = ("name", "usage", "members_mode")


class FolderCatalogue:
    """The folders of users and projects."""

    def __init__(self, storage: FolderStorage) -> None:
        self.storage = storage

    def get(self, db: Session, folder_id: str) -> FolderRow | None:
        """By id, whatever its state."""
        return db.get(FolderRow, folder_id)

    def names(self, db: Session, owner: str) -> list[FolderRow]:
        """A user's own folders by name, without the home and the trash."""
        query = select(FolderRow).where(
            FolderRow.kind == "user",
            FolderRow.owner == owner,
            FolderRow.name != HOME_FOLDER,
            FolderRow.trashed_at.is_(None),
        )
        return list(db.scalars(query.order_by(FolderRow.name)))

    def create(
        self,
        db: Session,
        owner: str,
        name: str,
        *,
        kind: str = "user",
        by: str = "",
        field: str = "name",
        **columns: Any,
    ) -> FolderRow:
        """A new folder. Raises BadValue for its name, Conflict when it exists."""
        check_folder_name(name, field=field)
        self._check_free(db, kind, owner, name, field)
        folder = new_folder(kind, owner, name, by or owner, **columns)
        db.add(folder)
        self._flush(db, kind, owner, name, field)
        note(db, by or owner, "folder.create", folder, None, as_json(folder))
        return folder

    def withdraw(self, db: Session, folder: FolderRow, *, by: str) -> None:
        """Take back what ``create`` has made, when the storage could not follow."""
        gone = delete(FolderRow).where(FolderRow.id == folder.id, FolderRow.state == "new")
        if db.execute(gone).rowcount:  # type: ignore[attr-defined]
            note(db, by, "folder.withdraw", folder, as_json(folder), None)

    def home(self, db: Session, owner: str) -> FolderRow:
        """A user's home, made with his first session."""
        found = find(db, "user", owner, HOME_FOLDER)
        if found is None:
            found = new_folder("user", owner, HOME_FOLDER, owner)
            db.add(found)
            db.flush()
        return found

    def change(self, db: Session, folder: FolderRow, values: dict[str, Any], *, by: str) -> None:
        """New name, usage or members_mode. Raises BadValue, Conflict."""
        before = as_json(folder)
        name = values.get("name", folder.name)
        if name != folder.name:
            check_folder_name(name)
            self._check_free(db, folder.kind, folder.owner, name, "name")
        for column in _CHANGEABLE:
            if column in values:
                setattr(folder, column, values[column])
        self._flush(db, folder.kind, folder.owner, name, "name")
        after = as_json(folder)
        if before != after:
            note(db, by, "folder.change", folder, before, after)

    def transfer(
        self, db: Session, folder: FolderRow, kind: str, owner: str, name: str, *, by: str
    ) -> None:
        """To another owner, whose quota it then counts against. Raises BadValue, Conflict.

        Invitations stay, but that of the new owner ends.
        """
        check_folder_name(name)
        self._check_free(db, kind, owner, name, "name")
        before = as_json(folder)
        folder.kind, folder.owner, folder.name = kind, owner, name
        self._flush(db, kind, owner, name, "name")
        if kind == "user":
            now = time.time()
            open_one = update(ShareRow).where(
                ShareRow.folder_id == folder.id, ShareRow.user == owner, ShareRow.ended_at.is_(None)
            )
            db.execute(open_one.values(state="stopped", ended_at=now))
        note(db, by, "folder.transfer", folder, before, as_json(folder))

    async def ready(self, database: Database, folder: FolderRow) -> None:
        """The directory of a new folder; one that was there and is gone is never made again.

        Raises StorageError. Dying in between is harmless: making it is repeatable.
        """
        if folder.state != "new":
            return
        await self.storage.ensure(folder.id)
        with database.transaction() as db:
            db.execute(
                update(FolderRow)
                .where(FolderRow.id == folder.id, FolderRow.state == "new")
                .values(state="ready")
            )
        folder.state = "ready"

    def _check_free(self, db: Session, kind: str, owner: str, name: str, field: str) -> None:
        if find(db, kind, owner, name) is not None:
            raise _taken(kind, owner, name, field)

    def _flush(self, db: Session, kind: str, owner: str, name: str, field: str) -> None:
        """Raises Conflict for a name that somebody has taken in the same moment."""
        try:
            db.flush()
        except IntegrityError as error:
            raise _taken(kind, owner, name, field) from error


def find(db: Session, kind: str, owner: str, name: str) -> FolderRow | None:
    """A folder of this owner that is not in the trash."""
    return db.scalar(
        select(FolderRow).where(
            FolderRow.kind == kind,
            FolderRow.owner == owner,
            FolderRow.name == name,
            FolderRow.trashed_at.is_(None),
        )
    )


def free_name(db: Session, kind: str, owner: str, name: str) -> str:
    """``name``, or the first of name-2, name-3, ... that is free."""
    free, number = name, 1
    while find(db, kind, owner, free) is not None:
        number += 1
        suffix = f"-{number}"
        free = name[: 64 - len(suffix)] + suffix
    return free


def new_folder(kind: str, owner: str, name: str, by: str, **columns: Any) -> FolderRow:
    """A row as it begins; not stored yet."""
    values = {"usage": "general", "members_mode": "ro", "state": "new"} | columns
    return FolderRow(
        id=uuid.uuid4().hex,
        kind=kind,
        owner=owner,
        name=name,
        created_at=time.time(),
        created_by=by,
        **values,
    )


def lock(db: Session, folder_id: str) -> FolderRow | None:
    """The row, kept from every other change until the transaction ends."""
    return db.get(FolderRow, folder_id, with_for_update=True, populate_existing=True)


def one(db: Session, folder_id: str) -> FolderRow:
    """By id. Raises NotFound."""
    found = db.get(FolderRow, folder_id)
    if found is None:
        raise NotFound(NO_FOLDER)
    return found


def label(folder: FolderRow) -> str:
    """As people name it: ``user:ann/data``; a home is ``user:ann/``."""
    return f"{folder.kind}:{folder.owner}/{folder.name}"


def as_json(folder: FolderRow) -> dict[str, Any]:
    """What the audit log keeps."""
    columns = ("id", "kind", "owner", "name", "usage", "members_mode")
    return {column: getattr(folder, column) for column in columns}


def note(
    db: Session,
    by: str,
    action: str,
    folder: FolderRow,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    """Into the audit log; instructors read what concerns their project's folders."""
    project = folder.owner if folder.kind == "project" else None
    audit.note(db, by, action, label(folder), project, before, after)


def _taken(kind: str, owner: str, name: str, field: str) -> Conflict:
    who = "You already have" if kind == "user" else f"Project {owner} already has"
    return Conflict(f"{who} a folder '{name}'.", field=field)

"""Which folders there are, and what a session mounts."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow
from hub_ext.errors import BadValue, Conflict
from hub_ext.folders.names import HOME, check_folder_name, check_target, is_dot_folder
from hub_ext.folders.storage import FolderStorage
from hub_ext.sessions.launch import FolderMount

HOME_FOLDER = ""
"""Name of the row that is a user's persistent home."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of the storage root, mounted at ``target``."""

    folder: str
    source: Path
    target: str
    mode: str

    def as_json(self) -> dict[str, str]:
        """For the session's row: what was mounted, and from where."""
        return {
            "name": self.folder,
            "source": str(self.source),
            "target": self.target,
            "mode": self.mode,
        }


class FolderCatalogue:
    """Folders of users; every call takes the transaction it belongs to."""

    def __init__(self, storage: FolderStorage) -> None:
        self.storage = storage

    def names(self, db: Session, owner: str) -> list[FolderRow]:
        """A user's named folders by name, without the home."""
        query = select(FolderRow).where(FolderRow.owner == owner, FolderRow.name != HOME_FOLDER)
        return list(db.scalars(query.order_by(FolderRow.name)))

    def create(self, db: Session, owner: str, name: str, *, field: str = "name") -> FolderRow:
        """A new folder. Raises BadValue for its name, Conflict when it exists."""
        check_folder_name(name, field=field)
        if self._find(db, owner, name) is not None:
            raise Conflict(f"You already have a folder '{name}'.", field=field)
        return self._add(db, owner, name)

    def check(
        self, db: Session, owner: str, chosen: list[FolderMount], new_folders: list[str]
    ) -> None:
        """Whether ``mounts`` would refuse: the same errors, and nothing is made."""
        new = [FolderMount(name=check_folder_name(n, field="new_folders")) for n in new_folders]
        wanted = {mount.name: mount for mount in [*new, *chosen]}
        mounts = [Mount(HOME_FOLDER, self.storage.root, HOME, "rw")]
        for mount in wanted.values():
            if mount.name not in new_folders and self._named(db, owner, mount.name) is None:
                raise BadValue(f"You have no folder '{mount.name}'.", field="folders")
            target = check_target(mount.target or mount.name, field="folders")
            mounts.append(Mount(mount.name, self.storage.root, target, mount.mode))
        _without_clashes(mounts)

    def mounts(
        self,
        db: Session,
        owner: str,
        chosen: list[FolderMount],
        new_folders: list[str],
    ) -> list[Mount]:
        """Home, dot-folders, the chosen and the new ones, outer targets first.

        Raises BadValue naming the field for an unknown folder or a clash of targets,
        StorageError when a directory cannot be had.
        """
        home = self._find(db, owner, HOME_FOLDER) or self._add(db, owner, HOME_FOLDER)
        mounts = [Mount(HOME_FOLDER, self.storage.make(home.id), HOME, "rw")]
        wanted = {mount.name: mount for mount in chosen}
        for name in new_folders:
            if self._find(db, owner, name) is None:
                self.create(db, owner, name, field="new_folders")
            wanted.setdefault(name, FolderMount(name=name))
        for row in self.names(db, owner):
            if is_dot_folder(row.name):
                wanted.setdefault(row.name, FolderMount(name=row.name))
        for mount in wanted.values():
            mounts.append(self._mount(db, owner, mount))
        return _without_clashes(mounts)

    def _mount(self, db: Session, owner: str, mount: FolderMount) -> Mount:
        row = self._named(db, owner, mount.name)
        if row is None:
            raise BadValue(f"You have no folder '{mount.name}'.", field="folders")
        target = check_target(mount.target or row.name, field="folders")
        return Mount(row.name, self.storage.make(row.id), target, mount.mode)

    def _named(self, db: Session, owner: str, name: str) -> FolderRow | None:
        """A folder that may be chosen; the home cannot."""
        return self._find(db, owner, name) if name != HOME_FOLDER else None

    def _find(self, db: Session, owner: str, name: str) -> FolderRow | None:
        return db.scalar(select(FolderRow).where(FolderRow.owner == owner, FolderRow.name == name))

    def _add(self, db: Session, owner: str, name: str) -> FolderRow:
        row = FolderRow(
            id=uuid.uuid4().hex, owner=owner, name=name, usage="general", created_at=time.time()
        )
        self.storage.make(row.id)
        db.add(row)
        db.flush()
        return row


def _without_clashes(mounts: list[Mount]) -> list[Mount]:
    """Sorted by target. Raises BadValue when two folders want the same place."""
    taken: dict[str, str] = {}
    for mount in mounts:
        if mount.target in taken:
            raise BadValue(
                f"'{mount.folder}' and '{taken[mount.target]}' cannot both be mounted at"
                f" {mount.target}.",
                field="folders",
            )
        taken[mount.target] = mount.folder
    return sorted(mounts, key=lambda mount: mount.target)

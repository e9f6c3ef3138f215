"""Files on their way into a folder, in pieces, over broken connections and restarts.

The bytes wait in ``.upload-<id>`` outside the folder, and one rename puts the whole file in
its place. That file is made before the row and renamed before the row goes, so a row without
it speaks of an upload that is finished, whatever ended in between.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.folder_models import FolderRow, ShareRow, UploadRow
from hub_ext.db.models import MemberRow
from hub_ext.errors import BadValue, Conflict, NotFound, OverLimit
from hub_ext.folders.contents import FILE_MODE, give_to_user, place_file
from hub_ext.folders.safe_path import check_path
from hub_ext.folders.storage import FolderStorage, StorageFull
from hub_ext.folders.storage_errors import in_folder
from hub_ext.folders.storage_root import UPLOAD, opened_folder

MOST_AT_ONCE = 50
"""Unfinished uploads of one user."""
PIECE_MOST = 16 * 1024 * 1024
"""Bytes of one piece, so that none holds the storage or the memory for long."""
RESERVED_MOST = 1024**3
"""Bytes kept free for what one user has announced, when others begin an upload."""
IDLE_S = 7 * 86400.0
"""An upload that nothing was added to for so long is forgotten."""
_KEEP_FREE = 64 * 1024 * 1024


class WrongOffset(Conflict):
    """The piece does not follow what is there; go on at ``offset`` (409)."""

    code = "wrong_offset"

    def __init__(self, offset: int) -> None:
        super().__init__(f"This upload has {offset} bytes; continue from there.", field="offset")
        self.offset = offset

    def as_json(self) -> dict[str, dict[str, Any]]:
        """The error body, with the right offset."""
        body: dict[str, dict[str, Any]] = {**super().as_json()}
        body["error"]["offset"] = self.offset
        return body


@dataclass(frozen=True, slots=True)
class Upload:
    """An unfinished upload."""

    id: str
    folder_id: str
    user: str
    path: str
    size: int
    offset: int
    """Bytes that are here."""


class Uploads:
    """Whoever calls has looked at permissions; ``user`` sees only uploads of his own."""

    def __init__(self, database: Database, storage: FolderStorage) -> None:
        self._database = database
        self._storage = storage

    async def create(
        self,
        *,
        folder_id: str,
        user: str,
        path: str,
        size: int,
        overwrite: bool = False,
        admit: Callable[[Session], None] | None = None,
    ) -> Upload:
        """Begin. ``admit`` raises when there is no room; no other upload begins meanwhile.

        Raises BadValue, Conflict when a file is there and ``overwrite`` is not set, OverLimit,
        StorageFull.
        """
        inner = check_path(path)
        if size < 0:
            raise BadValue("The size of a file is 0 bytes or more.", field="size")
        with self._database.transaction() as db:
            others = _admitted(db, user, admit)
        promised = await self._storage.at_root(lambda root: _missing_bytes(root, others, user))
        free = await self._storage.free_bytes() - promised - _KEEP_FREE
        await self._require_place(folder_id, inner, overwrite)
        upload = Upload(uuid.uuid4().hex, folder_id, user, inner, size, 0)
        await self._storage.at_root(lambda root: _make(root, upload.id))
        try:
            with self._database.transaction() as db:
                # All is looked at again: others have begun while the storage was asked.
                begun = set(_admitted(db, user, admit)) - set(others)
                _check_free(size, free - sum(_kept_for(other, user) for other in begun))
                _add_row(db, upload, overwrite)
        except BaseException:
            await self._storage.at_root(lambda root: _unlink(root, upload.id))
            raise
        return upload

    async def get(self, upload_id: str, user: str) -> Upload:
        """With how much of it is here. Raises NotFound."""
        row = self._row(upload_id, user)
        offset = await self._storage.at_root(lambda root: _length(root, upload_id))
        if offset is None:
            self._forget(upload_id)
            raise _unknown()
        return Upload(row.id, row.folder_id, row.user, row.path, row.size, offset)

    async def append(self, upload_id: str, user: str, offset: int, piece: bytes) -> int:
        """Add a piece at ``offset``; returns the next one. What is added is on the disk.

        Raises WrongOffset, BadValue, NotFound, StorageFull; then nothing was added.
        """
        row = self._row(upload_id, user)
        if len(piece) > PIECE_MOST:
            raise BadValue(f"A piece has at most {_mb(PIECE_MOST)}.", field="piece")
        if offset + len(piece) > row.size:
            raise BadValue(
                f"This upload has {row.size} bytes; {offset} + {len(piece)} are more.",
                field="offset",
            )
        reached = await self._storage.at_root(lambda root: _append(root, upload_id, offset, piece))
        self._note_piece(upload_id)
        return reached

    def _note_piece(self, upload_id: str) -> None:
        """Told to nobody: with each piece of anybody's, every open page of folders would ask."""
        table = UploadRow.__table__
        renew = update(table).where(table.c.id == upload_id)  # type: ignore[arg-type]
        with self._database.transaction() as db:
            db.connection().execute(renew.values(changed_at=time.time()))

    async def finish(self, upload_id: str, user: str) -> str:
        """Put the file in its place; returns its path. Raises Conflict, NotFound.

        Once more is fine when the answer to the first time was lost on the way.
        """
        row = self._row(upload_id, user)
        await self._storage.at_root(lambda root: _finish(root, row))
        self._forget(upload_id)
        return row.path

    def into(self, db: Session, folder_id: str) -> list[UploadRow]:
        """Everybody's unfinished uploads into a folder, the oldest first."""
        query = select(UploadRow).where(UploadRow.folder_id == folder_id)
        return list(db.scalars(query.order_by(UploadRow.started_at, UploadRow.id)))

    async def cancel(self, upload_id: str) -> None:
        """Forget anybody's and its bytes, for those who keep the folder."""
        await self._discard(upload_id)

    async def abort(self, upload_id: str, user: str) -> None:
        """Forget it and its bytes. Raises NotFound."""
        self._row(upload_id, user)
        await self._discard(upload_id)

    async def expire(self, now: float) -> None:
        """Forget what nothing was added to for a week, or whose user may not write any more."""
        with self._database.transaction() as db:
            idle = list(db.scalars(select(UploadRow.id).where(UploadRow.changed_at < now - IDLE_S)))
            idle.extend(db.scalars(select(UploadRow.id).where(_without_right())))
        for upload_id in idle:
            await self._discard(upload_id)

    async def _require_place(self, folder_id: str, path: str, overwrite: bool) -> None:
        """Say early what ``finish`` would say after a long upload."""
        with suppress(NotFound):
            found = await self._storage.stat(folder_id, path)
            if found.type == "directory" or not overwrite:
                raise Conflict(f"{path!a} is there already.", field="path")

    def _row(self, upload_id: str, user: str) -> UploadRow:
        with self._database.transaction() as db:
            row = db.get(UploadRow, upload_id)
        if row is None or row.user != user:
            raise _unknown()
        return row

    def _forget(self, upload_id: str) -> None:
        with self._database.transaction() as db:
            db.execute(delete(UploadRow).where(UploadRow.id == upload_id))

    async def _discard(self, upload_id: str) -> None:
        """The row first: bytes without a row are swept, a row without bytes would stay."""
        self._forget(upload_id)
        await self._storage.at_root(lambda root: _unlink(root, upload_id))


def drop_without_right(db: Session, folder_id: str, user: str) -> None:
    """Forget a user's uploads into a folder that he may not write to any more.

    Their bytes are swept, as those of any upload without a row.
    """
    theirs = (UploadRow.folder_id == folder_id) & (UploadRow.user == user)
    db.flush()
    doomed = list(db.scalars(select(UploadRow.id).where(theirs, _without_right())))
    db.execute(delete(UploadRow).where(UploadRow.id.in_(doomed)))


def _without_right() -> ColumnElement[bool]:
    """Uploads of those who no longer write there, as far as the rows alone tell.

    Who comes into a project by a group of the hub is not in them: into folders of projects
    only uploads of those are meant whose invitation has ended or became read-only.
    """
    theirs = (ShareRow.folder_id == UploadRow.folder_id) & (ShareRow.user == UploadRow.user)
    writing = (ShareRow.state == "accepted") & ShareRow.mode.in_(("rw", "rwd"))
    teaches = (MemberRow.user == UploadRow.user) & (MemberRow.role == "instructor")
    foreign = (FolderRow.kind == "user") & (FolderRow.owner != UploadRow.user)
    was_invited = (
        (FolderRow.kind == "project")
        & func.coalesce(FolderRow.members_mode, "").not_in(("rw", "rwd"))
        & exists().where(theirs, ShareRow.state != "pending")
        & ~exists().where(teaches, MemberRow.project == FolderRow.owner)
    )
    there = FolderRow.id == UploadRow.folder_id
    return ~exists().where(theirs, writing) & exists().where(there, foreign | was_invited)


@dataclass(frozen=True, slots=True)
class _Open:
    """An unfinished upload of anybody."""

    id: str
    user: str
    size: int


def _admitted(db: Session, user: str, admit: Callable[[Session], None] | None) -> list[_Open]:
    """Everybody's uploads, when this user may begin one more. Raises OverLimit."""
    rows = db.execute(select(UploadRow.id, UploadRow.user, UploadRow.size)).all()
    if sum(row.user == user for row in rows) >= MOST_AT_ONCE:
        raise OverLimit(f"You have {MOST_AT_ONCE} unfinished uploads; finish or cancel some first.")
    if admit is not None:
        admit(db)
    return [_Open(row.id, row.user, row.size) for row in rows]


def _kept_for(upload: _Open, user: str) -> int:
    """Bytes that one new upload takes from what ``user`` finds free."""
    return upload.size if upload.user == user else min(upload.size, RESERVED_MOST)


def _check_free(size: int, free: int) -> None:
    """Raises StorageFull."""
    if size > free:
        raise StorageFull(
            f"The file has {_mb(size)}, and the folder storage has {_mb(max(free, 0))} left.",
            field="size",
        )


def _add_row(db: Session, upload: Upload, overwrite: bool) -> None:
    now = time.time()
    db.add(
        UploadRow(
            id=upload.id,
            folder_id=upload.folder_id,
            user=upload.user,
            path=upload.path,
            size=upload.size,
            overwrite=overwrite,
            started_at=now,
            changed_at=now,
        )
    )


def _unknown() -> NotFound:
    return NotFound("There is no such upload (any more).")


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _make(root_fd: int, upload_id: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    os.close(os.open(UPLOAD + upload_id, flags, 0o600, dir_fd=root_fd))


def _unlink(root_fd: int, upload_id: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(UPLOAD + upload_id, dir_fd=root_fd)


def _length(root_fd: int, upload_id: str) -> int | None:
    """Bytes that are here; None when the file is not."""
    try:
        return os.stat(UPLOAD + upload_id, dir_fd=root_fd, follow_symlinks=False).st_size
    except FileNotFoundError:
        return None


def _missing_bytes(root_fd: int, uploads: list[_Open], user: str) -> int:
    """Bytes to keep free for what has been announced and is still to come.

    Of others at most RESERVED_MOST each, so that nobody takes the storage by announcing;
    nothing for one that is in its place.
    """
    missing: dict[str, int] = {}
    for upload in uploads:
        here = _length(root_fd, upload.id)
        if here is not None:
            missing[upload.user] = missing.get(upload.user, 0) + upload.size - here
    own = missing.pop(user, 0)
    return own + sum(min(size, RESERVED_MOST) for size in missing.values())


@contextmanager
def _locked(root_fd: int, upload_id: str) -> Iterator[int]:
    """The upload's file, for one piece at a time. Raises Conflict, FileNotFoundError."""
    name = UPLOAD + upload_id
    fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root_fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It may have been put in its place between our open and our lock.
        if os.fstat(fd).st_ino != os.stat(name, dir_fd=root_fd, follow_symlinks=False).st_ino:
            raise FileNotFoundError(name)
        yield fd
    except BlockingIOError:
        raise Conflict("Another piece of this upload is being written; send one at a time.") from (
            None
        )
    finally:
        os.close(fd)


def _append(root_fd: int, upload_id: str, offset: int, piece: bytes) -> int:
    try:
        with _locked(root_fd, upload_id) as fd:
            present = os.fstat(fd).st_size
            if offset != present:
                raise WrongOffset(present)
            _write(fd, offset, piece)
            return offset + len(piece)
    except FileNotFoundError:
        raise _unknown() from None


def _write(fd: int, offset: int, piece: bytes) -> None:
    """All of it and durable, or none."""
    try:
        written = 0
        while written < len(piece):
            written += os.pwrite(fd, piece[written:], offset + written)
        os.fdatasync(fd)
    except OSError:
        os.ftruncate(fd, offset)
        raise


def _finish(root_fd: int, row: UploadRow) -> None:
    """Raises Conflict, NotFound; a file that is gone was put in its place before."""
    try:
        with _locked(root_fd, row.id) as fd:
            present = os.fstat(fd).st_size
            if present != row.size:
                raise WrongOffset(present)
            give_to_user(fd)
            os.fchmod(fd, FILE_MODE)
            os.fsync(fd)
            _place(root_fd, row)
    except FileNotFoundError:
        return


def _place(root_fd: int, row: UploadRow) -> None:
    with opened_folder(root_fd, row.folder_id) as folder_fd:
        try:
            place_file(root_fd, UPLOAD + row.id, folder_fd, row.path, overwrite=row.overwrite)
        except OSError as error:
            raise in_folder(error, row.path) from error

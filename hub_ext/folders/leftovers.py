"""What accidents leave on the storage, and who may still need it.

Only names that the service itself makes are ever touched. The names are read before the
rows: a job's row is there before its directory is, so what has no row is not being worked on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from contextlib import suppress

from sqlalchemy import select

from hub_ext.db.connection import Database
from hub_ext.db.folder_models import FolderJobRow, FolderRow, UploadRow
from hub_ext.db.models import SessionRow
from hub_ext.folders.file_process import WorkFailed, run_file_work
from hub_ext.folders.mounting import SubpathMounts
from hub_ext.folders.storage import FolderStorage, StorageError
from hub_ext.folders.storage_root import CLONE, PURGE, UPLOAD, move, names_in
from hub_ext.folders.uploads import Uploads

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_UPLOAD_S = 86400.0
"""An upload's bytes are there before its row; a day later they belong to nobody."""


class Leftovers:
    """``run`` sweeps at the start, when woken, and now and then."""

    def __init__(self, database: Database, storage: FolderStorage) -> None:
        self._database = database
        self._storage = storage
        self._mounts = SubpathMounts(storage)
        self._uploads = Uploads(database, storage)
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may be left over."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._woken.clear()
            try:
                await self.sweep()
            except (StorageError, WorkFailed) as error:
                log.warning("The folder storage could not be tidied up: %s", error)
            except Exception:
                log.exception("tidying up the folder storage")
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_S):
                    await self._woken.wait()

    async def sweep(self) -> None:
        """Remove what nobody needs. Raises StorageError, WorkFailed."""
        await self._mounts.reconcile(self._live_sessions)
        await self._uploads.expire(time.time())
        names = await self._storage.at_root(names_in)
        doomed = self._without_rows(names)
        await self._storage.at_root(lambda root: _unlink_old_uploads(root, doomed))
        for folder_id in self._cancelled_too_late(names):
            doomed.append(await self._put_away(folder_id))
        trees = [name for name in doomed if not name.startswith(UPLOAD)]
        if trees:
            await run_file_work({"task": "purge", "root": str(self._storage.root), "names": trees})

    async def _put_away(self, folder_id: str) -> str:
        gone = PURGE + uuid.uuid4().hex
        await self._storage.at_root(lambda root: move(root, folder_id, gone))
        return gone

    def _without_rows(self, names: list[str]) -> list[str]:
        """Clones, purges and uploads that no row speaks of any more."""
        with self._database.transaction() as db:
            jobs = db.scalars(select(FolderJobRow).where(FolderJobRow.state == "running"))
            needed = {(CLONE if job.kind == "clone" else PURGE) + job.folder_id for job in jobs}
            needed.update(UPLOAD + upload for upload in db.scalars(select(UploadRow.id)))
        ours = (CLONE, PURGE, UPLOAD)
        return [name for name in names if name.startswith(ours) and name not in needed]

    def _cancelled_too_late(self, names: list[str]) -> list[str]:
        """Whole clones whose job was cancelled, or failed, in the moment of the last rename.

        Nothing else in the storage is deleted for want of a row: after a database was
        restored from a backup, that may be all there is of somebody's work.
        """
        with self._database.transaction() as db:
            query = select(FolderJobRow.folder_id).where(
                FolderJobRow.kind == "clone",
                FolderJobRow.state.in_(("cancelled", "failed")),
                FolderJobRow.folder_id.not_in(select(FolderRow.id)),
            )
            return sorted(set(db.scalars(query)).intersection(names))

    def _live_sessions(self) -> set[str]:
        with self._database.transaction() as db:
            return set(db.scalars(select(SessionRow.id).where(SessionRow.ended_at.is_(None))))


def _unlink_old_uploads(root_fd: int, names: list[str]) -> None:
    for name in names:
        if not name.startswith(UPLOAD):
            continue
        with suppress(FileNotFoundError):
            found = os.stat(name, dir_fd=root_fd, follow_symlinks=False)
            if found.st_mtime < time.time() - _UPLOAD_S:
                os.unlink(name, dir_fd=root_fd)

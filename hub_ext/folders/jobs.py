"""Work on folders that takes long, clones and purges, and what is left over by accidents.

A job is a row; its work is done by a process of its own (``file_worker.py``), which dies
with the service. Whatever happens when, the state is one of these, and ``run`` goes on:

| job     | on the storage                | what is done                                  |
|---------|-------------------------------|-----------------------------------------------|
| clone   | nothing                       | begin                                         |
| clone   | ``.clone-<id>``               | it may be half: put away, begin anew          |
| clone   | ``<id>``, no ``.clone-<id>``  | it was whole and renamed: the job is done     |
| purge   | ``<id>``                      | rename to ``.purge-<id>``, delete             |
| purge   | ``.purge-<id>``               | delete on                                     |
| purge   | nothing                       | the job is done                               |
| no job  | ``.clone-*``, ``.purge-*``    | delete                                        |

A purge that failed is begun again after a pause, for as long as the folder's row is
``purging``: nobody can restore that folder, and its bytes count.

The end of a job and what it means for the folder's row are one transaction: a clone that is
whole is ``ready``; the row of one that failed or was cancelled goes, and so does that of a
purged folder.

Whether who asked for a clone may still read its source is looked at when it begins, every few
seconds while it runs, and in the transaction that makes it ``ready``.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.folder_models import FolderJobRow, FolderRow
from hub_ext.errors import Conflict
from hub_ext.folders.access import Person
from hub_ext.folders.clone_right import refusal
from hub_ext.folders.file_process import Progress, WorkFailed, run_file_work
from hub_ext.folders.leftovers import Leftovers
from hub_ext.folders.storage import FolderStorage, StorageError
from hub_ext.folders.storage_root import CLONE, PURGE, create, exists, move

if TYPE_CHECKING:  # the site holds the jobs
    from hub_ext.site import Policy

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 30.0
"""A storage that was away is tried again this often."""
_RIGHTS_EVERY_S = 2.0
"""A copy goes on at most so long after its user has lost the right to read the source."""
_AGAIN_AFTER_S = 60.0
"""A purge that failed is tried again so much later."""
_AT_ONCE = {"clone": 2, "purge": 1}


class FolderJobs:
    """``add_*`` and ``cancel`` in the caller's transaction, then ``wake``; ``run`` does it."""

    def __init__(self, database: Database, storage: FolderStorage, policy: Policy) -> None:
        self._database = database
        self._storage = storage
        self._policy = policy
        self._leftovers = Leftovers(database, storage)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()

    def add_clone(self, db: Session, *, folder_id: str, source_id: str, by: Person) -> FolderJobRow:
        """Copy ``source_id`` into the new folder, whose row is there in state ``cloning``.

        Whoever calls has looked at permissions and quota. Raises Conflict when the purge of
        the source has begun in the same moment.
        """
        source = db.get(FolderRow, source_id, with_for_update=True)
        if source is not None and source.state == "purging":
            raise Conflict("The folder is being deleted.")
        job = _new_job("clone", folder_id, by.name)
        job.source_id, job.groups, job.admin = source_id, sorted(by.groups), by.admin
        if source is not None:
            job.bytes_total, job.files_total = source.used_bytes, source.used_files
        db.add(job)
        return job

    def add_purge(self, db: Session, *, folder_id: str, user: str) -> FolderJobRow:
        """Delete the folder for good; its row becomes ``purging`` and goes with the files."""
        job = _new_job("purge", folder_id, user)
        db.add(job)
        folder = db.get(FolderRow, folder_id)
        if folder is not None:
            folder.state = "purging"
        return job

    def cancel(self, db: Session, job: FolderJobRow) -> None:
        """Stop a clone; nothing of it stays. Raises Conflict when it cannot be stopped."""
        if job.kind != "clone":
            raise Conflict("What is being deleted cannot be had back.")
        if job.state != "running":
            raise Conflict(f"This clone is {job.state} already.")
        _end(db, job, "cancelled")

    def wake(self) -> None:
        """A job was added or cancelled, and that is committed."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled; jobs that run then go on at the next start."""
        discards = asyncio.create_task(self._wake_on_discards())
        sweeps = asyncio.create_task(self._leftovers.run())
        rights = asyncio.create_task(self._watch_rights())
        beside = (discards, sweeps, rights)
        try:
            while True:
                self._woken.clear()
                self._start_and_stop()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._woken.wait()
        finally:
            for task in (*beside, *self._tasks.values()):
                task.cancel()
            await asyncio.gather(*beside, *self._tasks.values(), return_exceptions=True)

    async def _wake_on_discards(self) -> None:
        """What is discarded needs no job, only a sweep."""
        while True:
            await self._storage.discarded.wait()
            self._storage.discarded.clear()
            self._leftovers.wake()

    async def _watch_rights(self) -> None:
        """While something runs, end the clones of those who may not read the source any more."""
        while True:
            await asyncio.sleep(_RIGHTS_EVERY_S)
            try:
                if self._tasks and self._end_without_right():
                    self.wake()
            except Exception:
                log.exception("looking at the rights of clones")

    def _end_without_right(self) -> bool:
        """Whether there were any; their tasks end with the next wake, as those cancelled."""
        ended = False
        with self._database.transaction() as db:
            clones = select(FolderJobRow).where(
                FolderJobRow.kind == "clone", FolderJobRow.state == "running"
            )
            for job in db.scalars(clones.with_for_update()).all():
                if why := refusal(db, self._policy, job):
                    _end(db, job, "failed", why)
                    ended = True
        return ended

    def _start_and_stop(self) -> None:
        """A task for each running row, none for others."""
        with self._database.transaction() as db:
            self._purge_again(db)
            running = db.scalars(
                select(FolderJobRow)
                .where(FolderJobRow.state == "running")
                .order_by(FolderJobRow.started_at)
            ).all()
        ids = {job.id for job in running}
        for job_id, task in list(self._tasks.items()):
            if job_id not in ids:
                task.cancel()
        self._tasks = {key: task for key, task in self._tasks.items() if not task.done()}
        busy = dict.fromkeys(_AT_ONCE, 0)
        for job in running:
            busy[job.kind] += job.id in self._tasks
        for job in running:
            if job.id not in self._tasks and busy[job.kind] < _AT_ONCE[job.kind]:
                busy[job.kind] += 1
                self._tasks[job.id] = asyncio.create_task(self._work(job))

    def _purge_again(self, db: Session) -> None:
        """A running job for each folder that is ``purging`` and whose purge failed, or is lost."""
        recent = (FolderJobRow.state == "running") | (
            FolderJobRow.ended_at > time.time() - _AGAIN_AFTER_S
        )
        busy = select(FolderJobRow.folder_id).where(FolderJobRow.kind == "purge", recent)
        stuck = select(FolderRow.id).where(FolderRow.state == "purging", FolderRow.id.not_in(busy))
        for folder_id in db.scalars(stuck).all():
            purges = select(FolderJobRow).where(
                FolderJobRow.kind == "purge", FolderJobRow.folder_id == folder_id
            )
            job = db.scalar(purges.order_by(FolderJobRow.started_at.desc()).limit(1))
            if job is None:
                self.add_purge(db, folder_id=folder_id, user="service")
            else:
                job.state, job.error, job.ended_at = "running", "", None
        db.flush()

    async def _work(self, job: FolderJobRow) -> None:
        """One job to its end; a storage that is away leaves it for later, after a pause."""
        steps: Mapping[str, Callable[[FolderJobRow], Awaitable[str]]] = {
            "clone": self._clone,
            "purge": self._purge,
        }
        away = False
        try:
            note = await steps[job.kind](job)
        except StorageError as error:
            log.warning("%s of folder %s waits: %s", job.kind, job.folder_id, error.message)
            away = True
        except WorkFailed as error:
            log.warning("%s of folder %s failed: %s", job.kind, job.folder_id, error)
            self._finish(job.id, "failed", error=str(error))
        except Exception:
            log.exception("%s of folder %s", job.kind, job.folder_id)
            self._finish(job.id, "failed", error="The service failed; its log says more.")
        else:
            self._finish(job.id, "done", note=note)
        finally:
            if not away:
                self._leftovers.wake()
                self._woken.set()

    async def _clone(self, job: FolderJobRow) -> str:
        """What the user should know of it. Raises WorkFailed, StorageError."""
        target = CLONE + job.folder_id
        if await self._storage.at_root(lambda root: _begin_clone(root, job.folder_id)):
            return ""
        self._check_right(job)
        outcome = await run_file_work(
            {
                "task": "clone",
                "root": str(self._storage.root),
                "source": job.source_id,
                "target": target,
                "count": job.bytes_total is None,
            },
            lambda progress: self._note_progress(job.id, progress),
        )
        await self._storage.at_root(lambda root: _put_in_place(root, target, job.folder_id))
        self._note_progress(job.id, outcome.progress)
        return outcome.note

    def _check_right(self, job: FolderJobRow) -> None:
        """A clone may begin long after it was asked for. Raises WorkFailed."""
        with self._database.transaction() as db:
            if why := refusal(db, self._policy, job):
                raise WorkFailed(why)

    async def _purge(self, job: FolderJobRow) -> str:
        name = PURGE + job.folder_id
        names = await self._storage.at_root(lambda root: _begin_purge(root, job.folder_id, name))
        outcome = await run_file_work(
            {"task": "purge", "root": str(self._storage.root), "names": names},
            lambda progress: self._note_progress(job.id, progress),
        )
        self._note_progress(job.id, outcome.progress)
        return outcome.note

    def _note_progress(self, job_id: str, progress: Progress) -> None:
        """Each second or so; told to nobody: pages that show it look by themselves."""
        values = {"bytes_done": progress.bytes_done, "files_done": progress.files_done}
        if progress.bytes_total is not None:
            values["bytes_total"] = progress.bytes_total
            values["files_total"] = progress.files_total or 0
        table = FolderJobRow.__table__
        renew = update(table).values(values)  # type: ignore[arg-type]
        renew = renew.where(table.c.id == job_id, table.c.state == "running")
        with self._database.transaction() as db:
            db.connection().execute(renew)

    def _finish(self, job_id: str, state: str, *, error: str = "", note: str = "") -> None:
        """Unless it was cancelled meanwhile; then what it made is left over, and swept."""
        with self._database.transaction() as db:
            job = db.get(FolderJobRow, job_id, with_for_update=True)
            if job is None or job.state != "running":
                return
            job.note = note
            if state == "done" and (why := refusal(db, self._policy, job)):
                state, error = "failed", why
            _end(db, job, state, error)


def _new_job(kind: str, folder_id: str, user: str) -> FolderJobRow:
    return FolderJobRow(
        id=uuid.uuid4().hex,
        kind=kind,
        folder_id=folder_id,
        user=user,
        state="running",
        started_at=time.time(),
    )


def _end(db: Session, job: FolderJobRow, state: str, error: str = "") -> None:
    """End of the job and of what its folder's row was in the meantime."""
    job.state, job.error, job.ended_at = state, error, time.time()
    folder = db.get(FolderRow, job.folder_id)
    if folder is None:
        return
    if job.kind == "clone" and state == "done":
        folder.state = "ready"
        job.bytes_total, job.files_total = job.bytes_done, job.files_done
    elif job.kind == "clone" or state == "done":
        db.delete(folder)


def _begin_clone(root_fd: int, folder_id: str) -> bool:
    """True when it is whole already. Else an empty ``.clone-<id>`` is there."""
    half = CLONE + folder_id
    if exists(root_fd, folder_id) and not exists(root_fd, half):
        return True
    move(root_fd, half, PURGE + uuid.uuid4().hex)
    create(root_fd, half)
    return False


def _put_in_place(root_fd: int, half: str, folder_id: str) -> None:
    try:
        moved = move(root_fd, half, folder_id)
    except FileExistsError:
        raise WorkFailed(f"A directory {folder_id} is there already; tell your admin.") from None
    if not moved:
        raise WorkFailed("Somebody removed the copy from the storage; clone again.")


def _begin_purge(root_fd: int, folder_id: str, name: str) -> list[str]:
    """What is to be deleted, out of the way of everybody."""
    names = [name]
    try:
        move(root_fd, folder_id, name)
    except FileExistsError:
        names.append(PURGE + uuid.uuid4().hex)
        move(root_fd, folder_id, names[1])
    return names

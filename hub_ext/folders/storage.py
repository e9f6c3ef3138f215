"""All that the service does to folders on the file system, with bounded waits.

The service talks to this class only; none of its async calls holds up the event loop,
whatever the storage does (see ``file_calls.py``). Paths inside a folder come from users
and are checked here.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hub_ext.folders import contents
from hub_ext.folders.contents import WORK_UID, Entry, Listing, OpenFile
from hub_ext.folders.file_calls import FileCalls
from hub_ext.folders.safe_path import check_path
from hub_ext.folders.storage_errors import StorageError, StorageFull, in_folder, of_storage
from hub_ext.folders.storage_root import (
    PURGE,
    check_id,
    create,
    opened_folder,
    opened_root,
    prepare_root,
)

__all__ = ["WORK_UID", "Entry", "FolderStorage", "Listing", "StorageError", "StorageFull"]

Result = TypeVar("Result")

PAGE = 500
"""Most entries of one page of a listing."""
READ_MOST = 1 << 20
"""Bytes of one read of a download."""


class FolderStorage:
    """Folders below ``root``, by id. Everything may raise StorageError (503, 507)."""

    def __init__(self, root: Path, calls: FileCalls | None = None) -> None:
        self.root = root
        self.calls = calls or FileCalls()
        self.discarded = asyncio.Event()
        """Something was put away to be deleted; the jobs of the service delete it."""

    def prepare(self, *, used: bool = False) -> None:
        """At the start of the service; ``used``: it has held folders. Raises StorageError."""
        self.calls.run_blocking(lambda: prepare_root(self.root, used=used))

    def path(self, folder_id: str) -> Path:
        """Where the folder's directory is or would be; looks at nothing."""
        return self.root / check_id(folder_id)

    def make(self, folder_id: str) -> Path:
        """``ensure`` for callers inside a transaction: waits for the storage."""
        path = self.path(folder_id)
        self.calls.run_blocking(lambda: self._make(folder_id))
        return path

    async def ensure(self, folder_id: str) -> Path:
        """The folder's directory, made when missing, 0700 and owned by uid 1000.

        Not for a folder that is still being cloned: its directory appears when it is whole.
        """
        path = self.path(folder_id)
        await self.calls.run(lambda: self._make(folder_id))
        return path

    async def check(self, folder_id: str) -> Path:
        """The folder's directory, which must be there: for folders that are not new."""
        await self._inside(folder_id, "", lambda _root, _folder: None)
        return self.path(folder_id)

    async def free_bytes(self) -> int:
        """Bytes that the service may still write."""

        def look(root_fd: int) -> int:
            room = os.fstatvfs(root_fd)
            return room.f_bavail * room.f_frsize

        return await self.at_root(look)

    async def list(
        self, folder_id: str, path: str = "", *, offset: int = 0, limit: int = PAGE
    ) -> Listing:
        """A page of the directory ``path``. Raises NotFound, BadValue, BadPath."""
        inner = check_path(path) if path else ""
        offset, limit = max(offset, 0), min(max(limit, 1), PAGE)
        return await self._inside(
            folder_id, inner, lambda _, fd: contents.list_directory(fd, inner, offset, limit)
        )

    async def stat(self, folder_id: str, path: str) -> Entry:
        """What is at ``path``. Raises NotFound, BadPath."""
        inner = check_path(path) if path else ""
        return await self._inside(folder_id, inner, lambda _, fd: contents.look(fd, inner))

    async def make_directory(self, folder_id: str, path: str, *, parents: bool = False) -> None:
        """Raises Conflict when it is there, NotFound when what it lies in is not."""
        inner = check_path(path)
        await self._inside(
            folder_id, inner, lambda _, fd: contents.make_directory(fd, inner, parents=parents)
        )

    async def rename(self, folder_id: str, old: str, new: str) -> None:
        """Inside one folder. Raises Conflict when ``new`` is there, NotFound."""
        source, target = check_path(old), check_path(new, "new_path")

        def work(_root_fd: int, fd: int) -> None:
            try:
                contents.rename(fd, source, target)
            except FileExistsError as error:
                raise in_folder(error, target) from error

        await self._inside(folder_id, source, work)

    async def remove(self, folder_id: str, path: str) -> None:
        """A file, a symlink or a whole tree: out of sight at once, its bytes soon after.

        Raises NotFound, BadPath.
        """
        inner = check_path(path)
        name = PURGE + uuid.uuid4().hex
        await self._inside(
            folder_id, inner, lambda root, fd: contents.move_out(fd, inner, root, name)
        )
        self.discarded.set()

    async def open_read(self, folder_id: str, path: str) -> OpenFile:
        """A regular file for download; close its ``fd``. Raises NotFound, BadPath."""
        inner = check_path(path)
        return await self._inside(
            folder_id,
            inner,
            lambda _, fd: contents.open_file(fd, inner),
            abandoned=lambda opened: os.close(opened.fd),
        )

    async def read(self, opened: OpenFile, offset: int, length: int = READ_MOST) -> bytes:
        """Up to ``length`` bytes from ``offset``; b"" at the end."""
        # A descriptor of our own: should the caller give up and close his, a late read
        # would find another file under the same number.
        own = os.dup(opened.fd)

        def read() -> bytes:
            try:
                return os.pread(own, min(length, READ_MOST), offset)
            except OSError as error:
                raise of_storage(error) from error
            finally:
                os.close(own)

        return await self.calls.run(read)

    async def at_root(self, work: Callable[[int], Result]) -> Result:
        """``work(root_fd)`` in a thread, its OSErrors as StorageError."""
        return await self.calls.run(lambda: self._at_root(work))

    def _at_root(self, work: Callable[[int], Result]) -> Result:
        try:
            with opened_root(self.root) as root_fd:
                return work(root_fd)
        except OSError as error:
            raise of_storage(error) from error

    async def _inside(
        self,
        folder_id: str,
        path: str,
        work: Callable[[int, int], Result],
        abandoned: Callable[[Result], None] | None = None,
    ) -> Result:
        """``work(root_fd, folder_fd)`` in a thread, its OSErrors in the user's words."""
        check_id(folder_id)

        def call(root_fd: int) -> Result:
            with opened_folder(root_fd, folder_id) as folder_fd:
                try:
                    return work(root_fd, folder_fd)
                except OSError as error:
                    raise in_folder(error, path) from error

        return await self.calls.run(lambda: self._at_root(call), abandoned)

    def _make(self, folder_id: str) -> None:
        self._at_root(lambda root_fd: create(root_fd, folder_id))

"""A sub-path of a folder as the source of a container's mount.

The engine resolves a mount's source by name, as root, later: a user could put a symlink in
its place in between. So the directory is opened once, safely, and bound to a place below
``.mounts`` that no user can touch; that place is what the engine gets. It works where the
engine sees the mounts of the service: on the same machine, outside a container of its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hub_ext.errors import BadValue
from hub_ext.folders.contents import make_directory
from hub_ext.folders.safe_path import check_path, open_beneath
from hub_ext.folders.storage import FolderStorage
from hub_ext.folders.storage_errors import in_folder
from hub_ext.folders.storage_root import MOUNTS, names_in, opened_folder

_MS_BIND = 0x1000
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_libc = ctypes.CDLL(None, use_errno=True)


class SubpathMounts:
    """Bind mounts at ``.mounts/<session>/<number>``, kept until the session has ended."""

    def __init__(self, storage: FolderStorage) -> None:
        self._storage = storage

    def require_possible(self) -> None:
        """Raises BadValue where the service may not mount."""
        if os.geteuid() != 0:
            raise BadValue(
                "Part of a folder can only be mounted where the service runs as root;"
                " mount the whole folder, or ask your admin.",
                field="subpath",
            )

    async def add(
        self, session_id: str, number: int, folder_id: str, subpath: str, *, make: bool = False
    ) -> Path:
        """Source for the container's mount; again for the same place, it is replaced.

        ``make``: make the directory when it is missing (for mounts that may write). Raises
        BadValue for a path that leads elsewhere or is no directory, NotFound, StorageError.
        """
        self.require_possible()
        path = check_path(subpath, "subpath")
        place = f"{MOUNTS}/{_checked(session_id)}/{number}"

        def bind(root_fd: int) -> None:
            with opened_folder(root_fd, folder_id) as folder_fd:
                source_fd = _open_directory(folder_fd, path, make=make)
            try:
                _prepare_place(root_fd, place)
                _mount(source_fd, self._storage.root / place)
            finally:
                os.close(source_fd)

        await self._storage.at_root(bind)
        return self._storage.root / place

    async def remove(self, session_id: str) -> None:
        """The session has ended; what it never had is fine."""
        _checked(session_id)
        await self._storage.at_root(lambda root: self._remove(root, session_id))

    async def reconcile(self, live: Callable[[], set[str]]) -> None:
        """Remove what belongs to no live session. ``live()`` is asked after looking."""
        present = await self._storage.at_root(_sessions)
        if not present:
            return
        for session_id in present - live():
            await self.remove(session_id)

    def _remove(self, root_fd: int, session_id: str) -> None:
        with suppress(FileNotFoundError):
            for number in names_in(root_fd, f"{MOUNTS}/{session_id}"):
                place = f"{MOUNTS}/{session_id}/{number}"
                _unmount(self._storage.root / place)
                os.rmdir(place, dir_fd=root_fd)
            os.rmdir(f"{MOUNTS}/{session_id}", dir_fd=root_fd)


def _checked(session_id: str) -> str:
    if not _SESSION_ID.fullmatch(session_id):
        raise ValueError(f"not a session id: {session_id!r}")
    return session_id


def _sessions(root_fd: int) -> set[str]:
    try:
        return {name for name in names_in(root_fd, MOUNTS) if _SESSION_ID.fullmatch(name)}
    except FileNotFoundError:
        return set()


def _open_directory(folder_fd: int, path: str, *, make: bool) -> int:
    try:
        if make:
            make_directory(folder_fd, path, parents=True)
        return open_beneath(folder_fd, path, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        refused = in_folder(error, path)
        refused.field = "subpath"
        raise refused from error


def _prepare_place(root_fd: int, place: str) -> None:
    """Closed to everybody: should it ever show itself unmounted, nobody takes it for the
    folder and writes into it.
    """
    above = ""
    for part in place.split("/"):
        above = f"{above}/{part}" if above else part
        with suppress(FileExistsError):
            os.mkdir(above, 0o700 if above != place else 0o000, dir_fd=root_fd)


def _mount(source_fd: int, place: Path) -> None:
    _unmount(place)
    source = f"/proc/self/fd/{source_fd}".encode()
    target = os.fsencode(place)
    if _libc.mount(source, target, None, _MS_BIND, None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount: {os.strerror(code)}", str(place))
    _libc.mount(None, target, None, _MS_PRIVATE, None)


def _unmount(place: Path) -> None:
    """All that is mounted there; nothing is fine."""
    while _libc.umount2(os.fsencode(place), _MNT_DETACH | _UMOUNT_NOFOLLOW) == 0:
        pass
    code = ctypes.get_errno()
    if code not in {errno.EINVAL, errno.ENOENT, errno.EPERM}:
        raise OSError(code, f"umount: {os.strerror(code)}", str(place))

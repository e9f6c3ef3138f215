"""The storage root: a directory, local or a mounted share, with a marker file in it.

Directly below it lie only names that the service makes: ``<id>`` a folder (32 hex digits,
never what a user typed), ``.clone-<id>`` a clone in the making, ``.purge-<id>`` what is being
deleted, ``.upload-<id>`` the bytes of an upload, ``.mounts`` places for bind mounts.

The root is opened once for each piece of work and the marker looked for in that very
directory. So neither an empty mount point, nor a share that goes away in between, is ever
taken for the storage.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hub_ext.folders.contents import WORK_UID, give_to_user
from hub_ext.folders.safe_path import rename_new
from hub_ext.folders.storage_errors import FolderMissing, StorageError, of_storage

MARKER = ".apportion-storage"
CLONE = ".clone-"
PURGE = ".purge-"
UPLOAD = ".upload-"
MOUNTS = ".mounts"
_OF_FILE_SYSTEM = "lost+found"
"""All that a fresh ext4 has."""

_ID = re.compile(r"[0-9a-f]{32}")
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def check_id(folder_id: str) -> str:
    """The id itself. Raises ValueError: an id comes from a row, never from a user."""
    if not _ID.fullmatch(folder_id):
        raise ValueError(f"not a folder id: {folder_id!r}")
    return folder_id


def prepare_root(root: Path, *, used: bool = False) -> None:
    """Make the root on the very first start; afterwards it must be there.

    The marker file tells a fresh root from a share that is not mounted: an empty
    directory in its place must never be taken for it. So nothing is made, and nothing
    marked, once folders are known (``used``). Raises StorageError.
    """
    if used:
        return
    try:
        if not root.exists():
            root.mkdir(mode=0o711, parents=True)
            (root / MARKER).touch()
        elif all(entry.name == _OF_FILE_SYSTEM for entry in root.iterdir()):
            (root / MARKER).touch()
    except OSError as error:
        raise StorageError(f"Folder storage {root}: {error.strerror}.") from error


@contextmanager
def opened_root(root: Path) -> Iterator[int]:
    """The root's file descriptor. Raises StorageError when it is not there, OSError."""
    try:
        fd = os.open(root, _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(root) from None
    try:
        try:
            os.stat(MARKER, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            raise _missing(root) from None
        yield fd
    finally:
        os.close(fd)


def _missing(root: Path) -> StorageError:
    return StorageError(
        f"Folder storage {root} is not there: is it mounted? (Its mark {MARKER} is missing.)"
        " Ask your admin; nothing is lost."
    )


@contextmanager
def opened_folder(root_fd: int, folder_id: str) -> Iterator[int]:
    """A folder's directory. Raises FolderMissing when it has none; none is made."""
    try:
        fd = os.open(check_id(folder_id), _DIRECTORY, dir_fd=root_fd)
    except (FileNotFoundError, NotADirectoryError):
        raise FolderMissing(
            f"The directory of folder {folder_id} is missing from the storage;"
            " ask your admin to look for it in a backup."
        ) from None
    try:
        yield fd
    finally:
        os.close(fd)


def names_in(root_fd: int, inner: str = ".") -> list[str]:
    """What lies at the top level of the storage, or directly in one directory there."""
    fd = os.open(inner, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root_fd)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def move(root_fd: int, old: str, new: str) -> bool:
    """Rename at the top level, never over something. False when ``old`` is not there.

    Raises FileExistsError, StorageError.
    """
    try:
        rename_new(root_fd, old, root_fd, new)
    except FileNotFoundError:
        return False
    except FileExistsError:
        raise
    except OSError as error:
        raise of_storage(error) from error
    return True


def exists(root_fd: int, name: str) -> bool:
    """Whether the name is there, at the top level."""
    try:
        os.stat(name, dir_fd=root_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def create(root_fd: int, name: str) -> None:
    """A directory that is only the user's, at the top level; content if it is there."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=root_fd)
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root_fd)
    try:
        if os.fstat(fd).st_uid != WORK_UID:
            give_to_user(fd)
    finally:
        os.close(fd)

"""What is inside a folder: list, look, make, rename, open.

Every function takes the folder's open directory and a checked relative path, blocks, and
raises OSError as the file system does, or BadPath for a symlink on the way.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from hub_ext.folders.safe_path import (
    BadPath,
    check_path,
    open_beneath,
    parent_beneath,
    rename_new,
)

WORK_UID = 1000
"""The user ``work`` of every image."""
DIRECTORY_MODE = 0o755
FILE_MODE = 0o644
MOST_NAMES = 100_000
"""Of one directory; listing stops there, so that a huge one cannot hold up the service."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of a directory."""

    name: str
    type: str
    """file, directory, link or other (FIFO, socket, device)"""
    size: int
    """Bytes of a file; 0 of others."""
    mtime: float
    usable: bool
    """Whether the name can be given back to the service; some that programs make cannot."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a directory, directories first, then by name."""

    entries: tuple[Entry, ...]
    total: int
    """Names in the directory; MOST_NAMES when ``cut``."""
    cut: bool
    """There are more than MOST_NAMES; they are not shown."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file, open for reading; whoever gets it closes ``fd``."""

    fd: int
    size: int
    mtime: float


def list_directory(folder_fd: int, path: str, offset: int, limit: int) -> Listing:
    """Only the page's entries are looked at one by one."""
    directory = open_beneath(folder_fd, path, _DIRECTORY)
    try:
        names, cut = _names(directory)
        page = [_entry(directory, name) for _, name in names[offset : offset + limit]]
        return Listing(tuple(found for found in page if found is not None), len(names), cut)
    finally:
        os.close(directory)


def _names(directory: int) -> tuple[list[tuple[tuple[bool, str], str]], bool]:
    """(sort key, name) in order, and whether there are more."""
    names: list[tuple[tuple[bool, str], str]] = []
    with os.scandir(directory) as found:
        for entry in found:
            if len(names) == MOST_NAMES:
                return sorted(names), True
            is_file = not entry.is_dir(follow_symlinks=False)
            names.append(((is_file, entry.name.casefold()), entry.name))
    return sorted(names), False


def _entry(directory: int, name: str) -> Entry | None:
    """None when it has gone meanwhile."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return _described(name, found)


def _described(name: str, found: os.stat_result) -> Entry:
    shown = os.fsencode(name).decode(errors="replace")
    try:
        usable = check_path(shown) == name and "/" not in name
    except BadPath:
        usable = False
    kind = _TYPES.get(stat.S_IFMT(found.st_mode), "other")
    return Entry(shown, kind, found.st_size if kind == "file" else 0, found.st_mtime, usable)


_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


def look(folder_fd: int, path: str) -> Entry:
    """What is at ``path``; a symlink is itself. "" is the folder."""
    if not path:
        return _described("", os.fstat(folder_fd))
    with parent_beneath(folder_fd, path) as (directory, name):
        return _described(name, os.stat(name, dir_fd=directory, follow_symlinks=False))


def make_directory(folder_fd: int, path: str, *, parents: bool = False) -> None:
    """``parents``: make what is missing on the way, and be content when it is there."""
    here = os.dup(folder_fd)
    *above, name = path.split("/")
    try:
        for part in above:
            if parents:
                _make_one(here, part, exist_ok=True)
            inner = open_beneath(here, part, os.O_PATH | os.O_DIRECTORY)
            os.close(here)
            here = inner
        _make_one(here, name, exist_ok=parents)
    finally:
        os.close(here)


def _make_one(directory: int, name: str, *, exist_ok: bool) -> None:
    try:
        os.mkdir(name, DIRECTORY_MODE, dir_fd=directory)
    except FileExistsError:
        if not exist_ok:
            raise
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from None
        return
    made = open_beneath(directory, name, _DIRECTORY)
    try:
        give_to_user(made)
    finally:
        os.close(made)


def give_to_user(fd: int) -> None:
    """What the service makes as root belongs to the user ``work`` of the containers."""
    if os.geteuid() == 0:
        os.fchown(fd, WORK_UID, WORK_UID)


def rename(folder_fd: int, old: str, new: str) -> None:
    """Inside the folder, never over something: then FileExistsError."""
    with (
        parent_beneath(folder_fd, old) as (from_fd, old_name),
        parent_beneath(folder_fd, new) as (to_fd, new_name),
    ):
        rename_new(from_fd, old_name, to_fd, new_name)


def move_out(folder_fd: int, path: str, to_fd: int, new_name: str) -> None:
    """A file or a whole tree, at once, to where nobody sees it."""
    with parent_beneath(folder_fd, path) as (directory, name):
        try:
            os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=to_fd)
        except PermissionError:
            # Moving a directory changes its "..", for which it must be writable.
            inner = open_beneath(directory, name, _DIRECTORY)
            try:
                os.fchmod(inner, 0o700)
            finally:
                os.close(inner)
            os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=to_fd)


def open_file(folder_fd: int, path: str) -> OpenFile:
    """For reading. Raises BadPath for anything but a regular file.

    Looked at before it is opened: opening a FIFO waits, and opening a device does things.
    """
    seen = open_beneath(folder_fd, path, os.O_PATH)
    try:
        found = os.fstat(seen)
        if not stat.S_ISREG(found.st_mode):
            kind = _TYPES.get(stat.S_IFMT(found.st_mode), "special file")
            raise BadPath(f"{path!a} is a {kind}, not a file to download.", field="path")
        fd = os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(seen)
    return OpenFile(fd, found.st_size, found.st_mtime)


def place_file(from_fd: int, name: str, folder_fd: int, path: str, *, overwrite: bool) -> None:
    """Rename the finished file ``name`` to ``path``; missing directories are made.

    ``overwrite``: replaces a file (or symlink) there, never a directory.
    """
    above = path.rpartition("/")[0]
    if above:
        make_directory(folder_fd, above, parents=True)
    with parent_beneath(folder_fd, path) as (directory, last):
        if overwrite:
            os.rename(name, last, src_dir_fd=from_fd, dst_dir_fd=directory)
        else:
            rename_new(from_fd, name, directory, last)
        _sync_directory(directory)


def _sync_directory(path_fd: int) -> None:
    """Make the new name durable, where the file system can."""
    fd = os.open(".", _DIRECTORY, dir_fd=path_fd)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(fd)

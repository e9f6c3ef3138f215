"""Deletes a tree: bounded memory and open files at any depth, following nothing.

Where a tree is deeper than ``_DEEP``, its lower part is moved up to the top of what is being
deleted; so not even a tree too deep for any path can stop it.
"""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hub_ext.folders.safe_path import BadPath, open_beneath

_DEEP = 100
_BATCH = 1000
"""Names of subdirectories held in memory for each level."""
_TRIES = 100
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


@dataclass(slots=True)
class _Level:
    fd: int
    name: str
    directories: list[str] = field(default_factory=list)
    whole: bool = False
    """``directories`` are all there were when it was last looked through."""
    stuck: int = 0
    """Times it was not empty though all in it was deleted."""


def delete_tree(root_fd: int, name: str) -> Iterator[int]:
    """Delete ``name`` in ``root_fd``, whatever it is; yields the bytes of each file.

    Nothing there is fine. Raises OSError naming what cannot be deleted.
    """
    top = _open(root_fd, name)
    if top is None:
        yield from _unlink(root_fd, name, ours=False)
        return
    levels = [_Level(top, name)]
    try:
        while levels:
            level = levels[-1]
            if not level.directories and not level.whole:
                yield from _scan(level)
            if level.directories:
                _descend(levels)
            elif level.whole and _leave(root_fd, levels):
                levels.pop()
    finally:
        for level in levels:
            os.close(level.fd)


def _scan(level: _Level) -> Iterator[int]:
    """Delete what is no directory, note up to _BATCH directories."""
    level.whole = True
    with os.scandir(level.fd) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield from _unlink(level.fd, entry.name)
            elif len(level.directories) == _BATCH:
                level.whole = False
                return
            else:
                level.directories.append(entry.name)


def _unlink(directory_fd: int, name: str, *, ours: bool = True) -> Iterator[int]:
    try:
        found = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
        _allowed(directory_fd, lambda: os.unlink(name, dir_fd=directory_fd), ours=ours)
    except FileNotFoundError:
        return
    yield found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else 0


def _descend(levels: list[_Level]) -> None:
    """Into the last noted directory; or, too deep, move it up to be deleted later."""
    level, top = levels[-1], levels[0]
    name = level.directories.pop()
    if len(levels) >= _DEEP:
        fresh = uuid.uuid4().hex
        _allowed(level.fd, lambda: os.rename(name, fresh, src_dir_fd=level.fd, dst_dir_fd=top.fd))
        top.whole = False
        return
    inner = _open(level.fd, name)
    if inner is not None:
        levels.append(_Level(inner, name))


def _leave(root_fd: int, levels: list[_Level]) -> bool:
    """Remove the innermost directory. False when something came into it meanwhile."""
    level = levels[-1]
    parent = levels[-2].fd if len(levels) > 1 else root_fd
    try:
        _allowed(parent, lambda: os.rmdir(level.name, dir_fd=parent), ours=len(levels) > 1)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno != errno.ENOTEMPTY or level.stuck >= _TRIES:
            raise
        level.stuck += 1
        level.whole = False
        return False
    os.close(level.fd)
    return True


def _open(directory_fd: int, name: str) -> int | None:
    """None for what is no directory, or gone. Mounts are not entered: OSError EXDEV."""
    try:
        return open_beneath(directory_fd, name, _DIRECTORY, cross_mounts=False)
    except (FileNotFoundError, NotADirectoryError, BadPath):
        return None
    except PermissionError:
        _let_us_in(directory_fd, name)
        return open_beneath(directory_fd, name, _DIRECTORY, cross_mounts=False)


def _let_us_in(directory_fd: int, name: str) -> None:
    """A directory that its owner closed even to himself."""
    fd = open_beneath(directory_fd, name, os.O_PATH | os.O_DIRECTORY)
    try:
        os.chmod(f"/proc/self/fd/{fd}", 0o700)
    finally:
        os.close(fd)


def _allowed(directory_fd: int, change: Callable[[], None], *, ours: bool = True) -> None:
    """``change`` names in a directory, which may have to be made writable for it."""
    try:
        change()
    except PermissionError:
        if not ours:
            raise
        os.fchmod(directory_fd, 0o700)
        change()

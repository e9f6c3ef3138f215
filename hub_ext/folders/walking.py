"""Walks over a tree without following anything, to count what is in it.

A directory is entered by one name relative to its open parent, with O_NOFOLLOW: whatever
users swap meanwhile, the walk stays inside.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

DEEPEST = 1000
"""Levels of directories; each costs open files. Programs give up long before."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE})
"""The name is gone, or is something else by now."""


@dataclass(slots=True)
class Usage:
    """What a tree takes."""

    bytes: int = 0
    """Allocated, of files and directories; a file with several names counts once."""
    files: int = 0
    """Everything but directories."""


def measure_tree(folder_fd: int) -> Usage:
    """What is deeper than DEEPEST, or cannot be read, is not counted."""
    usage = Usage(bytes=os.fstat(folder_fd).st_blocks * 512)
    for found in _walk(folder_fd):
        usage.bytes += found.st_blocks * 512
        usage.files += not stat.S_ISDIR(found.st_mode)
    return usage


def count_tree(folder_fd: int) -> tuple[int, int]:
    """(bytes, files) as a copy counts them: the lengths of regular files."""
    size = files = 0
    for found in _walk(folder_fd):
        if not stat.S_ISDIR(found.st_mode):
            files += 1
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size, files


def _walk(folder_fd: int) -> Iterator[os.stat_result]:
    """Everything in the tree, hard links once."""
    seen: set[tuple[int, int]] = set()
    levels: list[tuple[int, list[str]]] = [(os.open(".", DIRECTORY, dir_fd=folder_fd), [])]
    try:
        yield from _scan(levels[0], seen)
        while levels:
            fd, directories = levels[-1]
            if not directories:
                os.close(levels.pop()[0])
                continue
            name = directories.pop()
            inner = _enter(fd, name) if len(levels) < DEEPEST else None
            if inner is not None:
                levels.append((inner, []))
                yield from _scan(levels[-1], seen)
    finally:
        for fd, _ in levels:
            os.close(fd)


def _enter(directory_fd: int, name: str) -> int | None:
    try:
        return os.open(name, DIRECTORY, dir_fd=directory_fd)
    except OSError as error:
        if error.errno in VANISHED or isinstance(error, PermissionError):
            return None
        raise


def _scan(level: tuple[int, list[str]], seen: set[tuple[int, int]]) -> Iterator[os.stat_result]:
    fd, directories = level
    with os.scandir(fd) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except (FileNotFoundError, PermissionError):
                # Gone, or in a directory that its user has closed: chmod 444.
                continue
            if stat.S_ISDIR(found.st_mode):
                directories.append(entry.name)
            elif found.st_nlink > 1:
                key = (found.st_dev, found.st_ino)
                if key in seen:
                    continue
                seen.add(key)
            yield found

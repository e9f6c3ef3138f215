"""Walks over a tree without following anything, to count what is in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from hub_ext.folders.descent import VANISHED, Descent


@dataclass(slots=True)
class Usage:
    """What a tree takes."""

    bytes: int = 0
    """Allocated, of files and directories; a file with several names counts once."""
    files: int = 0
    """Everything but directories."""


def measure_tree(folder_fd: int) -> Usage:
    """What cannot be read is not counted."""
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
    """Everything in the tree, hard links once.

    What is moved out of, or about in, the tree meanwhile may be missed or counted twice.
    """
    seen: set[tuple[int, int]] = set()
    way = Descent(folder_fd)
    to_enter: list[list[str]] = [[]]
    try:
        yield from _scan(way.fd, to_enter[-1], seen)
        while to_enter:
            if not to_enter[-1]:
                del to_enter[len(to_enter) - 1 - way.leave() :]
            elif _entered(way, to_enter[-1].pop()):
                to_enter.append([])
                yield from _scan(way.fd, to_enter[-1], seen)
    finally:
        way.close()


def _entered(way: Descent, name: str) -> bool:
    try:
        way.enter(name)
    except OSError as error:
        if error.errno in VANISHED or isinstance(error, PermissionError):
            return False
        raise
    return True


def _scan(fd: int, directories: list[str], seen: set[tuple[int, int]]) -> Iterator[os.stat_result]:
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

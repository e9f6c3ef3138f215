"""Down into a tree and up again, at any depth, with few open files, following nothing.

A directory is entered by one name relative to its open parent, with O_NOFOLLOW: whatever
users swap meanwhile, the way stays inside. The upper ``KEPT_OPEN`` directories stay open; of
those below only the innermost two. The way back up to a closed one is "..", taken only if it
leads to the very directory that we came through (device and inode), as fts(3) does.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

KEPT_OPEN = 200
"""Levels. Hardly any tree has more; two walks at once stay far below 1024 open files."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE})
"""The name is gone, or is something else by now."""


@dataclass(slots=True)
class _Level:
    fd: int | None
    device: int
    inode: int


class Descent:
    """The open directory ``fd`` of a tree, and the way back to its top.

    ``close`` it in the end, wherever it stands.
    """

    def __init__(self, top_fd: int) -> None:
        self._levels: list[_Level] = []
        self._push(".", top_fd)

    @property
    def fd(self) -> int:
        """Of the innermost directory; valid until the next ``enter`` or ``leave``."""
        fd = self._levels[-1].fd
        assert fd is not None
        return fd

    @property
    def depth(self) -> int:
        """1 at the top, 0 when that is left."""
        return len(self._levels)

    def enter(self, name: str) -> None:
        """Into a directory of the innermost one. Raises OSError; then nothing has changed."""
        self._push(name, self.fd)
        outer = len(self._levels) - 3
        if outer >= KEPT_OPEN:
            self._close(self._levels[outer])

    def leave(self) -> int:
        """Up to the directory above; returns how many above cannot be reached any more.

        They were moved meanwhile, and what is in them is elsewhere; ``fd`` is then the next
        one above them.
        """
        left = self._levels.pop()
        above = self._levels[-1] if self._levels else None
        try:
            if above is not None and above.fd is None:
                above.fd = _above(left, above)
        finally:
            self._close(left)
        lost = 0
        while self._levels and self._levels[-1].fd is None:
            self._levels.pop()
            lost += 1
        return lost

    def close(self) -> None:
        """All that is open."""
        for level in self._levels:
            self._close(level)
        self._levels.clear()

    def _push(self, name: str, parent_fd: int) -> None:
        fd = os.open(name, DIRECTORY, dir_fd=parent_fd)
        try:
            found = os.fstat(fd)
        except BaseException:
            os.close(fd)
            raise
        self._levels.append(_Level(fd, found.st_dev, found.st_ino))

    def _close(self, level: _Level) -> None:
        if level.fd is not None:
            os.close(level.fd)
            level.fd = None


def _above(inner: _Level, wanted: _Level) -> int | None:
    """``wanted``, opened again from a directory that was in it; None when it is not any more."""
    try:
        fd = os.open("..", DIRECTORY, dir_fd=inner.fd)
    except OSError as error:
        if error.errno in VANISHED or isinstance(error, PermissionError):
            return None
        raise
    found = os.fstat(fd)
    if (found.st_dev, found.st_ino) == (wanted.device, wanted.inode):
        return fd
    os.close(fd)
    return None

"""Files with several names: their copies are one file with the same names.

The first name that was copied is remembered by its path. One that is too deep for any path
(PATH_MAX) gets another name for the time of the copy, in a directory at the top of the target.
"""

from __future__ import annotations

import errno
import os
import uuid

from hub_ext.folders.safe_path import MAX_PATH

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class CopiedLinks:
    """For one copy into ``top_fd``; ``close`` it before the copy is done."""

    def __init__(self, top_fd: int) -> None:
        self._top_fd = top_fd
        self._paths: dict[tuple[int, int], str] = {}
        self._staged: list[str] = []
        self._stage = f".links-{uuid.uuid4().hex}"

    def link(self, found: os.stat_result, directory_fd: int, name: str) -> bool:
        """Give the copy of this file one more name. False when there is none, or it cannot be."""
        known = self._paths.get((found.st_dev, found.st_ino))
        if known is None:
            return False
        try:
            os.link(
                known,
                name,
                src_dir_fd=self._top_fd,
                dst_dir_fd=directory_fd,
                follow_symlinks=False,
            )
        except OSError as error:
            if error.errno in _FULL:
                raise
            return False
        return True

    def remember(self, found: os.stat_result, directory_fd: int, name: str, path: str) -> None:
        """A copy was made under ``name``, which is at ``path`` below the top."""
        if len(os.fsencode(path)) > MAX_PATH:
            path = self._staged_name(directory_fd, name)
        self._paths[found.st_dev, found.st_ino] = path

    def close(self) -> None:
        """Take the names away again that nobody asked for."""
        for path in self._staged:
            os.unlink(path, dir_fd=self._top_fd)
        if self._staged:
            os.rmdir(self._stage, dir_fd=self._top_fd)
        self._staged.clear()

    def _staged_name(self, directory_fd: int, name: str) -> str:
        if not self._staged:
            os.mkdir(self._stage, 0o700, dir_fd=self._top_fd)
        path = f"{self._stage}/{len(self._staged)}"
        os.link(name, path, src_dir_fd=directory_fd, dst_dir_fd=self._top_fd, follow_symlinks=False)
        self._staged.append(path)
        return path

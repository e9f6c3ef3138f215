"""The directories behind the folders, under one storage root.

A directory is named by the folder's id (32 hex digits), never by what a user typed,
so no name can lead outside the root.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from hub_ext.errors import ApportionError

WORK_UID = 1000
"""The user ``work`` of every image."""

_ID = re.compile(r"[0-9a-f]{32}")
_MARKER = ".apportion-storage"


class StorageError(ApportionError):
    """The storage root is missing, full or not writable (503)."""

    status = 503
    code = "storage"


class FolderStorage:
    """Makes and finds the directories of folders below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        """Make the root on the very first start; afterwards it must be there.

        The marker file tells a fresh root from a share that is not mounted: an empty
        directory in its place must never be taken for it. Raises StorageError.
        """
        try:
            if not self.root.exists():
                self.root.mkdir(mode=0o711, parents=True)
                (self.root / _MARKER).touch()
            elif not any(self.root.iterdir()):
                (self.root / _MARKER).touch()
        except OSError as error:
            raise StorageError(f"Folder storage {self.root}: {error.strerror}.") from error

    def path(self, folder_id: str) -> Path:
        """Directory of a folder. Raises StorageError when the root is not mounted."""
        if not _ID.fullmatch(folder_id):
            raise ValueError(f"not a folder id: {folder_id!r}")
        if not (self.root / _MARKER).exists():
            raise StorageError(
                f"Folder storage {self.root} is not there (is it mounted?)."
                " Ask your admin; nothing is lost."
            )
        return self.root / folder_id

    def make(self, folder_id: str) -> Path:
        """The folder's directory, made when missing, owned by uid 1000.

        Raises StorageError when the disk is full or the root read-only.
        """
        path = self.path(folder_id)
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0 and path.stat().st_uid != WORK_UID:
                os.chown(path, WORK_UID, WORK_UID)
        except OSError as error:
            raise StorageError(
                f"A folder cannot be made in {self.root}: {error.strerror}."
            ) from error
        return path

"""What the file system answers, in words that help."""

from __future__ import annotations

import errno

from hub_ext.errors import ApportionError, BadValue, Conflict, Forbidden, NotFound
from hub_ext.folders.safe_path import MAX_COMPONENT


class StorageError(ApportionError):
    """The storage root is missing, silent, full or not writable (503)."""

    status = 503
    code = "storage"


class FolderMissing(StorageError):
    """The storage is there, one folder's directory in it is not (503)."""

    code = "folder_missing"


class StorageFull(StorageError):
    """No room on the storage, whatever the quota says (507)."""

    status = 507
    code = "storage_full"


_CONDITION = {
    errno.EROFS: "is read-only; ask your admin",
    errno.EIO: "has a read or write error; tell your admin",
    errno.ESTALE: "has a stale file handle (its server was changed or restarted); tell your admin",
    errno.ETIMEDOUT: "does not answer (is its server down?); nothing is lost",
    errno.ENOTCONN: "is not connected (is its server down?); nothing is lost",
    errno.EHOSTDOWN: "does not answer (is its server down?); nothing is lost",
    errno.EMFILE: "cannot be used now: the service has too many open files; try again",
    errno.ENFILE: "cannot be used now: the machine has too many open files; try again",
}


def of_storage(error: OSError) -> StorageError:
    """For work at the top level of the storage, where every error is the storage's."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull(
            "The folder storage is full. Delete what is no longer needed, or ask your admin."
        )
    said = _CONDITION.get(error.errno or 0, f"cannot be used: {error.strerror}; tell your admin")
    return StorageError(f"The folder storage {said}.")


def in_folder(error: OSError, path: str) -> ApportionError:
    """For work on ``path`` inside a folder, where most errors are about that path."""
    shown = f"{path!a}" if path else "The folder"
    match error.errno:
        case errno.ENOENT:
            return NotFound(f"{shown} is not there (any more).", field="path")
        case errno.EEXIST:
            return Conflict(f"{shown} is there already.", field="path")
        case errno.ENOTDIR:
            return BadValue(f"{shown} is not a directory, or is not inside one.", field="path")
        case errno.EISDIR | errno.ENOTEMPTY:
            return Conflict(f"{shown} is a directory with files in it.", field="path")
        case errno.EINVAL:
            return BadValue(f"A directory cannot be moved into itself ({shown}).", field="path")
        case errno.ENAMETOOLONG:
            return BadValue(
                f"{shown} is too long for this storage; use at most {MAX_COMPONENT} bytes a name.",
                field="path",
            )
        case errno.EACCES | errno.EPERM:
            return Forbidden(
                f"{shown} may not be read or changed by the service: {error.strerror}."
                " Look at it from a session, and change its permissions there.",
                field="path",
            )
    return of_storage(error)

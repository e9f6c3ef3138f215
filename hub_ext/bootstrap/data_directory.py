"""The directory that holds everything one deployment knows: can it be written, and by whom."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from hub_ext.bootstrap.failure import BootstrapError

LOCK_FILE = "up.lock"
SMALLEST_FREE_MIB = 100
"""Under this the databases and logs of even a short session may not fit."""

STORAGE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""What a disk does to a program that has started well."""


def prepare(data: Path) -> None:
    """Make the directory and prove that it can be written. Raises BootstrapError."""
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        data.mkdir(mode=0o700, exist_ok=True)  # the databases hold password hashes
        (data / "log").mkdir(exist_ok=True)
        probe = data / f".write-probe-{os.getpid()}"
        try:
            with probe.open("wb") as stream:
                stream.write(b"\0" * 1024 * 1024)
                stream.flush()
                os.fsync(stream.fileno())
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
    except OSError as error:
        raise refusal(data, error) from error
    free = shutil.disk_usage(data).free // (1024 * 1024)
    if free < SMALLEST_FREE_MIB:
        raise BootstrapError(
            f"Only {free} MiB are free where {data} lies; at least {SMALLEST_FREE_MIB} MiB"
            " are needed.",
            "Free some space, or choose another place: --data DIR.",
        )


def refusal(data: Path, error: OSError) -> BootstrapError:
    """What a failed write into the data directory means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BootstrapError(
            f"The disk is full where {data} lies.",
            "Free some space (docker system df shows what images and containers hold), or"
            " choose another place: --data DIR.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BootstrapError(
            f"{data} cannot be written: {error.strerror}.",
            "Choose a directory of your own with --data DIR, or change the owner of this one.",
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return BootstrapError(
            f"{data} cannot be made: a file is in its place.", "Choose another: --data DIR."
        )
    return BootstrapError(f"{data} cannot be used: {error.strerror}.", "Try another: --data DIR.")


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """Be the only ``up`` on this directory; the lock goes with the process, however it ends.

    Raises BootstrapError naming the process that has it.
    """
    descriptor = os.open(data / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise BootstrapError(
                f"Another 'apportion up' (process {holder or 'unknown'}) already runs on {data}.",
                "Stop that one first (Ctrl-C in its terminal, or kill -TERM its process), or"
                " start a second deployment with its own --data and --port.",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_locked(data: Path) -> bool:
    """Whether an ``up`` runs on this directory now."""
    try:
        descriptor = os.open(data / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

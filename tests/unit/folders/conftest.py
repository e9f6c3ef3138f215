"""A storage in a temporary directory."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub_ext.folders.file_calls import FileCalls
from hub_ext.folders.storage import FolderStorage

FOLDER = "0123456789abcdef" * 2

_libc = ctypes.CDLL(None, use_errno=True)
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MNT_DETACH = 1, 32, 4096, 2


async def until(true: Callable[[], bool], limit_s: float = 30) -> None:
    """Wait for a condition. Raises TimeoutError."""
    async with asyncio.timeout(limit_s):
        while not true():  # noqa: ASYNC110 - a condition of the file system has no event
            await asyncio.sleep(0.01)


@contextmanager
def few_open_files(more: int = 500) -> Iterator[None]:
    """Not many more than are open now."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = len(os.listdir("/proc/self/fd")) + more
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    """With one folder in it."""
    storage = FolderStorage(tmp_path / "folders", FileCalls(patience_s=20))
    storage.prepare()
    storage.make(FOLDER)
    return storage


@pytest.fixture
def folder(storage: FolderStorage) -> Path:
    """The directory of that folder."""
    return storage.path(FOLDER)


@pytest.fixture
def mount() -> Iterator[Callable[[Path, str], None]]:
    """mount(place, options): a tmpfs with ``options``, or "ro": what is there, read-only."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    places: list[bytes] = []

    def mounted(place: Path, options: str) -> None:
        target = os.fsencode(place)
        if options == "ro":
            done = _libc.mount(target, target, None, _MS_BIND, None)
            flags = _MS_BIND | _MS_REMOUNT | _MS_RDONLY
            done = done or _libc.mount(None, target, None, flags, None)
        else:
            done = _libc.mount(b"tmpfs", target, b"tmpfs", 0, options.encode())
        if done != 0:
            pytest.skip(f"mount: {os.strerror(ctypes.get_errno())}")
        places.append(target)

    yield mounted
    for target in reversed(places):
        _libc.umount2(target, _MNT_DETACH)

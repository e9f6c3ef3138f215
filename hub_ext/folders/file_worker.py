"""The process behind ``file_process.py``: one JSON task as argument, JSON lines as answer.

It imports little, so that it starts at once, and has no database: it only works on files.
Lines: ``{"progress": ...}`` at most twice a second, ``{"result": ...}``, and at the end
``{"done": note}``, ``{"failed": message}`` or ``{"away": message}`` (the storage is).
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from hub_ext.folders.copying import CopyFailed, TreeCopy
from hub_ext.folders.deleting import delete_tree
from hub_ext.folders.descent import DIRECTORY
from hub_ext.folders.storage_errors import FolderMissing, StorageError, of_storage
from hub_ext.folders.storage_root import opened_folder, opened_root
from hub_ext.folders.walking import count_tree, measure_tree

_PROGRESS_EVERY_S = 0.5
_PR_SET_PDEATHSIG = 1
_SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_IOPRIO_IDLE = 3 << 13
_OPEN_FILES = 1024


class Reporter:
    """Writes progress, but not too often."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_EVERY_S

    def __call__(self, bytes_done: int, files_done: int, *, now: bool = False) -> None:
        """``now``: even if it was said a moment ago."""
        at = time.monotonic()
        if at >= self._next or now:
            self._next = at + _PROGRESS_EVERY_S
            say({"progress": {"bytes_done": bytes_done, "files_done": files_done}})


def say(line: dict[str, Any]) -> None:
    """One write, so that lines of two processes do not mix (pipe(7): up to 4096 bytes)."""
    os.write(1, (json.dumps(line) + "\n").encode())


def main() -> None:
    """Do the task; see the module."""
    task = json.loads(sys.argv[1])
    end_with(task["parent"])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    try:
        with opened_root(Path(task["root"])) as root_fd:
            say({"done": _TASKS[task["task"]](root_fd, task)})
    except CopyFailed as error:
        say({"failed": str(error)})
    except FolderMissing as error:
        say({"failed": error.message})
    except StorageError as error:
        say({"away": error.message})
    except OSError as error:
        say({"failed": _sentence(error)})


def end_with(parent: int) -> None:
    """SIGKILL for us when the service dies, so that its successor works alone (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def _sentence(error: OSError) -> str:
    where = f" ({error.filename!a})" if error.filename else ""
    return of_storage(error).message + where


def _clone(root_fd: int, task: dict[str, Any]) -> str:
    counter = 0
    with opened_folder(root_fd, task["source"]) as source_fd:
        if task["count"]:
            counter = _count_beside(source_fd)
        target_fd = os.open(task["target"], DIRECTORY, dir_fd=root_fd)
        report = Reporter()
        copy = TreeCopy(source_fd, target_fd, report)
        copy.run()
    if counter:
        os.waitpid(counter, 0)
    report(copy.bytes_done, copy.files_done, now=True)
    return copy.note()


def _count_beside(source_fd: int) -> int:
    """A second process says how much there is, while we copy; its process id."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        end_with(parent)
        os.nice(10)
        size, files = count_tree(source_fd)
        say({"progress": {"bytes_total": size, "files_total": files}})
    finally:
        os._exit(0)


def _purge(root_fd: int, task: dict[str, Any]) -> str:
    os.nice(10)
    report = Reporter()
    bytes_done = files_done = 0
    failed: OSError | None = None
    for name in task["names"]:
        try:
            for size in delete_tree(root_fd, name):
                bytes_done += size
                files_done += 1
                report(bytes_done, files_done)
        except OSError as error:
            # One that cannot be deleted keeps none of the others.
            failed = error
    report(bytes_done, files_done, now=True)
    if failed is not None:
        raise failed
    return ""


def _measure(root_fd: int, task: dict[str, Any]) -> str:
    os.nice(19)
    number = _SYS_IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(number, 1, 0, _IOPRIO_IDLE)
    for folder_id in task["folders"]:
        began = time.monotonic()
        try:
            with opened_folder(root_fd, folder_id) as folder_fd:
                usage = measure_tree(folder_fd)
        except FolderMissing:
            continue
        except OSError as error:
            # One that cannot be read keeps none of the others from being measured.
            sys.stderr.write(f"Folder {folder_id} was not measured: {_sentence(error)}\n")
            continue
        took = time.monotonic() - began
        say({"result": {folder_id: [usage.bytes, usage.files, took]}})
    return ""


_TASKS = {"clone": _clone, "purge": _purge, "measure": _measure}

if __name__ == "__main__":
    main()

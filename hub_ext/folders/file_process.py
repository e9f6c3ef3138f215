"""Runs ``file_worker.py``: long work on files, in a process that dies with the service.

A process of its own keeps the service answering while ten thousand files are copied, can be
ended at any moment, and takes what a broken file system does to it with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hub_ext.folders.storage_errors import StorageError

_END_S = 5.0
"""A process in a system call that never returns does not even die; wait no longer."""


class WorkFailed(Exception):
    """The work cannot be done; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Progress:
    """So far; totals are None while they are unknown."""

    bytes_done: int = 0
    files_done: int = 0
    bytes_total: int | None = None
    files_total: int | None = None


@dataclass(slots=True)
class Outcome:
    """What the process said at its end."""

    progress: Progress = field(default_factory=Progress)
    note: str = ""
    results: dict[str, Any] = field(default_factory=dict)


async def run_file_work(
    task: dict[str, Any], on_progress: Callable[[Progress], None] | None = None
) -> Outcome:
    """The outcome. Raises WorkFailed, or StorageError when the storage is away.

    Cancelled, it kills the process.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hub_ext.folders.file_worker",
        json.dumps({**task, "parent": os.getpid()}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        return await _listen(process, on_progress)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _END_S)


async def _listen(
    process: asyncio.subprocess.Process, on_progress: Callable[[Progress], None] | None
) -> Outcome:
    outcome = Outcome()
    ended: dict[str, Any] | None = None
    assert process.stdout is not None
    async for line in process.stdout:
        said = json.loads(line)
        if "progress" in said:
            known = {name: getattr(outcome.progress, name) for name in Progress.__slots__}
            outcome.progress = Progress(**{**known, **said["progress"]})
            if on_progress is not None:
                on_progress(outcome.progress)
        elif "result" in said:
            outcome.results.update(said["result"])
        else:
            ended = said
    if ended is None:
        code = await process.wait()
        raise WorkFailed(f"The process that did it ended too early (exit status {code}).")
    if "failed" in ended:
        raise WorkFailed(ended["failed"])
    if "away" in ended:
        raise StorageError(ended["away"])
    outcome.note = ended["done"]
    return outcome

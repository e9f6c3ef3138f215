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
from dataclasses import dataclass, field, replace
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
    outcome = Outcome()
    try:
        ended = await _listen(process, outcome, on_progress)
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        raise
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await process.wait()
    if "done" in ended:
        outcome.note = ended["done"]
        return outcome
    if "away" in ended:
        raise StorageError(ended["away"])
    raise WorkFailed(
        ended.get("failed")
        or f"The process that did it ended too early (exit status {process.returncode})."
    )


async def _listen(
    process: asyncio.subprocess.Process,
    outcome: Outcome,
    on_progress: Callable[[Progress], None] | None,
) -> dict[str, str]:
    """The last line; {} when there was none."""
    ended: dict[str, str] = {}
    assert process.stdout is not None
    async for line in process.stdout:
        said = json.loads(line)
        if "progress" in said:
            outcome.progress = replace(outcome.progress, **said["progress"])
            if on_progress is not None:
                on_progress(outcome.progress)
        elif "result" in said:
            outcome.results.update(said["result"])
        else:
            ended = said
    return ended

"""The processes of MPS on this machine, found by the pipes that they serve.

A control daemon that is killed leaves its servers behind, and a service that dies between starting
a daemon and noting it leaves the daemon: nothing else tells of either.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_COMM = "nvidia-cuda-mps"
"""proc(5) keeps 15 characters of a name: of nvidia-cuda-mps-control and nvidia-cuda-mps-server."""


def processes_of(pipes: Path) -> Iterator[int]:
    """The pids of daemons and servers, as far as this user may look at them."""
    variable = f"CUDA_MPS_PIPE_DIRECTORY={pipes}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if (process / "comm").read_text().strip() != _COMM:
                continue
            if variable in (process / "environ").read_bytes().split(b"\0"):
                yield int(process.name)


def end_all(pids: Iterable[int]) -> None:
    """Kill them; those that have ended or are another user's are passed over."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)

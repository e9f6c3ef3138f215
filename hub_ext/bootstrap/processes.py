"""Processes told apart for certain: a pid together with its start time (Linux ``/proc``).

A pid alone may by now belong to somebody else's program; pid and start time never do.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
POLL_S = 0.05
_EXEC_S = 1.0
"""Longest that the command line of a process may be empty while it loads its program."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of this machine. started: clock ticks since boot."""

    pid: int
    started: int

    def is_alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        stat = _stat(self.pid)
        return stat is not None and stat.started == self.started and stat.state != "Z"

    def send(self, signum: int) -> None:
        """Signal it if it is still the same process; a vanished one is no error."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def environment(self) -> dict[str, str]:
        """The environment it was started with; empty if it is gone or not ours to read."""
        try:
            raw = Path(f"/proc/{self.pid}/environ").read_bytes()
        except OSError:
            return {}
        pairs = (item.partition(b"=") for item in raw.split(b"\0") if item)
        return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}

    def has_a_program_of_its_own(self) -> bool:
        """Whether it has got past fork to exec: before, it shows its parent's environment."""
        stat = _stat(self.pid)
        if stat is None:
            return False
        return self.command() != Process(stat.parent, 0).command()

    def command(self) -> str:
        """Its command line, for messages."""
        try:
            raw = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return ""
        return os.fsdecode(raw.replace(b"\0", b" ")).strip()

    def command_once_known(self) -> str:
        """The same; in the middle of an exec, when it is empty for a moment, what comes then.

        "" for a kernel thread, which has none, and for a process that has ended.
        """
        deadline = time.monotonic() + _EXEC_S
        while not (command := self.command()) and self.is_alive():
            if time.monotonic() >= deadline:
                break
            time.sleep(POLL_S)
        return command


@dataclass(frozen=True, slots=True)
class _Stat:
    state: str
    parent: int
    started: int


def _stat(pid: int) -> _Stat | None:
    """The fields of proc(5) ``stat`` that matter here; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    values = text.rpartition(")")[2].split()  # the name before it may hold anything
    return _Stat(state=values[0], parent=int(values[1]), started=int(values[19]))


def find(pid: int) -> Process | None:
    """The process that has this pid now."""
    stat = _stat(pid)
    return None if stat is None else Process(pid, stat.started)


def everyone() -> Iterator[Process]:
    """All processes that can be seen."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (process := find(int(entry))) is not None:
            yield process


def children(pid: int) -> list[Process]:
    """Direct children of a process, zombies included."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))) and stat.parent == pid:
            found.append(Process(int(entry), stat.started))
    return found


def become_subreaper() -> None:
    """Make orphaned descendants children of this process, not of init. Linux only."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def reap(except_for: int | None = None) -> None:
    """Collect dead children that were adopted, but not ``except_for``, whose exit code counts."""
    for process in children(os.getpid()):
        stat = _stat(process.pid)
        if process.pid != except_for and stat is not None and stat.state == "Z":
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)


def wait_for_end(processes: Iterable[Process], timeout_s: float) -> list[Process]:
    """Wait until all have ended; returns those that still run at the time limit."""
    deadline = time.monotonic() + timeout_s
    waiting = list(processes)
    while waiting := [process for process in waiting if process.is_alive()]:
        if time.monotonic() >= deadline:
            break
        time.sleep(POLL_S)
    return waiting


def stop(processes: Iterable[Process], *, patience_s: float) -> list[Process]:
    """End processes: SIGTERM, then SIGKILL after ``patience_s``. Returns what survived that."""
    waiting = list(processes)
    for process in waiting:
        process.send(signal.SIGTERM)
    waiting = wait_for_end(waiting, patience_s)
    for process in waiting:
        process.send(signal.SIGKILL)
    return wait_for_end(waiting, 5.0)

"""The three parts that ``up`` answers for (hub, proxy, service), found again after any death.

The hub starts proxy and service in sessions of their own, and so it does with user servers
when they are local processes. Those last are not ours to stop. A part is told by its
environment: the mark of this data directory, which the hub hands on to the proxy, or the
service name that JupyterHub sets. What was seen is written down with pid and start time, so
that the next ``up`` finds what an ``up`` that was killed left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from hub_ext.bootstrap import processes
from hub_ext.bootstrap.processes import Process

MARK = "APPORTION_UP_DATA"
SERVICE_NAME = "JUPYTERHUB_SERVICE_NAME"  # set by JupyterHub for managed services only
SERVICE_PREFIX = "JUPYTERHUB_SERVICE_PREFIX"
STATE_FILE = "processes.json"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
HUB_PATIENCE_S = 15.0
PART_PATIENCE_S = 5.0


class DeploymentProcesses:
    """What runs of one deployment, as far as it is known."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._file = data / STATE_FILE
        self._hub: Process | None = None
        self._parts: set[Process] = set()

    def set_hub(self, hub: Process) -> None:
        """Say which process the hub is; written down at once."""
        self._hub = hub
        self._write()

    def look(self) -> None:
        """Find the hub's proxy and service among its children, and our own adopted ones."""
        parents = [os.getpid()]
        if self._hub is not None and self._hub.is_alive():
            parents.append(self._hub.pid)
        seen = {
            child
            for parent in parents
            for child in processes.children(parent)
            if child != self._hub and child.is_alive() and self._is_part(child)
        }
        known = {part for part in self._parts if part.is_alive()} | seen
        if known != self._parts:
            self._parts = known
            self._write()

    def _is_part(self, process: Process) -> bool:
        if not process.has_a_program_of_its_own():
            return False  # perhaps a user server of which the hub is only forking
        environment = process.environment()
        if environment.get(MARK) == str(self._data):
            return True
        prefix = environment.get(SERVICE_PREFIX, "")
        return SERVICE_NAME in environment and prefix.startswith("/services/")

    def stop_parts(self) -> list[Process]:
        """Stop proxy and service where they outlived their hub. Returns what would not end."""
        self.look()
        stubborn = processes.stop(self._parts, patience_s=PART_PATIENCE_S)
        processes.reap(self._hub.pid if self._hub else None)
        return stubborn

    def left_behind(self) -> list[Process]:
        """Parts of an earlier ``up`` that still run, the hub first."""
        try:
            state = json.loads(self._file.read_text())
            if state["boot_id"] != _boot_id():
                return []
            recorded = [Process(int(pid), int(started)) for pid, started in state["processes"]]
        except (OSError, ValueError, KeyError, TypeError):
            recorded = []
        marked = [
            process
            for process in processes.everyone()
            if process.has_a_program_of_its_own()
            and process.environment().get(MARK) == str(self._data)
        ]
        ours = dict.fromkeys([*recorded, *marked])
        return [p for p in ours if p.pid != os.getpid() and p.is_alive()]

    def forget(self) -> None:
        """Remove the record: nothing of this deployment runs."""
        self._hub, self._parts = None, set()
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _write(self) -> None:
        """Write whole or not at all; a full disk must not end a running deployment."""
        known = [self._hub] if self._hub else []
        state = {
            "boot_id": _boot_id(),
            "processes": [(p.pid, p.started) for p in [*known, *sorted(self._parts, key=_pid)]],
        }
        draft = self._file.with_suffix(".new")
        with contextlib.suppress(OSError):
            draft.write_text(json.dumps(state))
            draft.replace(self._file)


def take_over(data: Path) -> tuple[list[Process], list[Process]]:
    """Stop what an earlier ``up`` left running. The hub ends as on any SIGTERM.

    Returns what was found and what of it would not end.
    """
    deployment = DeploymentProcesses(data)
    found = deployment.left_behind()
    if not found:
        return [], []
    stubborn = processes.stop(found, patience_s=HUB_PATIENCE_S)
    stubborn += processes.stop(deployment.left_behind(), patience_s=PART_PATIENCE_S)
    deployment.forget()
    return found, stubborn


def _pid(process: Process) -> int:
    return process.pid


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""

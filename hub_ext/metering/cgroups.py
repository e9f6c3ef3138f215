"""Control groups: which container a process is in, and what a container uses (cgroups(7)).

Version 1 and 2, with Docker's cgroupfs and systemd drivers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_CONTAINER = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope)?(?:/|$)")
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
_MIB = 1024 * 1024
_SCAN_EVERY_S = 60.0
"""The least time between two looks at all processes: there may be thousands."""


def container_of(cgroup: str) -> str | None:
    """The container in the text of ``/proc/PID/cgroup``; None when the process is in none.

    "/docker/ID", "/system.slice/docker-ID.scope", and below another container the innermost.
    """
    for line in cgroup.splitlines():
        _, _, path = line.split(":", 2) if line.count(":") >= 2 else ("", "", "")
        found = _CONTAINER.findall(path)
        if found:
            return str(found[-1])
    return None


def paths_of(cgroup: str, container_id: str) -> dict[str, str]:
    """By controller ("" in version 2), where a container is, from the text of one of its processes.

    Relative to where the controller is mounted; the container's own, whatever it has made below.
    """
    found: dict[str, str] = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2) if line.count(":") >= 2 else ("", "", "")
        parts = path.strip("/").split("/")
        depths = [depth for depth, part in enumerate(parts) if container_id in part]
        if depths and ".." not in parts:  # above what is mounted here
            name = "/".join(parts[: depths[-1] + 1])
            found |= dict.fromkeys(controllers.split(","), name)
    return found


@dataclass(frozen=True, slots=True)
class CgroupUse:
    """``cpu_us``: CPU time used so far, in µs; memory without what the kernel can drop, MiB."""

    cpu_us: int
    memory_mib: int


class Cgroups:
    """The control groups of this machine. ``proc``, ``root``: where they are mounted."""

    def __init__(self, proc: Path = Path("/proc"), root: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._root = root
        self._places: dict[str, tuple[Path, Path] | None] = {}
        """By container: the directories of its CPU and of its memory."""
        self._processes: dict[str, str] = {}
        """By container: the text of ``/proc/PID/cgroup`` of one of its processes."""
        self._scanned_at: float | None = None

    def container_of(self, pid: int) -> str | None:
        """The container of a process of this machine; None outside, or when it has ended."""
        try:
            return container_of((self._proc / str(pid) / "cgroup").read_text())
        except (OSError, ValueError):
            return None

    def use(self, container_id: str) -> CgroupUse | None:
        """What a container uses; None when it is not found or has ended."""
        place = self._places.get(container_id) or self._find(container_id)
        if place is None:
            return None
        self._places[container_id] = place
        cpu, memory = place
        try:
            return CgroupUse(_cpu_us(cpu), _memory_bytes(memory) // _MIB)
        except (OSError, ValueError, KeyError):
            self._places.pop(container_id, None)
            return None

    def forget(self, running: set[str]) -> None:
        """Drop what is known of containers that run no more."""
        self._places = {key: at for key, at in self._places.items() if key in running}

    def _find(self, container_id: str) -> tuple[Path, Path] | None:
        """Where Docker puts it; else where its processes say: the engine may have been given
        another parent, be rootless, or run in a container itself."""
        if not _CONTAINER_ID.fullmatch(container_id):
            return None
        for name in (f"docker/{container_id}", f"system.slice/docker-{container_id}.scope"):
            place = self._place(dict.fromkeys(("", "cpuacct", "memory"), name))
            if place is not None:
                return place
        self._scan()
        return self._place(paths_of(self._processes.get(container_id, ""), container_id))

    def _place(self, paths: Mapping[str, str]) -> tuple[Path, Path] | None:
        both = self._root / paths.get("", "")
        if paths.get("") and (both / "cpu.stat").exists():
            return both, both
        if not {"cpuacct", "memory"} <= paths.keys():
            return None
        for cpu in ("cpuacct", "cpu,cpuacct"):
            at = self._root / cpu / paths["cpuacct"], self._root / "memory" / paths["memory"]
            if (at[0] / "cpuacct.usage").exists():
                return at
        return None

    def _scan(self) -> None:
        now = time.monotonic()
        if self._scanned_at is not None and now - self._scanned_at < _SCAN_EVERY_S:
            return
        self._scanned_at = now
        self._processes = {}
        for path in self._proc.glob("[0-9]*/cgroup"):
            try:
                text = path.read_text()
            except (OSError, ValueError):
                continue
            container = container_of(text)
            if container is not None:
                self._processes.setdefault(container, text)


def _cpu_us(place: Path) -> int:
    usage = place / "cpuacct.usage"
    if usage.exists():
        return int(usage.read_text()) // 1000
    return _table(place / "cpu.stat")["usage_usec"]


def _memory_bytes(place: Path) -> int:
    """Without the page cache of files that nobody has used lately, as ``docker stats`` counts."""
    current = place / "memory.current"
    if current.exists():
        inactive = _table(place / "memory.stat").get("inactive_file", 0)
    else:
        current = place / "memory.usage_in_bytes"
        inactive = _table(place / "memory.stat").get("total_inactive_file", 0)
    return max(0, int(current.read_text()) - inactive)


def _table(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text().splitlines())
    return {line[0]: int(line[1]) for line in lines if len(line) == 2}

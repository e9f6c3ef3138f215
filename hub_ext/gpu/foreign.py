"""Processes on a device that belong to no session: somebody trains outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from hub_ext.gpu.devices import GpuDevice, GpuProcess

_ALLOWED_MIB = 512
"""What services of the node may hold on a device: the MPS server, a monitor."""
_ALLOWED_PART = 0.05
"""As much of its memory, if that is more."""


def foreign_mib(
    processes: Iterable[GpuProcess], ours: Callable[[int], bool]
) -> Mapping[str, tuple[int, int]]:
    """By UUID of a device: how many processes are not ``ours`` (by pid), and their MiB."""
    found: dict[str, tuple[int, int]] = {}
    for process in processes:
        if not ours(process.pid):
            count, mib = found.get(process.uuid, (0, 0))
            found[process.uuid] = count + 1, mib + (process.memory_mib or 0)
    return found


def foreign_problem(device: GpuDevice, count: int, mib: int) -> str:
    """Why a device takes no sessions beside ``count`` processes with ``mib``; "" if it does."""
    if mib <= max(_ALLOWED_MIB, _ALLOWED_PART * device.memory_mib):
        return ""
    who = "a process that is" if count == 1 else f"{count} processes that are"
    return f"{mib / 1024:.1f} GiB of its memory are held by {who} in no session."

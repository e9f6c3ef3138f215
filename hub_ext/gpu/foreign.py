"""Processes on a device that belong to no session: somebody trains outside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from hub_ext.gpu.devices import GpuDevice, GpuProcess

_ALLOWED_MIB = 512
"""What services of the node may hold on a device: the MPS server, a monitor."""
_ALLOWED_PART = 0.05
"""As much of its memory, if that is more."""


def foreign_problems(
    devices: Collection[GpuDevice],
    processes: Collection[GpuProcess],
    ours: Callable[[int], bool],
) -> Mapping[str, str]:
    """By UUID, why a device takes no sessions beside processes that are not ``ours`` (by pid)."""
    held: dict[str, list[int]] = {}
    for process in processes:
        if not ours(process.pid):
            held.setdefault(process.uuid, []).append(process.memory_mib or 0)
    found = {}
    for device in devices:
        foreign = held.get(device.uuid, [])
        if sum(foreign) > max(_ALLOWED_MIB, _ALLOWED_PART * device.memory_mib):
            amount = f"{sum(foreign) / 1024:.1f} GiB of its memory are held by"
            found[device.uuid] = f"{amount} {_who(len(foreign))} in no session."
    return found


def _who(count: int) -> str:
    return "a process that is" if count == 1 else f"{count} processes that are"

"""Processes on a device that belong to no session: somebody trains outside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from hub_ext.gpu.devices import GpuDevice, GpuProcess

OUTSIDE = "Programs outside of all sessions"
"""How the problem of such a device begins."""
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
    held: dict[str, int] = {}
    for process in processes:
        if not ours(process.pid):
            held[process.uuid] = held.get(process.uuid, 0) + (process.memory_mib or 0)
    found = {}
    for device in devices:
        mib = held.get(device.uuid, 0)
        if mib > max(_ALLOWED_MIB, _ALLOWED_PART * device.memory_mib):
            gib = f"{mib / 1024:.1f}"
            found[device.uuid] = f"Programs outside of all sessions hold {gib} GiB of its memory."
    return found

"""CUDA's Multi-Process Service: sessions share a device through one daemon, each with limits.

NVIDIA, "Multi-Process Service": CUDA 11.5 and newer. A client may raise its own limits up to
those of the daemon, and a fatal fault of one client ends all clients of the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hub_ext.gpu.devices import WHOLE_MILLI
from hub_ext.gpu.enforcers.enforcer import (
    FileMount,
    HeldSlice,
    Place,
    Serves,
    SliceSettings,
)

PIPES = "/run/apportion-mps"
"""Where a container finds the pipes of its daemon."""


class Mps:
    """A session that holds one part of one device is a client of that device's daemon.

    Whole devices are shared with nobody and need none. A program can be a client of one daemon
    only, so that nobody gets a part beside other devices (``parts_alone``).
    """

    name = "mps"
    title = "CUDA MPS"
    memory = "Limited for each process; a program can raise its own limit."
    compute = "Limited to a share of the multiprocessors."
    serves: Serves = "parts"
    parts_alone = True

    def settings(self, slices: Sequence[HeldSlice], place: Place) -> SliceSettings:
        """MPS's variables and the pipe directory; the daemon's shared memory is the node's."""
        part = shared_slice(slices)
        if part is None:
            return SliceSettings()
        env = {
            "CUDA_MPS_PIPE_DIRECTORY": PIPES,
            "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": f"0={part.memory_mib}M",
            "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": str(max(1, part.milli * 100 // WHOLE_MILLI)),
        }
        pipes = FileMount(pipe_directory(place.mps_dir, part.uuid), PIPES, read_only=False)
        return SliceSettings(env, (pipes,), ipc_host=True)


def shared_slice(slices: Sequence[HeldSlice]) -> HeldSlice | None:
    """The slice that makes a session a client of MPS; None when it is none."""
    if len(slices) == 1 and slices[0].milli < WHOLE_MILLI:
        return slices[0]
    return None


def pipe_directory(mps_dir: Path, uuid: str) -> Path:
    """Of the daemon of a device."""
    return mps_dir / uuid / "pipe"

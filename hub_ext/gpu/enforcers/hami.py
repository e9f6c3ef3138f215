"""HAMi-core: a library of the site's, loaded into every program, that answers for CUDA and NVML.

Project-HAMi/HAMi-core: user space, so that a program that wants to can get around it.
"""

from __future__ import annotations

from collections.abc import Sequence

from hub_ext.gpu.devices import WHOLE_MILLI
from hub_ext.gpu.enforcers.enforcer import (
    FileMount,
    HeldSlice,
    Place,
    Serves,
    SliceSettings,
)

LIBRARY = "/usr/local/apportion/libvgpu.so"
CACHE = "/tmp/apportion-vgpu"


class Hami:
    """Memory of a container over all its processes, and its share of the multiprocessors."""

    name = "hami"
    title = "HAMi-core"
    memory = "Limited for the session; nvidia-smi shows the slice. A program can get around it."
    compute = "Soft: a session that computes too much is slowed down."
    serves: Serves = "parts"
    parts_alone = False

    def settings(self, slices: Sequence[HeldSlice], place: Place) -> SliceSettings:
        """The library, the file that preloads it, and a limit for each device by its place: CUDA
        is told to count in the order of the bus, as NVML does.

        Raises ValueError when the site gives no library: inventory keeps such nodes out.
        """
        if place.hami_library is None:
            raise ValueError("hami_library is not set")
        slices = sorted(slices, key=lambda part: part.device)
        env = {
            f"CUDA_DEVICE_MEMORY_LIMIT_{number}": f"{part.memory_mib}m"
            for number, part in enumerate(slices)
        }
        if len(slices) > 1:
            env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        env["CUDA_DEVICE_SM_LIMIT"] = str(
            max(1, max(part.milli for part in slices) * 100 // WHOLE_MILLI)
        )
        env["CUDA_DEVICE_MEMORY_SHARED_CACHE"] = f"{CACHE}/{slices[0].uuid}.cache"
        mounts = (
            FileMount(place.hami_library, LIBRARY),
            FileMount(place.session_dir / "ld.so.preload", "/etc/ld.so.preload"),
            FileMount(place.session_dir / "vgpu", CACHE, read_only=False),
        )
        return SliceSettings(env, mounts)

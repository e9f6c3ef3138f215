"""Simulated GPUs for trials, teaching and tests (``--simulate-gpus 2x16GiB``).

They go through the same interface as real ones; every page that shows one says so.
"""

from __future__ import annotations

import re
import uuid

from hub_ext.gpu.devices import GpuDevice

_GROUP = re.compile(r"(?:(\d{1,3})\s*x\s*)?(\d{1,6})\s*(GiB|MiB|GB|MB|G|M)", re.IGNORECASE)
_MAX_DEVICES = 64


def parse_simulated_gpus(text: str) -> list[int]:
    """Device memories in MiB for "2x16GiB" or "2x16GiB,1x24GiB"; [] for "".

    Raises ValueError that says what the text should look like.
    """
    if not text.strip():
        return []
    memories: list[int] = []
    for part in text.split(","):
        match = _GROUP.fullmatch(part.strip())
        if match is None:
            raise ValueError(
                f"'{part.strip()}' does not name simulated GPUs; write COUNTxMEMORY,"
                " as in 2x16GiB or 2x16GiB,1x24GiB."
            )
        count = int(match[1] or 1)
        memory = int(match[2]) * (1024 if match[3].upper().startswith("G") else 1)
        if not count or not memory:
            raise ValueError(f"'{part.strip()}': the number and the memory must be above zero.")
        memories += [memory] * count
    if len(memories) > _MAX_DEVICES:
        raise ValueError(f"{len(memories)} simulated GPUs are too many; {_MAX_DEVICES} at most.")
    return memories


class SimulatedGpus:
    """A GpuSource that invents devices; the same node gets the same UUIDs every time."""

    def __init__(self, spec: str, node: str = "local") -> None:
        self._devices = [
            GpuDevice(
                index=index,
                uuid=f"GPU-{uuid.uuid5(uuid.NAMESPACE_OID, f'apportion/{node}/{index}')}",
                model="Simulated GPU",
                memory_mib=memory,
                simulated=True,
            )
            for index, memory in enumerate(parse_simulated_gpus(spec))
        ]

    def devices(self) -> list[GpuDevice]:
        """The invented devices."""
        return list(self._devices)

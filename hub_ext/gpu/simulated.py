"""Simulated GPUs for trials, teaching and tests (``--simulate-gpus 2x16GiB``).

They go through the same interface as real ones; every page that shows one says so.
A slash makes several nodes of the one engine: ``8x16GiB / 8x16GiB``.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence

from hub_ext.gpu.devices import GpuDevice

_GROUP = re.compile(r"(?:(\d{1,3})\s*x\s*)?(\d{1,6})\s*(GiB|MiB|GB|MB|G|M)", re.IGNORECASE)
_MAX_DEVICES = 64
"""Of one node."""
_MAX_NODES = 16


def parse_simulated_gpus(text: str) -> list[list[int]]:
    """Device memories in MiB, node by node, for "2x16GiB,1x24GiB / 1x8GiB"; [] for "".

    Raises ValueError that says what the text should look like.
    """
    if not text.strip():
        return []
    parts = text.split("/")
    if len(parts) > _MAX_NODES:
        raise ValueError(f"{len(parts)} simulated nodes are too many; {_MAX_NODES} at most.")
    return [_parse_node(part) for part in parts]


def _parse_node(text: str) -> list[int]:
    memories: list[int] = []
    for part in text.split(","):
        match = _GROUP.fullmatch(part.strip())
        if match is None:
            raise ValueError(
                f"'{part.strip()}' does not name simulated GPUs; write COUNTxMEMORY, as in"
                " 2x16GiB or 2x16GiB,1x24GiB, with a slash between nodes: 8x16GiB / 8x16GiB."
            )
        count = int(match[1] or 1)
        memory = int(match[2]) * (1024 if match[3].upper().startswith("G") else 1)
        if not count or not memory:
            raise ValueError(f"'{part.strip()}': the number and the memory must be above zero.")
        memories += [memory] * count
    if len(memories) > _MAX_DEVICES:
        raise ValueError(
            f"{len(memories)} simulated GPUs are too many for a node; {_MAX_DEVICES} at most."
        )
    return memories


def simulated_nodes(text: str, name: str) -> dict[str, SimulatedGpus]:
    """The nodes that ``text`` makes of one machine: NAME, or NAME-1, NAME-2 ...; {} for "".

    Raises ValueError as ``parse_simulated_gpus`` does.
    """
    parts = parse_simulated_gpus(text)
    names = [name] if len(parts) == 1 else [f"{name}-{n}" for n in range(1, len(parts) + 1)]
    return {node: SimulatedGpus(part, node) for node, part in zip(names, parts, strict=True)}


class SimulatedGpus:
    """A GpuSource that invents devices; the same node gets the same UUIDs every time."""

    def __init__(self, memories_mib: Sequence[int], node: str) -> None:
        self._devices = [
            GpuDevice(
                index=index,
                uuid=f"GPU-{uuid.uuid5(uuid.NAMESPACE_OID, f'apportion/{node}/{index}')}",
                model="Simulated GPU",
                memory_mib=memory,
                simulated=True,
            )
            for index, memory in enumerate(memories_mib)
        ]

    def devices(self) -> list[GpuDevice]:
        """The invented devices."""
        return list(self._devices)

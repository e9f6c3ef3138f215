"""The one interface through which a node reports its GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class GpuDevice:
    """One physical GPU as seen now. ``problem`` is "" while it may take sessions."""

    index: int
    uuid: str
    model: str
    memory_mib: int
    simulated: bool = False
    problem: str = ""


class GpuSource(Protocol):
    """Something that lists the devices of this machine."""

    def devices(self) -> list[GpuDevice]:
        """The devices as they are now; [] when there are none."""
        ...

"""A node with real devices, as a test says that they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hub_ext.gpu.devices import GpuDevice, GpuProcess

GIB = 1024


def real(index: int, **values: Any) -> GpuDevice:
    return GpuDevice(index, f"GPU-{index:08d}", "NVIDIA A100", 16 * GIB, **values)


class Gpus:
    """A GpuSource that measures; all of it may be set."""

    def __init__(self, *devices: GpuDevice) -> None:
        self.present = list(devices)
        self.running: list[GpuProcess] = []
        self.computing: dict[str, float] = {}

    def change(self, index: int, **values: Any) -> None:
        self.present[index] = replace(self.present[index], **values)

    def devices(self) -> list[GpuDevice]:
        return list(self.present)

    def processes(self, *, computing: bool = True) -> dict[str, list[GpuProcess]]:
        found: dict[str, list[GpuProcess]] = {each.uuid: [] for each in self.present}
        for process in self.running:
            found[process.uuid].append(process)
        return found

    def busy(self) -> dict[str, float]:
        return dict(self.computing)

    def driver(self) -> str:
        return "550.54.15" if self.present else ""

"""How busy devices are: only of those that say it, and not asked more often than needed."""

from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest

from hub_ext.gpu.nvml import NvmlGpus
from hub_ext.gpu.readings import MeasuredGpus, Readings
from hub_ext.gpu.simulated import SimulatedGpus


class DriverWithAMigDevice:
    """NVML with three devices, of which the second reports no utilisation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        for name, function in {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetCount": self.count,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}".encode(),
            "nvmlDeviceGetUtilizationRates": self.rates,
        }.items():
            monkeypatch.setattr(pynvml, name, function)

    def count(self) -> int:
        self.calls += 1
        return 3

    def rates(self, handle: int) -> SimpleNamespace:
        if handle == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=43 + 57 * (handle // 2), memory=1)


def test_a_device_that_reports_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    DriverWithAMigDevice(monkeypatch)
    assert NvmlGpus().busy() == {"GPU-0": 0.43, "GPU-2": 1.0}


def test_without_a_driver_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", no_library)
    assert NvmlGpus().busy() == {}


async def test_a_driver_is_not_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = DriverWithAMigDevice(monkeypatch)
    readings, gpus = Readings(), NvmlGpus()
    first = await readings.busy([gpus])
    assert await readings.busy([gpus]) == first == {"GPU-0": 0.43, "GPU-2": 1.0}
    assert driver.calls == 1


async def test_simulated_devices_report_nothing() -> None:
    simulated = SimulatedGpus([8192], "gpu-1")
    assert not isinstance(simulated, MeasuredGpus)
    assert await Readings().busy([simulated]) == {}

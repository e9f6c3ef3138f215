"""Real devices through NVIDIA's management library (pynvml)."""

from __future__ import annotations

import logging

import pynvml

from hub_ext.gpu.devices import GpuDevice

log = logging.getLogger(__name__)

_MIB = 1024 * 1024


class NvmlGpus:
    """A GpuSource over ``libnvidia-ml.so.1``; without the library there are no GPUs."""

    def __init__(self) -> None:
        self._available: bool | None = None

    def devices(self) -> list[GpuDevice]:
        """The devices NVML reports; one that cannot be read is listed with its problem."""
        if not self._open():
            return []
        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            log.error("NVML cannot count the GPUs: %s", error)
            return []
        return [device for index in range(count) if (device := _read(index)) is not None]

    def busy(self) -> dict[str, float]:
        """By UUID, how busy each device is (0 to 1), of those that say it."""
        if not self._open():
            return {}
        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError:
            return {}
        readings = (_busy(index) for index in range(count))
        return dict(filter(None, readings))

    def _open(self) -> bool:
        if self._available is None:
            try:
                pynvml.nvmlInit()
                self._available = True
            except pynvml.NVMLError as error:
                log.info("No NVIDIA GPUs on this machine (%s).", error)
                self._available = False
        return self._available


def _read(index: int) -> GpuDevice | None:
    """One device; None when not even its UUID can be had (nothing to book on)."""
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
    except pynvml.NVMLError as error:
        log.error("GPU %d cannot be identified: %s", index, error)
        return None
    try:
        memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) // _MIB
        model = _text(pynvml.nvmlDeviceGetName(handle))
    except pynvml.NVMLError as error:
        return GpuDevice(index, uuid, "unknown", 0, problem=f"NVML says: {error}")
    return GpuDevice(index, uuid, model, memory)


def _busy(index: int) -> tuple[str, float] | None:
    """UUID and reading; None when the device gives none (MIG instances do not)."""
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        percent = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
        return _text(pynvml.nvmlDeviceGetUUID(handle)), min(100, int(percent)) / 100
    except pynvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value

"""Whether a device may take sessions, as far as NVML tells: XID events, ECC, temperature."""

from __future__ import annotations

import time
from typing import Any

import pynvml

APPLICATION_XIDS = frozenset({13, 31, 43, 45, 63, 68, 92, 94, 109})
"""Errors of a program, or repaired by the driver; every other XID is the device's.

NVIDIA's XID catalogue; its Kubernetes device plugin goes by the same distinction.
"""
XID_REST_S = 600.0
"""So long after its last XID a device that is otherwise well takes no sessions."""
_COOLED_DOWN = 5
"""Degrees below its threshold at which a device that was too hot is taken back."""
_MOST_EVENTS = 100
"""Read at once; more come with the next look."""


class Health:
    """Of all devices of a machine; keeps what NVML says only once."""

    def __init__(self, xid_rest_s: float = XID_REST_S) -> None:
        self._xid_rest_s = xid_rest_s
        self._events: Any = None
        self._registered: set[str] = set()
        self._xids: dict[str, tuple[int, float]] = {}
        """By UUID, the last XID that was the device's fault, and when (monotonic s)."""
        self._hot: set[str] = set()

    def forget_handles(self) -> None:
        """NVML is started anew: handles and event sets of before are worth nothing."""
        self._events = None
        self._registered.clear()

    def read_events(self) -> None:
        """Note the XIDs that were reported since the last look. Waits for none."""
        if self._events is None:
            return
        for _ in range(_MOST_EVENTS):
            try:
                event = pynvml.nvmlEventSetWait_v2(self._events, 0)
            except pynvml.NVMLError:
                return  # a timeout: there are no more
            try:
                uuid = text(pynvml.nvmlDeviceGetUUID(event.device))
            except pynvml.NVMLError:
                continue  # of a device that is gone, which is seen without
            xid = int(event.eventData)
            if event.eventType == pynvml.nvmlEventTypeXidCriticalError and (
                xid not in APPLICATION_XIDS
            ):
                self._xids[uuid] = (xid, time.monotonic())

    def watch(self, handle: Any, uuid: str) -> None:
        """Have NVML report the XIDs of a device; silently where it cannot."""
        if uuid in self._registered:
            return
        self._registered.add(uuid)
        try:
            if self._events is None:
                self._events = pynvml.nvmlEventSetCreate()
            xid = pynvml.nvmlEventTypeXidCriticalError
            pynvml.nvmlDeviceRegisterEvents(handle, xid, self._events)
        except pynvml.NVMLError:
            return

    def problem(self, handle: Any, uuid: str) -> str:
        """One sentence; "" while all is well."""
        return self._xid(uuid) or _ecc(handle) or self._heat(handle, uuid)

    def _xid(self, uuid: str) -> str:
        xid, at = self._xids.get(uuid, (0, 0.0))
        if not xid:
            return ""
        if time.monotonic() - at >= self._xid_rest_s:
            del self._xids[uuid]
            return ""
        return f"It reported XID {xid}; see the kernel log (dmesg) of the node."

    def _heat(self, handle: Any, uuid: str) -> str:
        try:
            celsius = pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU)
            most = pynvml.nvmlDeviceGetTemperatureThreshold(
                handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
            )
        except pynvml.NVMLError as error:
            if isinstance(error, pynvml.NVMLError_GpuIsLost):
                raise
            return ""
        limit = most - _COOLED_DOWN if uuid in self._hot else most
        if not most or celsius < limit:
            self._hot.discard(uuid)
            return ""
        self._hot.add(uuid)
        return f"It is too hot: {celsius} °C; it slows down at {most} °C."


def _ecc(handle: Any) -> str:
    try:
        errors = pynvml.nvmlDeviceGetTotalEccErrors(
            handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
        )
    except pynvml.NVMLError as error:
        if isinstance(error, pynvml.NVMLError_GpuIsLost):
            raise
        return ""  # without ECC
    if not errors:
        return ""
    return f"Its memory has had {errors} uncorrected ECC errors since it was last reset."


def text(value: str | bytes) -> str:
    """NVML's strings, whichever way pynvml gives them."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value

"""Real devices through NVIDIA's management library (pynvml)."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pynvml

from hub_ext.gpu.bounded import BoundedCalls, DoesNotAnswer
from hub_ext.gpu.devices import GpuDevice, GpuProcess
from hub_ext.gpu.mig import capacity_milli, profile_of
from hub_ext.gpu.nvml_health import XID_REST_S, Health, text

log = logging.getLogger(__name__)

LIMIT_S = 5.0
"""How long one look at the devices may take."""

_MIB = 1024 * 1024
_MOST_DEVICES = 256
"""Of a machine, with MIG instances: a library that counts more is not believed."""
_UUID = re.compile(r"(GPU|MIG)-[0-9A-Za-z/-]{8,88}")
_T = TypeVar("_T")
_N = TypeVar("_N")


class NvmlGpus:
    """A GpuSource over ``libnvidia-ml.so.1``; without the library there are no GPUs.

    Every call returns within ``limit_s`` seconds, whatever the driver does.
    """

    def __init__(self, *, limit_s: float = LIMIT_S, xid_rest_s: float = XID_REST_S) -> None:
        self._bounded = BoundedCalls("nvml", limit_s)
        self._health = Health(xid_rest_s)
        self._open = False
        self._known: list[GpuDevice] = []
        self._said: set[str] = set()
        self._measured_at: dict[str, int] = {}
        """By UUID, the time (µs) of the last sample of its processes."""

    def devices(self) -> list[GpuDevice]:
        """The devices as they are; one that cannot be used is listed with its problem.

        When NVML fails or hangs, those of before with that problem: what runs on them is there.
        """
        try:
            found = self._bounded(self._read_devices)
        except DoesNotAnswer as error:
            since = time.strftime("%H:%M:%S", time.localtime(error.since))
            return self._all_sick(f"The NVIDIA driver (NVML) has not answered since {since}.")
        except pynvml.NVMLError as error:
            return self._all_sick(f"The NVIDIA driver (NVML) says: {error}.")
        self._known = found
        return list(found)

    def processes(self, *, computing: bool = True) -> dict[str, list[GpuProcess]] | None:
        """By UUID, of the devices whose processes can be read; None when NVML fails or hangs.

        computing: also how much of the SMs each uses since this was last asked for: the driver
        tells every moment once, so only one may ask.
        """
        return self._reading(lambda: self._read_processes(computing), None)

    def busy(self) -> dict[str, float]:
        """By UUID, how busy each device is (0 to 1), of those that say it; MIG does not."""
        return self._reading(self._read_busy, {})

    def driver(self) -> str:
        """Version of the driver; "" without one."""
        return self._reading(lambda: text(pynvml.nvmlSystemGetDriverVersion()), "")

    def _reading(self, read: Callable[[], _T], nothing: _N) -> _T | _N:
        """``nothing`` when NVML fails: ``devices`` says what is the matter."""
        try:
            return self._bounded(lambda: read() if self._opened() else nothing)
        except (DoesNotAnswer, pynvml.NVMLError):
            return nothing

    def _all_sick(self, problem: str) -> list[GpuDevice]:
        self._open = False
        self._say(f"{len(self._known)} GPUs take no sessions. {problem}")
        return [replace(device, problem=problem) for device in self._known]

    def _say(self, message: str) -> None:
        """Once, not with every look."""
        if message not in self._said:
            self._said.add(message)
            log.error("%s", message)

    def _opened(self) -> bool:
        """Start NVML, again after it has failed; False where there is none, said once."""
        if self._open:
            return True
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            if self._known:
                raise
            if not self._said:
                self._said.add("none")
                log.info("No NVIDIA GPUs on this machine (%s).", error)
            return False
        self._open = True
        self._health.forget_handles()
        return True

    def _read_devices(self) -> list[GpuDevice]:
        if not self._opened():
            return []
        self._health.read_events()
        found: dict[str, GpuDevice] = {}
        for index in range(_device_count()):
            for device in self._read_gpu(index):
                if device.uuid in found:
                    self._say(f"GPU {index} has the UUID of another device: {device.uuid}.")
                else:
                    found[device.uuid] = device
        # bookings name numbers: instances share their GPU's, and are told apart by the inventory
        return list(found.values())

    def _read_gpu(self, index: int) -> Iterator[GpuDevice]:
        """The GPU, or its MIG instances; nothing when not even its UUID can be had."""
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid = text(pynvml.nvmlDeviceGetUUID(handle))
        except pynvml.NVMLError as error:
            self._say(f"GPU {index} cannot be identified: {error}.")
            return
        if not _UUID.fullmatch(uuid):
            self._say(f"GPU {index} has no proper UUID ({uuid!r}) and cannot be used.")
            return
        self._health.watch(handle, uuid)
        problem = self._problem(handle, uuid)
        instances = [device for device in self._known if device.parent_uuid == uuid]
        if problem and instances and not _split(handle):
            yield from (replace(device, problem=problem) for device in instances)
        elif _split(handle):
            yield from self._read_instances(handle, index, uuid, problem)
        else:
            yield _described(handle, GpuDevice(index, uuid, "", 0, problem=problem))

    def _problem(self, handle: Any, uuid: str) -> str:
        try:
            return self._health.problem(handle, uuid)
        except pynvml.NVMLError as error:
            return _failure(error)

    def _read_instances(
        self, handle: Any, index: int, parent: str, problem: str
    ) -> Iterator[GpuDevice]:
        for instance in _instances(handle):
            try:
                uuid = text(pynvml.nvmlDeviceGetUUID(instance))
            except pynvml.NVMLError as error:
                self._say(f"A MIG instance of GPU {index} cannot be identified: {error}.")
                continue
            if not _UUID.fullmatch(uuid):
                self._say(f"A MIG instance of GPU {index} has no proper UUID ({uuid!r}).")
                continue
            plain = GpuDevice(index, uuid, "", 0, problem=problem, parent_uuid=parent)
            device = _described(instance, plain)
            profile = profile_of(device.model)
            model = device.model.removesuffix(f" MIG {profile}")
            try:
                capacity = capacity_milli(profile)
            except ValueError as error:
                problem_of_it = problem or f"It says that its profile is {error}."
                yield replace(device, mig_profile=profile or "?", problem=problem_of_it)
                continue
            yield replace(device, model=model, mig_profile=profile, capacity_milli=capacity)

    def _read_processes(self, with_sm: bool) -> dict[str, list[GpuProcess]]:
        found: dict[str, list[GpuProcess]] = {}
        for handle in _usable_handles():
            try:
                uuid = text(pynvml.nvmlDeviceGetUUID(handle))
                running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
            except pynvml.NVMLError:
                continue
            memory = {
                process.pid: None
                if process.usedGpuMemory is None
                else int(process.usedGpuMemory) // _MIB
                for process in running
            }
            computing: dict[int, int] | None = {} if with_sm else None
            if memory and with_sm:
                computing = self._computing(handle, uuid)
            found[uuid] = [
                GpuProcess(uuid, pid, mib, None if computing is None else computing.get(pid, 0))
                for pid, mib in memory.items()
            ]
        return found

    def _computing(self, handle: Any, uuid: str) -> dict[int, int] | None:
        """By process, its mean part of the SMs since the last look; None: not told."""
        try:
            samples = pynvml.nvmlDeviceGetProcessUtilization(handle, self._measured_at.get(uuid, 0))
        except pynvml.NVMLError as error:
            quiet = isinstance(error, pynvml.NVMLError_NotFound)
            return {} if quiet else None
        by_pid: dict[int, list[int]] = {}
        for sample in samples:
            by_pid.setdefault(int(sample.pid), []).append(min(100, int(sample.smUtil)))
            last = max(self._measured_at.get(uuid, 0), int(sample.timeStamp))
            self._measured_at[uuid] = last
        return {pid: round(sum(each) / len(each)) for pid, each in by_pid.items()}

    def _read_busy(self) -> dict[str, float]:
        found = {}
        for handle in _usable_handles():
            try:
                percent = int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
                found[text(pynvml.nvmlDeviceGetUUID(handle))] = min(100, percent) / 100
            except pynvml.NVMLError:
                continue
        return found


def _device_count() -> int:
    return min(int(pynvml.nvmlDeviceGetCount()), _MOST_DEVICES)


def _usable_handles() -> Iterator[Any]:
    """Of all GPUs that are not split, and of all MIG instances."""
    for index in range(_device_count()):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        except pynvml.NVMLError:
            continue
        if _split(handle):
            yield from _instances(handle)
        else:
            yield handle


def _split(handle: Any) -> bool:
    """Whether the GPU is in MIG mode, where only its instances compute."""
    try:
        return bool(pynvml.nvmlDeviceGetMigMode(handle)[0])
    except pynvml.NVMLError:
        return False


def _instances(handle: Any) -> Iterator[Any]:
    try:
        most = min(int(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)), _MOST_DEVICES)
    except pynvml.NVMLError:
        return
    for number in range(most):
        try:
            yield pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
        except pynvml.NVMLError:
            continue  # not every place is taken


def _described(handle: Any, device: GpuDevice) -> GpuDevice:
    """With model and memory (MiB, rounded down); a failure is its problem."""
    try:
        memory_mib = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) // _MIB
        model = text(pynvml.nvmlDeviceGetName(handle))
    except pynvml.NVMLError as error:
        return replace(device, model="unknown", problem=device.problem or _failure(error))
    problem = device.problem
    if not memory_mib:
        problem = problem or "It says that it has no memory."
    return replace(device, model=model, memory_mib=memory_mib, problem=problem)


def _failure(error: pynvml.NVMLError) -> str:
    if isinstance(error, pynvml.NVMLError_GpuIsLost):
        return "The GPU is lost: the driver cannot reach it. The node must be restarted."
    return f"NVML says: {error}."

"""The one interface through which a node reports its GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

WHOLE_MILLI = 1000
"""milli-GPU that a GPU holds which is not split by MIG."""


@dataclass(frozen=True, slots=True)
class GpuDevice:
    """One GPU, or one MIG instance, as seen now. ``problem`` is "" while it may take sessions.

    A GPU in MIG mode is none itself: its instances are, each with ``mig_profile`` (as in
    "1g.10gb"), the UUID of its GPU, and the milli-GPU that it holds.
    """

    index: int
    uuid: str
    model: str
    memory_mib: int
    simulated: bool = False
    problem: str = ""
    mig_profile: str = ""
    parent_uuid: str = ""
    capacity_milli: int = WHOLE_MILLI


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process on a device. None: the driver does not tell.

    uuid: of the device or MIG instance; pid: as the machine counts; sm_percent: of the
    device's streaming multiprocessors over the last moment, 0 to 100.
    """

    uuid: str
    pid: int
    memory_mib: int | None
    sm_percent: int | None


class GpuSource(Protocol):
    """Something that lists the devices of this machine."""

    def devices(self) -> list[GpuDevice]:
        """The devices as they are now; [] when there are none."""
        ...


@runtime_checkable
class MeasuredGpus(Protocol):
    """A GpuSource that also measures. Its calls may take seconds, never longer."""

    def busy(self) -> dict[str, float]:
        """By UUID, the part (0 to 1) of the last moment in which the device computed."""
        ...

    def processes(self, *, computing: bool = True) -> dict[str, list[GpuProcess]] | None:
        """By UUID, of the devices whose processes can be read now; None when none can.

        computing: also what part of the SMs each used since this was last asked for, which
        only one may ask.
        """
        ...

    def driver(self) -> str:
        """Version of the driver; "" without one."""
        ...

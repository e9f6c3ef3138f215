"""The unit that users ask for: fGPU to milli-GPU of a physical device, and back.

Integers throughout (DESIGN 1). A request that is not a multiple of the quantum is
refused with the nearest two valid values; it is never rounded in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from hub_ext.errors import BadValue

GPU_MILLI = 1000
"""milli-GPU of one physical device."""

_MOST_DECIMALS = 20
"""A float's own digits fit; what is longer would be rounded in silence by the arithmetic."""


@dataclass(frozen=True, slots=True)
class FgpuUnit:
    """How fGPU map to devices at this site.

    per_gpu: fGPU in one physical GPU. quantum_milli: smallest step in milli-fGPU.
    Raises ValueError when a step is not a whole number of milli-GPU.
    """

    per_gpu: int = 1
    quantum_milli: int = 100

    def __post_init__(self) -> None:
        if self.per_gpu < 1:
            raise ValueError(f"fgpu_per_gpu must be at least 1, not {self.per_gpu}.")
        if self.quantum_milli < 1:
            raise ValueError(f"fgpu_quantum must be positive, not {self.quantum_milli / 1000:g}.")
        if self.quantum_milli % self.per_gpu:
            near = max(1, round(self.quantum_milli / self.per_gpu)) * self.per_gpu
            raise ValueError(
                f"fgpu_quantum {self.quantum_milli / 1000:g} with fgpu_per_gpu {self.per_gpu} is"
                f" not a whole number of thousandths of a GPU; use {near / 1000:g}."
            )

    def parse(self, value: object, *, field: str = "fgpu") -> int:
        """milli-GPU for a request in fGPU (number or decimal string).

        Raises BadValue for anything that is not a non-negative multiple of the quantum.
        """
        try:
            fgpu = Decimal(str(value).strip())
        except InvalidOperation:
            raise BadValue(f"'{value}' is not a number of fGPU.", field=field) from None
        if not fgpu.is_finite() or fgpu < 0:
            raise BadValue(f"fGPU must be zero or more, not {value}.", field=field)
        if fgpu > 1_000_000:
            raise BadValue(f"{fgpu:g} fGPU is more than any site has.", field=field)
        if int(fgpu.as_tuple().exponent) < -_MOST_DECIMALS:
            raise BadValue(f"fGPU have at most {_MOST_DECIMALS} decimals.", field=field)
        milli_fgpu = fgpu * 1000
        steps, rest = divmod(milli_fgpu, self.quantum_milli)
        if rest:
            low = int(steps) * self.quantum_milli
            raise BadValue(
                f"{fgpu.normalize():f} fGPU is not a multiple of {self.quantum_milli / 1000:g}:"
                f" use {low / 1000:g} or {(low + self.quantum_milli) / 1000:g}.",
                field=field,
            )
        return int(milli_fgpu) // self.per_gpu

    def fgpu(self, gpu_milli: int) -> float:
        """fGPU of so many milli-GPU."""
        return gpu_milli * self.per_gpu / 1000

    def memory_mib(self, gpu_milli: int, device_memory_mib: int) -> int:
        """GPU memory in MiB that goes with a part of a device, rounded down."""
        return gpu_milli * device_memory_mib // GPU_MILLI

"""What the devices compute right now, as far as they report it.

Simulated devices report nothing, and nobody makes a number up for them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping

from hub_ext.gpu.devices import GpuSource, MeasuredGpus

_FRESH_S = 5.0


class Readings:
    """Asks at most every few seconds, on a thread: a driver may take its time."""

    def __init__(self) -> None:
        self._read_at = 0.0
        self._busy: dict[str, float] = {}

    async def busy(self, sources: Collection[GpuSource]) -> Mapping[str, float]:
        """By UUID of those devices that report it."""
        measured = [source for source in sources if isinstance(source, MeasuredGpus)]
        if measured and time.monotonic() - self._read_at > _FRESH_S:
            self._read_at = time.monotonic()
            self._busy = await asyncio.to_thread(_read, measured)
        return self._busy


def _read(sources: Collection[MeasuredGpus]) -> dict[str, float]:
    found: dict[str, float] = {}
    for source in sources:
        found |= source.busy()
    return found

"""Where the seconds of a spawn go, in one line of the hub's log."""

from __future__ import annotations

import time


class Stopwatch:
    """Names the stretches between marks, in order."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._stretches: list[tuple[str, float]] = []

    def mark(self, stretch: str) -> None:
        """What took the time since the last mark."""
        now = time.monotonic()
        self._stretches.append((stretch, now - self._last))
        self._last = now

    def __str__(self) -> str:
        return ", ".join(f"{stretch} {seconds:.2f} s" for stretch, seconds in self._stretches)

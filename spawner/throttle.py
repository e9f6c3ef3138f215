"""How many servers a hub starts at the same moment.

A Jupyter server's start is a second or two of pure CPU. Started all at once on few cores, every
one of them becomes slow; started a few at a time, the first are ready early and the last no later.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


def default_concurrent_starts() -> int:
    """Two starts more than there are cores: a third of a start is waiting for the engine."""
    return (os.cpu_count() or 1) + 2


class StartThrottle:
    """First come, first served; every waiter is told how many start before it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._running = 0
        self._waiting: list[tuple[asyncio.Future[None], Callable[[int], None]]] = []

    async def acquire(self, on_ahead: Callable[[int], None]) -> None:
        """Take a slot; ``on_ahead(n)`` is called whenever the number in front changes."""
        if self._running < self.limit and not self._waiting:
            self._running += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, on_ahead))
        on_ahead(len(self._waiting) - 1 + self._running)
        try:
            await turn
        except asyncio.CancelledError:
            self._leave(turn)
            raise

    def release(self) -> None:
        """Give a slot back and let the next one start."""
        self._running -= 1
        self._admit()

    def _leave(self, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self.release()  # the slot was given in the very moment of the cancel
            return
        self._waiting = [entry for entry in self._waiting if entry[0] is not turn]
        self._tell()

    def _admit(self) -> None:
        while self._waiting and self._running < self.limit:
            turn, _ = self._waiting.pop(0)
            if not turn.done():
                self._running += 1
                turn.set_result(None)
        self._tell()

    def _tell(self) -> None:
        for place, (_, on_ahead) in enumerate(self._waiting):
            on_ahead(place + self._running)

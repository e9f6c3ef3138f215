"""A spawner's turn among the servers that its hub starts: taken once, left once."""

from __future__ import annotations

from collections.abc import Callable

from .throttle import StartThrottle


class Turn:
    """Takes a slot of the hub's throttle and remembers whether it is held."""

    def __init__(self) -> None:
        self._throttle: StartThrottle | None = None

    async def take(self, throttle: StartThrottle, tell: Callable[[str], None]) -> None:
        """Wait for a slot; ``tell`` hears how many others start first."""

        def on_ahead(ahead: int) -> None:
            others = "1 other is" if ahead == 1 else f"{ahead} others are"
            tell(f"{others} starting first.")

        await throttle.acquire(on_ahead)
        self._throttle = throttle

    def leave(self) -> None:
        """Let the next one start; repeating it changes nothing."""
        throttle, self._throttle = self._throttle, None
        if throttle is not None:
            throttle.release()

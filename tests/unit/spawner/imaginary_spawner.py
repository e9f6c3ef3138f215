"""A spawner whose server is imaginary but whose flow is real."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from spawner.grant import Grant
from spawner.mixin import ApportionSpawnerMixin


class ImaginarySpawner(ApportionSpawnerMixin):
    """Counts launches and stops; ``launch_gate`` holds a launch as a slow engine would."""

    def __init__(self, **kwargs: Any) -> None:
        self.launches: list[Grant] = []
        self.stops = 0
        self.saved: list[dict[str, Any]] = []
        self.launch_gate: asyncio.Event | None = None
        self.launch_error: Exception | None = None
        self.end: str | None = None
        self.revoked: set[str] = set()
        super().__init__(**kwargs)

    server = None  # the hub's is a property backed by its database

    async def launch_server(
        self, grant: Grant, announced: Callable[[], Awaitable[None]]
    ) -> tuple[str, int]:
        if self.launch_gate is not None:
            await self.launch_gate.wait()
        await announced()
        if self.launch_error is not None:
            raise self.launch_error
        self.launches.append(grant)
        return "127.0.0.1", 1

    def hub_knows(self, token: str) -> bool:
        return token not in self.revoked

    async def exit_reason(self) -> str | None:
        return self.end

    async def stop_server(self, now: bool) -> None:
        self.stops += 1

    async def poll(self) -> Any:
        return None if self.stage else 0

    def save_state(self) -> None:
        self.saved.append(self.get_state())


#: The fixture ``make_spawner``.
Make = Callable[..., ImaginarySpawner]


async def eventually(condition: Callable[[], Any], limit_s: float = 5.0) -> None:
    """Wait until ``condition`` holds; fail after ``limit_s``."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - any condition, not an event
            await asyncio.sleep(0.005)

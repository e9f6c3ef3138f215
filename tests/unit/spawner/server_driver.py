"""One server of the hub, driven through its spawner as the hub does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from imaginary_spawner import ImaginarySpawner, eventually
from queue_service import QueueService


class Server:
    """``spawning`` is the hub's task that waits or starts."""

    def __init__(self, spawner: ImaginarySpawner, queue: QueueService) -> None:
        self.spawner = spawner
        self.queue = queue
        self.spawning: asyncio.Task[Any] | None = None

    @property
    def told(self) -> list[str]:
        """What its pending page has said."""
        return [event["message"] for event in self.spawner.journal._events]

    def ask(self) -> asyncio.Task[Any]:
        """Begin the spawn: queue and turn."""
        self.spawning = asyncio.create_task(self.spawner.run_pre_spawn_hook())
        return self.spawning

    async def wait_in_queue(self) -> asyncio.Task[Any]:
        """Ask while nothing is free, until the spawner waits at the service."""
        self.queue.capacity = 0
        waits = len(self.queue.waits())
        task = self.ask()
        await eventually(lambda: len(self.queue.waits()) > waits)
        return task

    async def begin_start(self) -> asyncio.Task[Any]:
        """Until the engine is at work, which lasts as long as the test wants."""
        self.spawner.launch_gate = asyncio.Event()
        await self.spawner.run_pre_spawn_hook()
        self.spawning = asyncio.create_task(self.spawner.start())
        await eventually(lambda: "STARTING" in self.queue.reported())
        return self.spawning

    async def run(self) -> tuple[str, int]:
        """Up to a running server that has been reported."""
        await self.spawner.run_pre_spawn_hook()
        return await self.launch()

    async def launch(self) -> tuple[str, int]:
        """What follows on the queue and the turn."""
        launches, reports = len(self.spawner.launches), self.queue.reported().count("RUNNING")
        self.spawning = starting = asyncio.create_task(self.spawner.start())
        await eventually(lambda: len(self.spawner.launches) > launches or starting.done())
        self.spawner.mark_server_ready()
        address = await starting
        self.spawner.start_polling()
        await eventually(lambda: self.queue.reported().count("RUNNING") > reports)
        return address

    async def stop(self) -> None:
        """A stop, or what follows on a cancelled or failed start."""
        await self.spawner.stop()
        await self.spawner.run_post_stop_hook()

    async def cancel(self) -> None:
        """The user's cancel; ``stop`` follows a second later."""
        assert self.spawning is not None
        self.spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.spawning

    def found_by(self, spawner: ImaginarySpawner, state: dict[str, Any] | None = None) -> Server:
        """The same server as a restarted hub finds it, by the state that was saved."""
        spawner.load_state(state or self.spawner.get_state())
        return Server(spawner, self.queue)


#: The fixture ``make_server``.
MakeServer = Callable[..., Server]

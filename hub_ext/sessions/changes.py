"""In-process notice of changes: wakes long polls, event streams and the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """A session of this user has changed; ``of_status``: more than why it waits."""

    session_id: str
    user: str
    project: str
    of_status: bool = True


class Changes:
    """Tells waiters that a session has changed. Nothing is stored; readers read again."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._listeners: set[Callable[[Change], None]] = set()
        self._of_nodes: list[Callable[[], None]] = []

    def listen(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``callback(change)`` on every change; returns the way to stop it."""
        self._listeners.add(callback)
        return lambda: self._listeners.discard(callback)

    def listen_to_nodes(self, callback: Callable[[], None]) -> None:
        """Call ``callback()`` when a node or a device has changed."""
        self._of_nodes.append(callback)

    def announce_nodes(self) -> None:
        """A node or a device is not what it was."""
        for callback in self._of_nodes:
            callback()

    def announce(self, change: Change) -> None:
        """It has been committed."""
        for event in self._waiters.get(change.session_id, ()):
            event.set()
        for callback in tuple(self._listeners):
            callback(change)

    async def wait(self, session_id: str, limit_s: float) -> bool:
        """Wait for the next change, at most ``limit_s`` seconds. False when none came."""
        event = asyncio.Event()
        waiters = self._waiters.setdefault(session_id, set())
        waiters.add(event)
        try:
            async with asyncio.timeout(limit_s):
                await event.wait()
            return True
        except TimeoutError:
            return False
        finally:
            waiters.discard(event)
            if not waiters:
                self._waiters.pop(session_id, None)

    def attached(self, session_id: str) -> bool:
        """Whether somebody waits for this session right now."""
        return session_id in self._waiters

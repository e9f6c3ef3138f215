"""Giving a slice back, surely and off the caller's path.

A cancel must return at once, yet the service may be restarting just then. A release is therefore
a task of its own that retries until the service has heard it; the next spawn of the same server
waits for it, so that it never finds the session that is being given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from .service_client import ServiceDenied, ServiceError, ServiceUnavailable, SessionGone

ServerKey = tuple[str, str]

FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 5.0

_pending: dict[ServerKey, asyncio.Task[None]] = {}


def release_in_background(
    key: ServerKey, end: Callable[[], Awaitable[None]], log: logging.Logger
) -> asyncio.Task[None]:
    """Call ``end`` until the service has answered; ``key`` is (user, server name)."""
    before = _pending.get(key)
    task = asyncio.ensure_future(_release(key, end, log, before))
    _pending[key] = task
    task.add_done_callback(lambda done: _forget(key, done))
    return task


def pending_release(key: ServerKey) -> asyncio.Task[None] | None:
    """The release of this server's earlier session, if the service has not heard it yet."""
    return _pending.get(key)


def _forget(key: ServerKey, task: asyncio.Task[None]) -> None:
    if _pending.get(key) is task:
        del _pending[key]


async def _release(
    key: ServerKey,
    end: Callable[[], Awaitable[None]],
    log: logging.Logger,
    before: asyncio.Task[None] | None,
) -> None:
    if before is not None:
        await asyncio.wait([before])
    delay = FIRST_RETRY_S
    while True:
        try:
            await end()
            return
        except SessionGone:
            return
        except ServiceUnavailable as e:
            log.warning("Could not release the session of %s yet: %s", ":".join(key), e)
        except (ServiceDenied, ServiceError):
            log.exception("The service did not take back the session of %s", ":".join(key))
            return
        await asyncio.sleep(delay)
        delay = min(LONGEST_RETRY_S, delay * 2)


class HubLifetime:
    """Tells a user's cancel from the end of the hub.

    A hub that shuts down cancels every task of its loop. A spawn cancelled that way keeps its
    place in the queue; one that a user cancelled gives it up. A task that waits for nothing is
    cancelled in the first case only.
    """

    def __init__(self) -> None:
        self._sentinel: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Start watching the running loop (repeating it costs nothing)."""
        loop = asyncio.get_running_loop()
        if self._sentinel is None or self._sentinel.get_loop() is not loop:
            self._sentinel = loop.create_task(_wait_for_ever())

    @property
    def ending(self) -> bool:
        sentinel = self._sentinel
        return sentinel is not None and (sentinel.done() or sentinel.cancelling() > 0)


async def _wait_for_ever() -> None:
    await asyncio.Event().wait()

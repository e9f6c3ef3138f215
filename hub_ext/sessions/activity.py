"""When each server was last active, as the hub knows it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from hub_ext.hub_client import HubClient, HubRefused, HubUnavailable

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_TRUSTED_S = 3 * _EVERY_S
"""How old the hub's last answer may be. From its silence nothing is concluded."""
_WATCHED_S = 10 * _EVERY_S
"""How long it is asked after somebody has last looked."""


class Activity:
    """Asked of the hub once a minute, as long as somebody's idle time is limited or shown."""

    def __init__(self, hub: HubClient, wanted: Callable[[], bool]) -> None:
        self._hub = hub
        self._wanted = wanted
        self._active_at: dict[tuple[str, str], float] = {}
        self._read_at = 0.0
        self._said_at: dict[tuple[str, str], float] = {}
        """When somebody last said that a server is in use, whatever the hub knows of it."""
        self._watched_until = 0.0
        self._watched = asyncio.Event()

    async def run(self) -> None:
        """For ever."""
        while True:
            watched = time.monotonic() < self._watched_until
            if watched or self._wanted():
                await self.read()
            self._watched.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_S):
                    await self._watched.wait()

    def watch(self) -> None:
        """Somebody looks at idle sessions: ask soon, and for a while from now on."""
        if time.monotonic() >= self._watched_until and not self.known:
            self._watched.set()
        self._watched_until = time.monotonic() + _WATCHED_S

    async def read(self) -> None:
        """Ask now; a hub that gives no answer changes nothing."""
        try:
            servers = await self._hub.active_servers()
        except (HubUnavailable, HubRefused) as error:
            log.warning("No activity from the hub now: %s", error)
            return
        self._read_at = time.time()
        self._active_at = {
            key: server.active_at for key, server in servers.items() if server.active_at is not None
        }
        self._said_at = {key: at for key, at in self._said_at.items() if key in servers}

    def in_use(self, user: str, server_name: str, at: float | None = None) -> None:
        """Somebody says that it is used now, or was at ``at`` (Unix s), such as by a program in it.

        Only this process knows: after a restart of the service the hub's time counts again, and
        what the meter has stored; a session that is idle by them is warned anew before anything
        stops it.
        """
        at = time.time() if at is None else at
        self._said_at[user, server_name] = max(at, self._said_at.get((user, server_name), 0.0))

    @property
    def known(self) -> bool:
        """Whether the hub has answered lately."""
        return time.time() - self._read_at < _TRUSTED_S

    def of(self, user: str, server_name: str) -> float | None:
        """Unix s; None when nobody knows now."""
        if not self.known:
            return None
        active_at = self._active_at.get((user, server_name))
        said_at = self._said_at.get((user, server_name))
        return said_at if active_at is None else max(active_at, said_at or 0.0)

"""When each server was last active, as the hub knows it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from hub_ext.hub_client import HubClient, HubRefused, HubUnavailable

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_TRUSTED_S = 3 * _EVERY_S
"""How old the hub's last answer may be. From its silence nothing is concluded."""


class Activity:
    """Asked of the hub once a minute, as long as somebody's idle time is limited."""

    def __init__(self, hub: HubClient, wanted: Callable[[], bool]) -> None:
        self._hub = hub
        self._wanted = wanted
        self._active_at: dict[tuple[str, str], float] = {}
        self._read_at = 0.0

    async def run(self) -> None:
        """For ever."""
        while True:
            if self._wanted():
                await self.read()
            await asyncio.sleep(_EVERY_S)

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

    @property
    def known(self) -> bool:
        """Whether the hub has answered lately."""
        return time.time() - self._read_at < _TRUSTED_S

    def of(self, user: str, server_name: str) -> float | None:
        """Unix s; None when nobody knows now."""
        return self._active_at.get((user, server_name)) if self.known else None

"""The hub is asked about activity while somebody looks, and not otherwise."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from hub_ext.hub_client import HubServer, HubUnavailable
from hub_ext.sessions.activity import Activity


class CountingHub:
    """One server, active a minute ago; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.times = 0

    async def active_servers(self) -> dict[tuple[str, str], HubServer]:
        self.times += 1
        self.asked.set()
        server = HubServer("ann", "lab", ready=True, pending=None, active_at=time.time() - 60)
        return {("ann", "lab"): server}


class SilentHub:
    """Restarting."""

    async def active_servers(self) -> dict[tuple[str, str], HubServer]:
        raise HubUnavailable("connection refused")


async def test_a_look_makes_it_ask_soon_and_only_once() -> None:
    hub = CountingHub()
    activity = Activity(hub, lambda: False)  # type: ignore[arg-type]
    running = asyncio.create_task(activity.run())
    await asyncio.sleep(0)
    assert (hub.times, activity.known) == (0, False)
    activity.watch()
    async with asyncio.timeout(5):
        await hub.asked.wait()
    assert activity.known
    activity.watch()
    await asyncio.sleep(0)
    assert hub.times == 1
    active_at = activity.of("ann", "lab")
    assert active_at == pytest.approx(time.time() - 60, abs=5)
    assert activity.of("bob", "lab") is None
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_from_silence_nothing_is_concluded() -> None:
    activity = Activity(SilentHub(), lambda: True)  # type: ignore[arg-type]
    await activity.read()
    assert not activity.known
    assert activity.of("ann", "lab") is None

"""Releases are retried until heard, in order; a hub's end is told from a user's cancel."""

from __future__ import annotations

import asyncio
import logging

import pytest

from spawner.release import HubLifetime, pending_release, release_in_background
from spawner.service_client import ServiceError, ServiceUnavailable, SessionGone

LOG = logging.getLogger("test")
KEY = ("ann", "lab")


@pytest.fixture(autouse=True)
def _retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spawner.release.FIRST_RETRY_S", 0.001)


async def test_a_release_is_repeated_until_the_service_has_heard_it() -> None:
    answers = [ServiceUnavailable("down"), ServiceUnavailable("down"), None]
    heard: list[object] = []

    async def end() -> None:
        answer = answers[len(heard)]
        heard.append(answer)
        if answer is not None:
            raise answer

    await release_in_background(KEY, end, LOG)
    assert len(heard) == 3


@pytest.mark.parametrize("error", [SessionGone("gone"), ServiceError("odd")])
async def test_a_release_that_cannot_succeed_is_not_repeated(error: ServiceError) -> None:
    calls = []

    async def end() -> None:
        calls.append(1)
        raise error

    await release_in_background(KEY, end, LOG)
    assert calls == [1]


async def test_releases_of_one_server_keep_their_order() -> None:
    order: list[str] = []
    gate = asyncio.Event()

    async def slow() -> None:
        await gate.wait()
        order.append("first")

    async def fast() -> None:
        order.append("second")

    release_in_background(KEY, slow, LOG)
    second = release_in_background(KEY, fast, LOG)
    gate.set()
    await second

    assert order == ["first", "second"]
    assert pending_release(KEY) is None


async def test_one_cancelled_task_is_not_the_end_of_the_hub() -> None:
    lifetime = HubLifetime()
    lifetime.watch()
    task = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert not lifetime.ending


async def test_all_tasks_cancelled_together_is_the_end_of_the_hub() -> None:
    lifetime = HubLifetime()
    lifetime.watch()
    seen: list[bool] = []

    async def spawn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(lifetime.ending)
            raise

    spawning = asyncio.create_task(spawn())
    await asyncio.sleep(0)
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:  # as JupyterHub.shutdown_cancel_tasks does
        task.cancel()
    await asyncio.wait(others)

    assert spawning.cancelled()
    assert seen == [True]

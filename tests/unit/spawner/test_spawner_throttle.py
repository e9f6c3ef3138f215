"""Starts in order of arrival, a few at a time, and nobody's turn is lost."""

from __future__ import annotations

import asyncio

import pytest

from spawner.throttle import StartThrottle


async def queue_up(throttle: StartThrottle, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(throttle.acquire(lambda ahead: None)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def started(tasks: list[asyncio.Task[None]]) -> list[bool]:
    return [task.done() for task in tasks]


async def test_only_the_limit_starts_and_the_rest_follows_in_order() -> None:
    throttle = StartThrottle(2)
    tasks = await queue_up(throttle, 4)
    assert started(tasks) == [True, True, False, False]

    throttle.release()
    await asyncio.sleep(0)
    assert started(tasks) == [True, True, True, False]
    throttle.release()
    await asyncio.gather(*tasks)


async def test_a_waiter_is_told_how_many_start_before_it() -> None:
    throttle = StartThrottle(1)
    await throttle.acquire(lambda ahead: None)
    told: list[int] = []
    first, second = (
        asyncio.create_task(throttle.acquire(told_to.append)) for told_to in ([], told)
    )
    await asyncio.sleep(0)
    throttle.release()
    await first
    throttle.release()
    await second

    assert told == [2, 1]


async def test_who_is_cancelled_while_waiting_holds_up_nobody() -> None:
    throttle = StartThrottle(1)
    tasks = await queue_up(throttle, 3)
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    throttle.release()
    await tasks[2]


async def test_a_slot_given_in_the_moment_of_a_cancel_goes_to_the_next() -> None:
    throttle = StartThrottle(1)
    tasks = await queue_up(throttle, 3)
    throttle.release()
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    await tasks[2]

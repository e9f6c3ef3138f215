"""A cancel at any moment gives back what was asked for, and nothing else."""

from __future__ import annotations

import asyncio

import pytest
from imaginary_spawner import eventually
from queue_service import QueueService
from server_driver import MakeServer, Server


async def test_a_cancel_in_the_queue_gives_up_the_place_at_once(
    server: Server, queue: QueueService
) -> None:
    await server.wait_in_queue()
    await server.cancel()

    await eventually(lambda: queue.outcomes() == ["CANCELLED"])
    assert server.spawner.server is None


async def test_a_cancel_while_the_container_is_made_frees_the_slice_after_its_removal(
    server: Server, queue: QueueService
) -> None:
    await server.begin_start()
    await server.cancel()
    assert queue.outcomes() == [None]

    await server.stop()
    assert server.spawner.stops == 1
    assert queue.outcomes() == ["CANCELLED"]


async def test_a_cancel_while_the_service_is_down_is_heard_when_it_is_back(
    server: Server, queue: QueueService
) -> None:
    await server.wait_in_queue()
    await queue.stop()
    await server.cancel()
    queue.start()

    await eventually(lambda: queue.outcomes() == ["CANCELLED"])


async def test_a_new_request_does_not_join_the_session_that_is_being_given_up(
    make_server: MakeServer, queue: QueueService
) -> None:
    first, again = make_server(), make_server()
    await first.wait_in_queue()
    await queue.stop()
    await first.cancel()
    waiting = again.ask()
    queue.capacity = 1
    queue.start()
    await waiting

    assert queue.outcomes() == ["CANCELLED", None]


async def test_fifty_cancels_racing_grants_leave_balanced_books(
    make_server: MakeServer, queue: QueueService
) -> None:
    queue.capacity = 1
    for round_number in range(50):
        server = make_server(f"user-{round_number}")
        waiting = server.ask()
        for _ in range(round_number % 7 * 3):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await server.spawner.run_post_stop_hook()
    await eventually(lambda: None not in queue.outcomes())

    assert set(queue.outcomes()) <= {"CANCELLED"}
    last = make_server("last")
    await last.run()
    assert last.spawner.launches


async def test_a_cancel_among_those_who_wait_for_a_turn_keeps_the_turns_of_the_others(
    make_server: MakeServer, queue: QueueService
) -> None:
    first, second, third = (make_server(user, max_concurrent_starts=1) for user in "abc")
    await first.ask()
    second.ask()
    await eventually(lambda: second.told)
    waiting = third.ask()
    await eventually(lambda: third.told)
    await second.cancel()
    await first.launch()
    await waiting

    assert await third.launch()
    await eventually(lambda: queue.outcomes() == [None, "CANCELLED", None])


async def test_a_hub_that_shuts_down_keeps_the_places_of_those_who_wait(
    server: Server, queue: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ending:
        ending = True

        def watch(self) -> None: ...

    monkeypatch.setattr("spawner.mixin._hub_lifetime", Ending())
    await server.wait_in_queue()
    await server.cancel()

    assert queue.outcomes() == [None]

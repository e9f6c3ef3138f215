"""A session that loses its slice to others keeps its place, whatever is still under way."""

from __future__ import annotations

import asyncio

import pytest
from imaginary_spawner import Make, eventually
from jupyterhub.spawner import SpawnException
from queue_service import RECLAIMED, QueueService
from server_driver import MakeServer, Server


@pytest.fixture(autouse=True)
def _retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spawner.release.FIRST_RETRY_S", 0.001)


async def granted_behind(first: Server, server: Server) -> asyncio.Task[None]:
    """``server`` has its slice, and waits for its turn behind ``first``."""
    await first.ask()
    waiting = server.ask()
    await eventually(lambda: server.told)
    return waiting


@pytest.fixture
def pair(make_server: MakeServer) -> list[Server]:
    """Two servers of a hub that starts one at a time."""
    return [make_server(user, max_concurrent_starts=1) for user in ("bob", "ann")]


async def test_a_grant_taken_back_before_its_turn_is_waited_for_again(
    pair: list[Server], queue: QueueService
) -> None:
    first, server = pair
    waiting = await granted_behind(first, server)
    session = queue.live("ann", "")
    queue.capacity = 1
    queue.change(session, status="PENDING", position=1, run_id=None)
    await eventually(lambda: "back in the queue" in server.told[-1])
    assert server.told[-1].startswith("Its slice was taken back before it ran; back in the queue")

    await first.launch()
    queue.offer(2)
    await waiting
    await server.launch()
    assert server.spawner.launches[0].run_id == session["run_id"] == 3


async def test_a_grant_taken_back_says_for_whom(pair: list[Server], queue: QueueService) -> None:
    first, server = pair
    waiting = await granted_behind(first, server)
    session = queue.live("ann", "")
    queue.evict(session)
    await eventually(lambda: "Reclaimed for project ml101" in server.told[-1])
    queue.requeue(session)
    queue.change(session, reason={"code": "no-slice", "message": "No slice is free.", "help": ""})
    await eventually(lambda: server.told[-1].endswith("No slice is free."))

    assert server.told[-1] == (
        "Reclaimed for project ml101; back in the queue: number 1: No slice is free."
    )
    waiting.cancel()


async def test_a_turn_that_comes_after_the_grant_was_taken_back_is_left_to_others(
    make_server: MakeServer, queue: QueueService
) -> None:
    first, server, third = (make_server(user, max_concurrent_starts=1) for user in "bac")
    await granted_behind(first, server)
    queue.evict(queue.live("a", ""))
    await eventually(lambda: "back in the queue" in server.told[-1])
    queue.capacity = 100
    waiting = third.ask()
    await first.launch()
    await waiting

    assert await third.launch()


async def test_a_grant_taken_back_in_the_last_moment_is_found_out_before_the_start(
    server: Server, queue: QueueService
) -> None:
    queue.take_back_at_report = True
    waiting = server.ask()
    await eventually(lambda: server.told)
    assert server.told == ["Reclaimed for project ml101; back in the queue."]

    queue.requeue(queue.only)
    queue.offer()
    await waiting
    await server.launch()
    assert [grant.run_id for grant in server.spawner.launches] == [2]


async def test_a_grant_taken_back_unheard_stops_the_start_and_keeps_the_place(
    server: Server, queue: QueueService
) -> None:
    await server.ask()
    queue.evict(queue.only)
    queue.requeue(queue.only)

    with pytest.raises(SpawnException, match="Reclaimed for project ml101") as stopped:
        await server.spawner.start()
    await server.stop()
    assert stopped.value.status_code == 409
    assert server.spawner.launches == []
    assert (queue.only["status"], queue.outcomes()) == ("PENDING", [None])
    assert server.spawner.journal.latest["queue"]["setback"]


async def test_a_running_session_that_is_reclaimed_goes_back_to_the_queue_and_runs_again(
    server: Server, queue: QueueService
) -> None:
    await server.run()
    queue.evict(queue.only)
    await server.stop()
    assert (queue.only["status"], queue.outcomes()) == ("PENDING", [None])

    queue.offer()
    await server.run()
    assert [grant.run_id for grant in server.spawner.launches] == [1, 2]
    assert queue.only["status"] == "RUNNING"


async def test_a_start_that_is_reclaimed_keeps_its_place(
    server: Server, queue: QueueService
) -> None:
    await server.begin_start()
    queue.evict(queue.only)
    await server.cancel()
    await server.stop()

    assert (queue.only["status"], queue.outcomes()) == ("PENDING", [None])


async def test_a_stop_during_the_warning_ends_the_session(
    server: Server, queue: QueueService
) -> None:
    await server.run()
    queue.change(queue.only, notice={"code": "reclaim", "message": RECLAIMED})
    await server.stop()

    assert queue.outcomes() == ["TERMINATED"]


async def test_a_release_that_was_heard_but_not_answered_ends_nothing_when_repeated(
    server: Server, queue: QueueService
) -> None:
    await server.run()
    queue.evict(queue.only)
    queue.lose_next_answer_to_ended = True
    await server.stop()

    assert len(queue.endings()) == 2
    assert (queue.only["status"], queue.outcomes()) == ("PENDING", [None])


async def test_a_late_release_does_not_end_the_next_run(
    server: Server, queue: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spawner.mixin.RELEASE_LIMIT_S", 0.01)
    await server.run()
    queue.evict(queue.only)
    await queue.stop()
    await server.stop()
    queue.requeue(queue.only)  # the service has seen for itself that nothing runs
    queue.offer()
    running = asyncio.create_task(server.run())
    await eventually(lambda: server.told == ["Your previous session is still being stopped."])
    queue.start()
    await running

    assert [ending["run_id"] for ending in queue.endings()] == [1]
    assert (queue.only["status"], queue.only["run_id"]) == ("RUNNING", 2)


async def test_a_hub_restarted_after_the_reclaim_does_not_end_the_session_that_waits_again(
    server: Server, make_spawner: Make, queue: QueueService
) -> None:
    await server.run()
    state = server.spawner.get_state()
    queue.evict(queue.only)
    await server.stop()
    found = server.found_by(make_spawner(), state)
    await found.stop()

    assert [ending["run_id"] for ending in queue.endings()] == [1, 1]
    assert (queue.only["status"], queue.outcomes()) == ("PENDING", [None])


async def test_a_hub_restarted_with_an_old_state_does_not_end_the_run_after_it(
    server: Server, make_spawner: Make, queue: QueueService
) -> None:
    await server.run()
    state = server.spawner.get_state()
    queue.evict(queue.only)
    await server.stop()
    queue.offer()
    await server.run()
    await server.found_by(make_spawner(), state).stop()

    assert (queue.only["status"], queue.only["run_id"]) == ("RUNNING", 2)


async def test_a_user_may_cancel_the_session_that_waits_again(
    server: Server, queue: QueueService
) -> None:
    await server.run()
    queue.evict(queue.only)
    await server.stop()
    waiting = server.ask()
    await eventually(
        lambda: server.told == ["Reclaimed for project ml101; back in the queue: number 1."]
    )
    assert not waiting.done()
    await server.cancel()

    await eventually(lambda: queue.outcomes() == ["CANCELLED"])

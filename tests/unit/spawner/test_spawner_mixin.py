"""The flow of a spawn: wait, start, run, stop, cancel, fail; the slice is always given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from imaginary_spawner import ImaginarySpawner, eventually
from jupyterhub import orm
from jupyterhub.spawner import SpawnException
from queue_service import QueueService

from spawner.engine import EngineError
from spawner.launch_form import accept_launch_options

Make = Callable[..., ImaginarySpawner]


async def start(spawner: ImaginarySpawner) -> tuple[str, int]:
    """What the hub does up to a running server."""
    await spawner.run_pre_spawn_hook()
    starting = asyncio.create_task(spawner.start())
    await eventually(lambda: spawner.launches or starting.done())
    spawner.mark_server_ready()
    address = await starting
    spawner.start_polling()
    return address


async def stop(spawner: ImaginarySpawner) -> None:
    """What the hub does to stop one."""
    await spawner.stop()
    await spawner.run_post_stop_hook()


async def cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def told(spawner: ImaginarySpawner) -> list[str]:
    return [event["message"] for event in spawner.journal._events]


async def test_a_server_starts_under_its_grant_and_reports_that_it_runs(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner()
    assert await start(spawner) == ("127.0.0.1", 1)

    await eventually(lambda: queue.reported() == ["STARTING", "RUNNING"])
    assert spawner.launches[0].image == "apportion/base:test"
    assert told(spawner)[-1] == "Your server is ready."


async def test_a_stop_gives_the_slice_back(make_spawner: Make, queue: QueueService) -> None:
    spawner = make_spawner()
    await start(spawner)
    await eventually(lambda: "RUNNING" in queue.reported())
    await stop(spawner)

    assert queue.outcomes() == ["TERMINATED"]


async def test_a_third_session_starts_when_one_of_two_ends(
    make_spawner: Make, queue: QueueService
) -> None:
    queue.capacity = 2
    first, second, third = (make_spawner(user) for user in ("ann", "bob", "cleo"))
    await start(first)
    await start(second)
    waiting = asyncio.create_task(start(third))
    await eventually(lambda: third.journal.latest)
    assert third.journal.latest["queue"]["position"] == 1

    await stop(first)
    await waiting
    assert len(third.launches) == 1


async def test_a_cancel_in_the_queue_gives_up_the_place_at_once(
    make_spawner: Make, queue: QueueService
) -> None:
    queue.capacity = 0
    spawner = make_spawner()
    waiting = asyncio.create_task(spawner.run_pre_spawn_hook())
    await eventually(lambda: spawner.journal.latest)
    await cancel(waiting)

    await eventually(lambda: queue.outcomes() == ["CANCELLED"])
    assert spawner.server is None


async def test_a_cancel_while_the_container_is_made_frees_the_slice_after_its_removal(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner()
    spawner.launch_gate = asyncio.Event()
    await spawner.run_pre_spawn_hook()
    starting = asyncio.create_task(spawner.start())
    await eventually(lambda: "STARTING" in queue.reported())
    await cancel(starting)
    assert queue.outcomes() == [None]

    await stop(spawner)
    assert spawner.stops == 1
    assert queue.outcomes() == ["CANCELLED"]


async def test_a_cancel_while_the_service_is_down_is_heard_when_it_is_back(
    make_spawner: Make, queue: QueueService
) -> None:
    queue.capacity = 0
    spawner = make_spawner()
    waiting = asyncio.create_task(spawner.run_pre_spawn_hook())
    await eventually(lambda: any("/wait" in path for path, _ in queue.calls))
    await queue.stop()
    await cancel(waiting)
    queue.start()

    await eventually(lambda: queue.outcomes() == ["CANCELLED"])


async def test_a_new_request_does_not_join_the_session_that_is_being_given_up(
    make_spawner: Make, queue: QueueService
) -> None:
    queue.capacity = 0
    first = make_spawner()
    waiting = asyncio.create_task(first.run_pre_spawn_hook())
    await eventually(lambda: any("/wait" in path for path, _ in queue.calls))
    await queue.stop()
    await cancel(waiting)
    again = asyncio.create_task(make_spawner().run_pre_spawn_hook())
    queue.capacity = 1
    queue.start()
    await again

    assert queue.outcomes() == ["CANCELLED", None]


async def test_fifty_cancels_racing_grants_leave_balanced_books(
    make_spawner: Make, queue: QueueService
) -> None:
    queue.capacity = 1
    for round_number in range(50):
        spawner = make_spawner(f"user-{round_number}")
        waiting = asyncio.create_task(spawner.run_pre_spawn_hook())
        for _ in range(round_number % 7 * 3):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await spawner.run_post_stop_hook()
    await eventually(lambda: None not in queue.outcomes())

    assert set(queue.outcomes()) <= {"CANCELLED"}
    last = make_spawner("last")
    await start(last)
    assert last.launches


async def test_a_session_cancelled_on_the_page_ends_the_spawn_kindly(
    make_spawner: Make, queue: QueueService
) -> None:
    queue.capacity = 0
    waiting = asyncio.create_task(make_spawner().run_pre_spawn_hook())
    await eventually(lambda: queue.sessions)
    (session,) = queue.sessions.values()
    queue.change(session, status="CANCELLED", reason={"message": "Cancelled by ann."})

    with pytest.raises(SpawnException, match="Cancelled by ann") as ended:
        await waiting
    assert ended.value.status_code == 409


async def test_a_session_cancelled_while_it_starts_is_not_started(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner()
    await spawner.run_pre_spawn_hook()
    (session,) = queue.sessions.values()
    queue.change(session, status="CANCELLED")

    with pytest.raises(SpawnException):
        await spawner.start()
    assert spawner.launches == []


async def test_a_refusal_is_the_services_words_and_counts_as_no_failure_of_the_hub(
    make_spawner: Make, queue: QueueService
) -> None:
    queue.refuse_next = (422, {"code": "over_limit", "message": "Too much.", "field": "fgpu"})

    with pytest.raises(SpawnException) as refused:
        await make_spawner().run_pre_spawn_hook()
    assert refused.value.message == "Too much."
    assert refused.value.status_code == 422


async def test_a_server_that_ends_while_it_starts_says_why(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner()
    spawner.end = "The server ended with exit code 1. Its last lines: no module named lab"
    await spawner.run_pre_spawn_hook()

    with pytest.raises(SpawnException, match="no module named lab"):
        await spawner.start()
    await stop(spawner)
    assert queue.outcomes() == ["ERROR"]


async def test_an_engine_that_does_not_answer_fails_the_start_not_the_hub(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner()
    spawner.launch_error = EngineError(0, "connection refused")
    await spawner.run_pre_spawn_hook()

    with pytest.raises(SpawnException) as failed:
        await spawner.start()
    await stop(spawner)
    assert failed.value.message == "The Docker engine on gpu-1 does not answer."
    assert failed.value.status_code == 503
    assert queue.outcomes() == ["ERROR"]


async def test_a_server_that_never_answers_is_given_up_before_the_hub_does(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner(start_timeout=1)
    await spawner.run_pre_spawn_hook()

    with pytest.raises(SpawnException, match="did not answer"):
        await spawner.start()


async def test_a_service_restart_during_a_start_does_not_hold_it_up(
    make_spawner: Make, queue: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spawner.reporting.ANNOUNCE_LIMIT_S", 0.05)
    spawner = make_spawner()
    await spawner.run_pre_spawn_hook()
    await queue.stop()
    starting = asyncio.create_task(spawner.start())
    await eventually(lambda: spawner.launches)
    spawner.mark_server_ready()
    await starting
    spawner.start_polling()
    queue.start()

    await eventually(lambda: queue.reported() == ["STARTING", "RUNNING"])


async def test_starts_beyond_the_limit_wait_their_turn_and_say_so(make_spawner: Make) -> None:
    first = make_spawner("ann", max_concurrent_starts=1)
    await first.run_pre_spawn_hook()
    second = make_spawner("bob", max_concurrent_starts=1)
    waiting = asyncio.create_task(second.run_pre_spawn_hook())
    await eventually(lambda: second.journal.latest)
    assert told(second) == ["Slice granted on gpu-1; 1 other is starting first."]

    starting = asyncio.create_task(first.start())
    await eventually(lambda: first.launches)
    first.mark_server_ready()
    await starting
    await waiting


def asked_by(spawner: ImaginarySpawner, name: str) -> None:
    spawner.handler = SimpleNamespace(current_user=orm.Service(name=name))


async def test_a_start_asked_for_by_the_service_joins_its_session(
    make_spawner: Make, queue: QueueService
) -> None:
    queue.add("ann", "", {})
    spawner = make_spawner()
    asked_by(spawner, "apportion")
    await start(spawner)

    assert len(queue.sessions) == 1


async def test_a_start_asked_for_by_the_service_after_a_cancel_raises_no_ghost(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner()
    asked_by(spawner, "apportion")

    with pytest.raises(SpawnException, match="no longer in the queue"):
        await spawner.run_pre_spawn_hook()
    assert queue.sessions == {}


async def test_a_start_asked_for_by_another_service_queues_like_a_users(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner()
    asked_by(spawner, "course-tool")
    await start(spawner)

    assert len(queue.sessions) == 1


async def test_who_waits_for_a_turn_stays_attached_to_the_session(
    make_spawner: Make, queue: QueueService
) -> None:
    first = make_spawner("ann", max_concurrent_starts=1)
    await first.run_pre_spawn_hook()
    waiting = asyncio.create_task(make_spawner("bob", max_concurrent_starts=1).run_pre_spawn_hook())
    await eventually(lambda: any("/wait" in path for path, _ in queue.calls))
    await first.run_post_stop_hook()
    await waiting


async def test_where_a_server_is_survives_the_hub(make_spawner: Make) -> None:
    spawner = make_spawner()
    await start(spawner)
    found = make_spawner()
    found.load_state(spawner.get_state())

    assert found.placement == spawner.placement
    assert found.stage == "running"


async def test_a_running_server_found_again_is_released_when_it_stops(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner()
    await start(spawner)
    found = make_spawner()
    found.load_state(spawner.get_state())
    await stop(found)

    assert queue.outcomes() == ["TERMINATED"]


async def test_a_hub_killed_while_a_server_started_leaves_the_session_to_the_service(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner()
    spawner.launch_gate = asyncio.Event()
    await spawner.run_pre_spawn_hook()
    starting = asyncio.create_task(spawner.start())
    await eventually(lambda: spawner.saved)
    found = make_spawner()
    found.load_state(spawner.saved[0])
    await found.run_post_stop_hook()

    assert queue.outcomes() == [None]
    await cancel(starting)


async def test_a_server_found_again_while_starting_is_reported_once_it_runs(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner()
    spawner.launch_gate = asyncio.Event()
    await spawner.run_pre_spawn_hook()
    starting = asyncio.create_task(spawner.start())
    await eventually(lambda: spawner.saved)
    found = make_spawner()
    found.load_state(spawner.saved[0])
    found.start_polling()

    await eventually(lambda: "RUNNING" in queue.reported())
    assert found.saved[-1]["apportion"]["running"] is True
    await cancel(starting)


async def test_a_hub_that_shuts_down_keeps_the_places_of_those_who_wait(
    make_spawner: Make, queue: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ending:
        ending = True

        def watch(self) -> None: ...

    monkeypatch.setattr("spawner.mixin._hub_lifetime", Ending())
    queue.capacity = 0
    waiting = asyncio.create_task(make_spawner().run_pre_spawn_hook())
    await eventually(lambda: any("/wait" in path for path, _ in queue.calls))
    await cancel(waiting)

    assert queue.outcomes() == [None]


async def test_each_tab_follows_the_same_spawn(make_spawner: Make) -> None:
    spawner = make_spawner()

    async def tab() -> list[str]:
        return [event["message"] async for event in spawner.progress()]

    tabs = [asyncio.create_task(tab()) for _ in range(2)]
    await start(spawner)
    await stop(spawner)

    first, second = await asyncio.gather(*tabs)
    assert first == second == told(spawner)


@pytest.mark.parametrize("options", [None, [], "x", {"name": "x" * 70_000}])
def test_what_cannot_be_launch_options_is_refused(options: Any, make_spawner: Make) -> None:
    with pytest.raises(SpawnException):
        accept_launch_options(make_spawner(), options)

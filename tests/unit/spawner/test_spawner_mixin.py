"""The flow of a spawn: wait, take a turn, start, run, fail; the slice is always given back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from imaginary_spawner import ImaginarySpawner, Make, eventually
from jupyterhub import orm
from jupyterhub.spawner import SpawnException
from queue_service import QueueService
from server_driver import MakeServer, Server

from spawner.engine import EngineError
from spawner.launch_form import accept_launch_options


async def test_a_server_starts_under_its_grant_and_reports_every_stage(
    server: Server, queue: QueueService
) -> None:
    assert await server.run() == ("127.0.0.1", 1)

    assert queue.reported() == ["PREPARING", "STARTING", "RUNNING"]
    assert server.spawner.launches[0].image == "apportion/base:test"
    assert server.told[-1] == "Your server is ready."


async def test_a_request_says_what_the_hub_knows_of_its_user(
    server: Server, queue: QueueService
) -> None:
    groups = [SimpleNamespace(name=name) for name in ("course-ml101", "course-bio")]
    server.spawner.user = SimpleNamespace(name="ann", groups=groups, admin=True)
    await server.run()

    path, asked = queue.calls[0]
    assert path == "/spawner/requests"
    assert (asked["user"], asked["admin"]) == ("ann", True)
    assert asked["groups"] == ["course-bio", "course-ml101"]


async def test_a_stop_gives_the_slice_back(server: Server, queue: QueueService) -> None:
    await server.run()
    await server.stop()

    assert queue.outcomes() == ["TERMINATED"]


async def test_a_third_session_starts_when_one_of_two_ends(
    make_server: MakeServer, queue: QueueService
) -> None:
    queue.capacity = 2
    first, second, third = (make_server(user) for user in ("ann", "bob", "cleo"))
    await first.run()
    await second.run()
    waiting = asyncio.create_task(third.run())
    await eventually(lambda: third.told)
    assert third.told[0].startswith("Number 1 in the queue")

    await first.stop()
    await waiting
    assert len(third.spawner.launches) == 1


async def test_a_session_cancelled_on_the_page_ends_the_spawn_kindly(
    server: Server, queue: QueueService
) -> None:
    waiting = await server.wait_in_queue()
    queue.change(queue.only, status="CANCELLED", reason={"message": "Cancelled by ann."})

    with pytest.raises(SpawnException, match="Cancelled by ann") as ended:
        await waiting
    assert ended.value.status_code == 409


async def test_a_session_cancelled_while_it_starts_is_not_started(
    server: Server, queue: QueueService
) -> None:
    await server.ask()
    queue.change(queue.only, status="CANCELLED")

    with pytest.raises(SpawnException, match="was cancelled"):
        await server.spawner.start()
    assert server.spawner.launches == []


async def test_a_refusal_is_the_services_words_and_counts_as_no_failure_of_the_hub(
    server: Server, queue: QueueService
) -> None:
    queue.refuse_next = (422, {"code": "over_limit", "message": "Too much.", "field": "fgpu"})

    with pytest.raises(SpawnException) as refused:
        await server.ask()
    assert refused.value.message == "Too much."
    assert refused.value.status_code == 422


async def test_a_request_that_another_one_stands_in_the_way_of_is_refused_not_repeated(
    server: Server, queue: QueueService
) -> None:
    message = "Another request for this server waits already. Cancel it first."
    queue.refuse_next = (409, {"code": "conflict", "message": message, "field": "name"})

    with pytest.raises(SpawnException) as refused:
        await server.ask()
    assert (refused.value.message, refused.value.status_code) == (message, 409)
    assert queue.sessions == {}


async def test_a_server_that_ends_while_it_starts_says_why(
    server: Server, queue: QueueService
) -> None:
    server.spawner.end = "The server ended with exit code 1. Its last lines: no module named lab"
    await server.ask()

    with pytest.raises(SpawnException, match="no module named lab"):
        await server.spawner.start()
    await server.stop()
    assert queue.outcomes() == ["ERROR"]


async def test_an_engine_that_does_not_answer_fails_the_start_not_the_hub(
    server: Server, queue: QueueService
) -> None:
    server.spawner.launch_error = EngineError(0, "connection refused")
    await server.ask()

    with pytest.raises(SpawnException) as failed:
        await server.spawner.start()
    await server.stop()
    assert failed.value.message == "The Docker engine on gpu-1 does not answer."
    assert failed.value.status_code == 503
    assert queue.outcomes() == ["ERROR"]


async def test_a_server_that_never_answers_is_given_up_before_the_hub_does(
    make_server: MakeServer,
) -> None:
    server = make_server(start_timeout=1)
    await server.ask()

    with pytest.raises(SpawnException, match="did not answer"):
        await server.spawner.start()


async def test_a_service_restart_during_a_start_does_not_hold_it_up(
    server: Server, queue: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spawner.reporting.ANNOUNCE_LIMIT_S", 0.05)
    await server.ask()
    await queue.stop()
    running = asyncio.create_task(server.launch())
    await eventually(lambda: server.spawner.stage == "running")
    queue.start()
    await running

    assert queue.reported() == ["PREPARING", "STARTING", "RUNNING"]


async def test_a_service_restart_after_the_grant_does_not_hold_up_the_start(
    make_server: MakeServer, queue: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spawner.reporting.ANNOUNCE_LIMIT_S", 0.05)
    first, second = (make_server(user, max_concurrent_starts=1) for user in ("ann", "bob"))
    await first.ask()
    waiting = second.ask()
    await eventually(lambda: second.told)
    await queue.stop()
    await first.spawner.run_post_stop_hook()
    await waiting
    queue.start()

    await second.launch()
    assert queue.reported()[-2:] == ["STARTING", "RUNNING"]


async def test_starts_beyond_the_limit_wait_their_turn_and_say_so(make_server: MakeServer) -> None:
    first, second = (make_server(user, max_concurrent_starts=1) for user in ("ann", "bob"))
    await first.ask()
    waiting = second.ask()
    await eventually(lambda: second.told)
    assert second.told == ["Slice granted on gpu-1; 1 other is starting first."]

    await first.launch()
    await waiting


async def test_who_waits_for_a_turn_stays_attached_to_the_session(
    make_server: MakeServer, queue: QueueService
) -> None:
    first, second = (make_server(user, max_concurrent_starts=1) for user in ("ann", "bob"))
    await first.ask()
    waiting = second.ask()
    await eventually(lambda: queue.live("bob", ""))
    bobs = queue.live("bob", "")["id"]
    await eventually(lambda: any(bobs in path for path in queue.waits()))
    await first.spawner.run_post_stop_hook()
    await waiting


def asked_by(spawner: ImaginarySpawner, name: str) -> None:
    spawner.handler = SimpleNamespace(current_user=orm.Service(name=name))


async def test_a_start_asked_for_by_the_service_joins_its_session(
    server: Server, queue: QueueService
) -> None:
    session = queue.add("ann", "", {})
    asked_by(server.spawner, "apportion")
    await server.run()

    assert len(queue.sessions) == 1
    (asked,) = [body for path, body in queue.calls if path == "/spawner/requests"]
    assert asked["joins"] == session["id"]


async def test_a_start_asked_for_by_the_service_after_a_cancel_raises_no_ghost(
    server: Server, queue: QueueService
) -> None:
    asked_by(server.spawner, "apportion")

    with pytest.raises(SpawnException, match="no longer in the queue"):
        await server.ask()
    assert queue.sessions == {}


async def test_a_start_asked_for_by_another_service_queues_like_a_users(
    server: Server, queue: QueueService
) -> None:
    asked_by(server.spawner, "course-tool")
    await server.run()

    assert len(queue.sessions) == 1


async def test_each_tab_follows_the_same_spawn(server: Server) -> None:
    async def tab() -> list[str]:
        return [event["message"] async for event in server.spawner.progress()]

    tabs = [asyncio.create_task(tab()) for _ in range(2)]
    await server.run()
    await server.stop()

    first, second = await asyncio.gather(*tabs)
    assert first == second == server.told


@pytest.mark.parametrize("options", [None, [], "x", {"name": "x" * 70_000}])
def test_what_cannot_be_launch_options_is_refused(options: Any, make_spawner: Make) -> None:
    with pytest.raises(SpawnException):
        accept_launch_options(make_spawner(), options)

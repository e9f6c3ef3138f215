"""A hub that was killed or restarted finds its servers again and ends none that is not its own."""

from __future__ import annotations

from imaginary_spawner import Make, eventually
from queue_service import QueueService
from server_driver import Server


async def test_where_a_server_is_survives_the_hub(server: Server, make_spawner: Make) -> None:
    await server.run()
    found = server.found_by(make_spawner()).spawner

    assert found.placement == server.spawner.placement
    assert found.placement is not None
    assert found.placement.run_id == 1
    assert found.stage == "running"


async def test_a_state_saved_before_runs_had_numbers_is_still_read(make_spawner: Make) -> None:
    spawner = make_spawner()
    placement = {"session_id": "a" * 32, "node": "gpu-1", "container_name": "apportion-a"}
    spawner.load_state({"apportion": {"placement": placement, "running": True}})

    assert spawner.placement is not None
    assert spawner.placement.run_id is None


async def test_a_running_server_found_again_is_released_when_it_stops(
    server: Server, make_spawner: Make, queue: QueueService
) -> None:
    await server.run()
    await server.found_by(make_spawner()).stop()

    assert queue.outcomes() == ["TERMINATED"]


async def test_a_hub_killed_while_a_server_started_leaves_the_session_to_the_service(
    server: Server, make_spawner: Make, queue: QueueService
) -> None:
    await server.begin_start()
    found = server.found_by(make_spawner(), server.spawner.saved[0])
    await found.spawner.run_post_stop_hook()

    assert queue.outcomes() == [None]
    await server.cancel()


async def test_a_server_found_again_while_starting_is_reported_once_it_runs(
    server: Server, make_spawner: Make, queue: QueueService
) -> None:
    await server.begin_start()
    found = server.found_by(make_spawner(), server.spawner.saved[0]).spawner
    found.start_polling()

    await eventually(lambda: "RUNNING" in queue.reported())
    assert found.saved[-1]["apportion"]["running"] is True
    await server.cancel()

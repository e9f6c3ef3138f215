"""Sessions as containers: what the engine is asked for, and what its answers mean."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from engine_double import EngineDouble
from imaginary_spawner import eventually
from queue_service import TOKEN, QueueService
from traitlets.config import Config

from spawner.docker import ApportionDockerSpawner
from spawner.engine import EngineError
from spawner.readiness import ServerExited

NAME = "apportion-test-000000000001"


class BareDockerSpawner(ApportionDockerSpawner):
    """Without the hub's database and with an engine of the test's."""

    server: Any = SimpleNamespace(base_url="/user/ann/", url="http://127.0.0.1:1/user/ann/")
    name = ""
    display_name = ""
    engine: Any = None

    def save_state(self) -> None: ...

    def get_env(self) -> dict[str, str]:
        return {"JUPYTERHUB_API_URL": "http://hub:8081/hub/api"}


@pytest.fixture
def spawner(queue: QueueService) -> BareDockerSpawner:
    queue.grant_values = {"network": "apportion-test"}
    spawner = BareDockerSpawner(
        user=SimpleNamespace(name="ann", groups=[], admin=False),
        service_url=queue.url,
        service_token=TOKEN,
        poll_interval=0,
    )
    spawner.engine = EngineDouble()
    return spawner


async def start(spawner: BareDockerSpawner) -> tuple[str, int]:
    await spawner.run_pre_spawn_hook()
    spawner.mark_server_ready()
    address = await spawner.start()
    spawner.start_polling()
    return address


async def test_a_start_takes_three_calls_of_the_engine(spawner: BareDockerSpawner) -> None:
    assert await start(spawner) == ("172.30.0.2", 8888)
    assert spawner.engine.calls == ["create", "start", "inspect_container"]


async def test_the_container_is_told_where_to_report_itself(spawner: BareDockerSpawner) -> None:
    await start(spawner)
    environment = spawner.engine.containers[NAME]["config"]["environment"]

    assert environment["APPORTION_READY_URL"] == "http://hub:8081/hub/apportion/ready/ann"
    assert environment["APPORTION_FGPU"] == "0.5"


async def test_a_leftover_of_the_same_session_is_replaced(spawner: BareDockerSpawner) -> None:
    spawner.engine.containers[NAME] = {"Name": NAME, "Id": "old"}
    await start(spawner)

    assert spawner.engine.containers[NAME]["Id"] != "old"


async def test_a_stop_leaves_no_container(spawner: BareDockerSpawner) -> None:
    await start(spawner)
    assert await spawner.poll() is None
    await spawner.stop()
    await spawner.run_post_stop_hook()

    assert spawner.engine.containers == {}
    assert "stop" in spawner.engine.calls


async def test_a_stop_at_once_does_not_wait_for_the_grace(spawner: BareDockerSpawner) -> None:
    await start(spawner)
    await spawner.stop(now=True)

    assert "stop" not in spawner.engine.calls
    assert spawner.engine.containers == {}


async def test_a_cancel_in_the_middle_of_a_create_leaves_no_container(
    spawner: BareDockerSpawner, queue: QueueService
) -> None:
    spawner.engine.create_gate = asyncio.Event()
    await spawner.run_pre_spawn_hook()
    starting = asyncio.create_task(spawner.start())
    await eventually(lambda: spawner.engine.calls == ["create"])
    starting.cancel()
    await asyncio.wait([starting])
    assert await spawner.poll() is None
    stopping = asyncio.create_task(spawner.stop())
    spawner.engine.create_gate.set()
    await stopping
    await spawner.run_post_stop_hook()

    assert spawner.engine.containers == {}
    assert queue.outcomes() == ["CANCELLED"]


@pytest.mark.parametrize("error", [EngineError(500, "sick"), EngineError(0, "unreachable")])
async def test_an_engine_that_cannot_tell_does_not_end_a_session(
    spawner: BareDockerSpawner, error: EngineError
) -> None:
    await start(spawner)
    spawner.engine.error = error

    assert await spawner.poll() is None


async def test_a_container_that_is_gone_is_the_end(spawner: BareDockerSpawner) -> None:
    await start(spawner)
    spawner.engine.containers.clear()

    assert await spawner.poll() == "the container is gone"


@pytest.mark.parametrize(
    ("state", "outcome", "words"),
    [
        ({"ExitCode": 0}, "TERMINATED", "The server stopped."),
        ({"ExitCode": 2}, "ERROR", "exit code 2"),
        ({"ExitCode": 137, "OOMKilled": True}, "ERROR", "more memory than its limit"),
    ],
)
async def test_the_history_says_how_a_server_ended_by_itself(
    spawner: BareDockerSpawner,
    queue: QueueService,
    state: dict[str, Any],
    outcome: str,
    words: str,
) -> None:
    await start(spawner)
    spawner.engine.containers[NAME]["State"] = {"Running": False, "Status": "exited", **state}
    assert words in str(await spawner.poll())
    await spawner.run_post_stop_hook()

    assert queue.outcomes() == [outcome]
    assert spawner.engine.containers == {}


async def test_a_server_that_dies_while_starting_shows_its_last_lines(
    spawner: BareDockerSpawner,
) -> None:
    await start(spawner)
    spawner.engine.containers[NAME]["State"] = {"Running": False, "ExitCode": 1}
    reason = await spawner.exit_reason()

    assert reason is not None
    assert "exit code 1" in reason
    assert "No module named 'jupyterlab'" in reason
    assert isinstance(ServerExited(reason), Exception)


async def test_a_restarted_hub_finds_the_container_and_its_address(
    spawner: BareDockerSpawner,
) -> None:
    await start(spawner)
    found = BareDockerSpawner(
        user=SimpleNamespace(name="ann", groups=[], admin=False), poll_interval=0
    )
    found.engine = spawner.engine
    found.load_state(spawner.get_state())

    assert await found.poll() is None
    assert await found.get_url() == "http://172.30.0.2:8888/user/ann/"


async def test_a_container_that_a_killed_hub_never_started_is_not_waited_for(
    spawner: BareDockerSpawner, queue: QueueService
) -> None:
    await start(spawner)
    spawner.engine.containers[NAME]["State"] = {"Status": "created", "Running": False}
    found = BareDockerSpawner(
        user=SimpleNamespace(name="ann", groups=[], admin=False), poll_interval=0
    )
    found.engine = spawner.engine
    found.load_state(
        {**spawner.get_state(), "apportion": {**spawner.get_state()["apportion"], "running": False}}
    )

    assert await found.poll() == "the container was never started"
    await found.run_post_stop_hook()
    assert queue.outcomes() == [None]


async def test_a_container_found_again_but_not_taken_over_is_left_alone(
    spawner: BareDockerSpawner,
) -> None:
    await spawner.run_pre_spawn_hook()
    state = spawner.get_state()
    spawner.mark_server_ready()
    await spawner.start()
    found = BareDockerSpawner(
        user=SimpleNamespace(name="ann", groups=[], admin=False), poll_interval=0
    )
    found.engine = spawner.engine
    found.load_state(state)
    await found.run_post_stop_hook()

    assert NAME in spawner.engine.containers


def test_a_users_braces_never_become_a_template(spawner: BareDockerSpawner) -> None:
    spawner.image = "registry/{username}:{servername}"
    assert spawner.object_name == ""


def test_limits_of_the_sites_dockerspawner_are_not_called_at_init(queue: QueueService) -> None:
    def boom(spawner: Any) -> int:
        raise AssertionError("called at init")

    config = Config({"DockerSpawner": {"mem_limit": boom, "cpu_limit": boom}})
    spawner = BareDockerSpawner(
        user=SimpleNamespace(name="ann", groups=[], admin=False), config=config
    )

    assert spawner.mem_limit is None

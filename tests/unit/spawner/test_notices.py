"""What a session's own server may learn from the hub, and nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from imaginary_spawner import ImaginarySpawner
from queue_service import QueueService
from tornado.web import HTTPError

from spawner.handlers import extra_handlers
from spawner.notices import SessionHandler
from spawner.own_server import hub_addresses

Make = Callable[..., ImaginarySpawner]
NOTICE = {"code": "reclaim", "message": "Team-d.", "stops_at": 5.0, "seconds_left": 58.0}


class Asked:
    """Stands for a request to the hub."""

    base_url = "/"

    def __init__(
        self, spawner: ImaginarySpawner, authorization: str = "token secret", **services: str
    ) -> None:
        self.spawner = spawner
        self.request = SimpleNamespace(headers={"Authorization": authorization})
        self.services = {name: SimpleNamespace(href=href) for name, href in services.items()}
        self.headers: dict[str, str] = {}
        self.text = ""

    def find_user(self, name: str) -> Any:
        return SimpleNamespace(spawners={"": self.spawner}) if name == "ann" else None

    def set_header(self, name: str, value: str) -> None:
        self.headers[name] = value

    def finish(self, text: str) -> None:
        self.text = text


@pytest.fixture
def running(queue: QueueService) -> dict[str, Any]:
    """Ann's session as the service knows it."""
    session = queue.add("ann", "", {"image": "x"})
    values = {"name": "lab", "project": "team-a", "notice": None, "requeue": True}
    queue.change(session, status="RUNNING", **values)
    return session


async def test_a_server_learns_its_own_state(
    make_spawner: Make, queue: QueueService, running: dict[str, Any]
) -> None:
    queue.change(running, notice=NOTICE)
    asked = Asked(make_spawner(api_token="secret"))
    await SessionHandler.get(asked, "ann", "")

    answer = json.loads(asked.text)
    assert answer["id"] == running["id"]
    assert answer["notice"] == NOTICE
    assert (answer["name"], answer["project"], answer["requeue"]) == ("lab", "team-a", True)
    assert answer["page"] == f"/services/apportion/sessions/{running['id']}"
    assert asked.headers == {"Content-Type": "application/json"}


async def test_it_learns_nothing_that_is_not_listed(
    make_spawner: Make, running: dict[str, Any]
) -> None:
    asked = Asked(make_spawner(api_token="secret"))
    await SessionHandler.get(asked, "ann", "")

    listed = "id name project status fgpu gpu_memory_mib notice preemptible requeue page"
    assert sorted(json.loads(asked.text)) == sorted(listed.split())


async def test_the_page_is_where_the_service_is(
    make_spawner: Make, running: dict[str, Any]
) -> None:
    href = "//apportion.services.example.org/services/apportion/"
    asked = Asked(make_spawner(api_token="secret"), apportion=href)
    await SessionHandler.get(asked, "ann", "")

    assert json.loads(asked.text)["page"] == f"{href}sessions/{running['id']}"


@pytest.mark.parametrize(
    ("user", "server", "authorization"),
    [
        ("ann", "", "token wrong"),
        ("ann", "", "token "),
        ("ann", "", ""),
        ("ann", "", "Bearer secret"),
        ("ann", "other", "token secret"),
        ("bob", "", "token secret"),
    ],
)
async def test_everybody_else_is_refused_alike(
    make_spawner: Make,
    queue: QueueService,
    running: dict[str, Any],
    user: str,
    server: str,
    authorization: str,
) -> None:
    asked = Asked(make_spawner(api_token="secret"), authorization)

    with pytest.raises(HTTPError) as refused:
        await SessionHandler.get(asked, user, server)

    assert (refused.value.status_code, refused.value.log_message) == (403, None)
    assert asked.text == ""
    assert queue.calls == []


async def test_a_session_that_the_service_does_not_know_is_not_found(
    make_spawner: Make, queue: QueueService
) -> None:
    with pytest.raises(HTTPError) as refused:
        await SessionHandler.get(Asked(make_spawner(api_token="secret")), "ann", "")

    assert refused.value.status_code == 404


async def test_a_service_that_is_away_is_said_to_be(
    make_spawner: Make, queue: QueueService, running: dict[str, Any]
) -> None:
    await queue.stop()

    with pytest.raises(HTTPError) as refused:
        await SessionHandler.get(Asked(make_spawner(api_token="secret")), "ann", "")

    assert refused.value.status_code == 503


def test_a_server_is_told_the_hubs_addresses_of_its_own() -> None:
    hub = {"JUPYTERHUB_API_URL": "http://hub:8081/base/hub/api/"}

    assert hub_addresses(hub, ("ann@x", "lab")) == {
        "APPORTION_READY_URL": "http://hub:8081/base/hub/apportion/ready/ann@x/lab",
        "APPORTION_SESSION_URL": "http://hub:8081/base/hub/apportion/session/ann@x/lab",
    }


def test_the_hub_serves_it() -> None:
    assert SessionHandler in dict(extra_handlers).values()

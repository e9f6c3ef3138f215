"""The hub's extra addresses: who may ask, and that nobody learns from a refusal."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from imaginary_spawner import ImaginarySpawner, Make
from queue_service import QueueService
from tornado.web import HTTPError

from spawner.handlers import DryRunHandler, QueueHandler, ReadyHandler, extra_handlers


class NoMaking(dict):
    """The hub's dict of spawners makes one when it is asked for a missing one."""

    def __missing__(self, key: str) -> Any:
        raise AssertionError("a look must not make a spawner")


def user_with(spawner: ImaginarySpawner | None) -> Any:
    spawners = NoMaking({"": spawner} if spawner is not None else {})
    return SimpleNamespace(
        name="ann",
        groups=[SimpleNamespace(name="course-ml101")],
        admin=False,
        spawners=spawners,
        spawner=spawner,
        server_url=lambda server_name: f"/user/ann/{server_name}",
    )


class Asked:
    """Stands for a request that the hub has already authenticated."""

    def __init__(self, user: Any, *, authorization: str = "", scopes: tuple[str, ...] = ()) -> None:
        self.user = user
        self.scopes = scopes
        self.current_user: Any = SimpleNamespace(name="ann")
        self.request = SimpleNamespace(headers={"Authorization": authorization})
        self.status = 200
        self.answer: Any = None
        self.body: Any = {}

    def get_cookie(self, name: str) -> str | None:
        return None

    def find_user(self, name: str) -> Any:
        return self.user if self.user is not None and name == self.user.name else None

    def has_scope(self, scope: str) -> bool:
        return scope in self.scopes

    def set_status(self, status: int) -> None:
        self.status = status

    def finish(self, text: str) -> None:
        self.answer = json.loads(text)

    def get_json_body(self) -> Any:
        return self.body

    require = QueueHandler.require
    spawner_of = QueueHandler.spawner_of
    refuse = QueueHandler.refuse
    _stored = QueueHandler._stored


async def test_a_server_reports_itself_with_its_own_token(make_spawner: Make) -> None:
    spawner = make_spawner(api_token="secret")
    asked = Asked(user_with(spawner), authorization="token secret")
    await ReadyHandler.post(asked, "ann", "")

    assert asked.status == 204
    assert spawner._server_ready.is_set()


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
async def test_every_other_report_is_refused_alike(
    make_spawner: Make, user: str, server: str, authorization: str
) -> None:
    spawner = make_spawner(api_token="secret")
    asked = Asked(user_with(spawner), authorization=authorization)

    with pytest.raises(HTTPError) as refused:
        await ReadyHandler.post(asked, user, server)
    assert (refused.value.status_code, refused.value.log_message) == (403, None)
    assert not spawner._server_ready.is_set()


async def test_a_server_without_a_token_is_nobodys(make_spawner: Make) -> None:
    asked = Asked(user_with(make_spawner()), authorization="token ")
    with pytest.raises(HTTPError):
        await ReadyHandler.post(asked, "ann", "")


@pytest.mark.parametrize("scopes", [(), ("read:servers!server=bob/",)])
async def test_missing_and_forbidden_servers_look_the_same(
    make_spawner: Make, scopes: tuple[str, ...]
) -> None:
    refusals = []
    for user in ("ann", "bob"):
        asked = Asked(user_with(make_spawner()), scopes=scopes)
        with pytest.raises(HTTPError) as refused:
            await QueueHandler.get(asked, user, "")
        refusals.append((refused.value.status_code, refused.value.log_message))

    assert refusals[0] == refusals[1]
    assert refusals[0][0] == 404


async def test_a_waiting_spawn_answers_with_its_latest_event(make_spawner: Make) -> None:
    spawner = make_spawner()
    spawner._spawn_pending = True
    spawner.journal.publish({"message": "Number 2", "queue": {"position": 2}})
    asked = Asked(user_with(spawner), scopes=("read:servers!server=ann/",))
    await QueueHandler.get(asked, "ann", "")

    assert asked.answer["pending"] == "spawn"
    assert asked.answer["queue"] == {"position": 2}


async def test_a_request_that_only_the_service_knows_is_still_found(
    make_spawner: Make, queue: QueueService
) -> None:
    queue.capacity = 0
    queue.add("ann", "", {})
    spawner = make_spawner()
    spawner.server = None
    asked = Asked(user_with(spawner), scopes=("read:servers!server=ann/",))
    await QueueHandler.get(asked, "ann", "")

    assert asked.answer["queue"]["status"] == "PENDING"
    assert asked.answer["queue"]["reason"] == "No slice is free."


async def test_a_request_that_only_the_service_knows_can_be_given_up(
    make_spawner: Make, queue: QueueService
) -> None:
    queue.capacity = 0
    queue.add("ann", "", {})
    spawner = make_spawner()
    spawner.server = None
    asked = Asked(user_with(spawner), scopes=("delete:servers!server=ann/",))
    await QueueHandler.delete(asked, "ann", "")

    assert asked.status == 204
    assert queue.outcomes() == ["CANCELLED"]


async def test_an_active_server_is_stopped_by_the_hub_only(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner()
    spawner._spawn_pending = True
    asked = Asked(user_with(spawner), scopes=("delete:servers!server=ann/",))

    with pytest.raises(HTTPError) as refused:
        await QueueHandler.delete(asked, "ann", "")
    assert refused.value.status_code == 409


async def test_a_dry_run_speaks_for_the_user_of_the_address(
    make_spawner: Make, queue: QueueService
) -> None:
    asked = Asked(user_with(make_spawner()), scopes=("start:servers!server=ann/",))
    asked.body = {"image": "x", "user": "bob"}
    await DryRunHandler.post(asked, "ann", "")

    assert asked.answer["starts_now"] is True
    asked_for = queue.calls[-1][1]
    assert (asked_for["user"], asked_for["admin"]) == ("ann", False)
    assert asked_for["groups"] == ["course-ml101"]


async def test_a_refused_dry_run_names_the_field(make_spawner: Make, queue: QueueService) -> None:
    queue.refuse_next = (422, {"code": "over", "message": "Too much.", "field": "cpu"})
    asked = Asked(user_with(make_spawner()), scopes=("start:servers!server=ann/",))
    await DryRunHandler.post(asked, "ann", "")

    assert asked.status == 422
    assert asked.answer == {"error": {"code": "over", "message": "Too much.", "field": "cpu"}}


def test_all_addresses_are_the_hubs_own() -> None:
    assert all(path.startswith("/apportion/") for path, _ in extra_handlers)

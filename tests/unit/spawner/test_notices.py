"""What a session's own server may learn from the hub, and do there, and nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from imaginary_spawner import ImaginarySpawner
from queue_service import QueueService
from server_driver import MakeServer
from tornado.web import HTTPError

from spawner import glances
from spawner.grant import Placement
from spawner.handlers import extra_handlers
from spawner.notices import (
    ActionHandler,
    ImageRequestHandler,
    OwnServerHandler,
    PanelHandler,
    SessionHandler,
    ShareHandler,
)
from spawner.own_server import hub_addresses

Make = Callable[..., ImaginarySpawner]
NOTICE = {"code": "reclaim", "message": "Team-d.", "seconds_left": 58.0}


class Asked:
    """Stands for a request to the hub."""

    base_url = "/"

    def __init__(
        self,
        spawner: ImaginarySpawner,
        authorization: str = "token secret",
        body: Any = None,
        language: str = "",
        **services: str,
    ) -> None:
        self.spawner = spawner
        headers = {"Authorization": authorization, "Accept-Language": language}
        content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        self.request = SimpleNamespace(headers=headers, body=content)
        self.services = {name: SimpleNamespace(href=href) for name, href in services.items()}
        self.settings: dict[str, Any] = {}
        self.hub = SimpleNamespace(base_url="/hub/")
        self.headers: dict[str, str] = {}
        self.status = 200
        self.text = ""

    @property
    def answer(self) -> Any:
        return json.loads(self.text)

    def find_user(self, name: str) -> Any:
        return SimpleNamespace(spawners={"": self.spawner}) if name == "ann" else None

    def get_cookie(self, name: str) -> None:
        return None

    def set_status(self, status: int) -> None:
        self.status = status

    def set_header(self, name: str, value: str) -> None:
        self.headers[name] = value

    def finish(self, text: str) -> None:
        self.text = text

    reply = OwnServerHandler.reply
    refuse = OwnServerHandler.refuse
    values = OwnServerHandler.values
    own = OwnServerHandler.own
    reply_session = OwnServerHandler.reply_session
    _ask = ImageRequestHandler._ask


@pytest.fixture
def running(queue: QueueService) -> dict[str, Any]:
    """Ann's session as the service knows it."""
    session = queue.add("ann", "", {"image": "x"})
    values = {"name": "lab", "project": "team-a", "notice": None, "requeue": True}
    queue.change(session, status="RUNNING", **values)
    return session


@pytest.fixture
def owner(make_spawner: Make, running: dict[str, Any]) -> ImaginarySpawner:
    """Ann's spawner, whose server has the token "secret"."""
    spawner = make_spawner(api_token="secret")
    spawner.placement = Placement(session_id=running["id"], run_id=1, node="gpu-1")
    return spawner


async def test_a_server_learns_its_own_state(
    owner: ImaginarySpawner, queue: QueueService, running: dict[str, Any]
) -> None:
    queue.change(running, notice=NOTICE)
    asked = Asked(owner)
    await SessionHandler.get(asked, "ann", "")

    answer = asked.answer
    assert answer["id"] == running["id"]
    assert answer["notice"] == NOTICE
    assert (answer["name"], answer["project"], answer["requeue"]) == ("lab", "team-a", True)
    assert answer["page"] == f"/services/apportion/sessions/{running['id']}"
    assert 0 <= answer["age_s"] < glances.FRESH_S
    assert asked.headers == {"Content-Type": "application/json"}


async def test_it_learns_nothing_that_is_not_listed(owner: ImaginarySpawner) -> None:
    asked = Asked(owner)
    await SessionHandler.get(asked, "ann", "")

    listed = (
        "id name project status fgpu gpu_memory_mib cpu_milli memory_mib simulated notice alerts"
        " preemptible requeue use time page age_s"
    )
    assert sorted(asked.answer) == sorted(listed.split())


async def test_the_page_is_where_the_service_is(
    owner: ImaginarySpawner, running: dict[str, Any]
) -> None:
    href = "//apportion.services.example.org/services/apportion/"
    asked = Asked(owner, apportion=href)
    await SessionHandler.get(asked, "ann", "")

    assert asked.answer["page"] == f"{href}sessions/{running['id']}"


async def test_a_warning_is_told_in_the_language_of_the_page(
    owner: ImaginarySpawner, queue: QueueService, running: dict[str, Any]
) -> None:
    message = "Its lifetime of 4 hours is over."
    queue.change(running, notice=NOTICE | {"message": message})
    asked = Asked(owner, language="ja,en;q=0.5")
    await SessionHandler.get(asked, "ann", "")

    assert asked.answer["notice"]["message"] not in {"", message}


async def test_all_pages_together_cost_the_service_one_question_in_two_seconds(
    make_spawner: Make,
    owner: ImaginarySpawner,
    queue: QueueService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 1000.0)
    monkeypatch.setattr(glances, "time", clock)
    others = []
    for number in range(20):
        session = queue.add("ann", f"lab-{number}", {})
        others.append(make_spawner(api_token="secret"))
        others[-1].placement = Placement(session_id=session["id"], run_id=1, node="gpu-1")
    asked = [Asked(spawner) for spawner in [owner, *others]]

    await asyncio.gather(*(SessionHandler.get(each, "ann", "") for each in asked))
    first = [path for path, _ in queue.calls]
    await asyncio.gather(*(SessionHandler.get(each, "ann", "") for each in asked))
    clock.monotonic = lambda: 1002.1
    await asyncio.gather(*(SessionHandler.get(each, "ann", "") for each in asked))

    assert len({each.answer["id"] for each in asked}) == 21
    assert 1 <= len(first) <= 2, (
        "who comes while the first question is on its way waits for one more"
    )
    assert len(queue.calls) == len(first) + 1
    assert len(queue.calls[-1][1]["ids"]) == 21


async def test_a_page_that_is_opened_is_asked_about_alone(
    make_spawner: Make, owner: ImaginarySpawner, queue: QueueService
) -> None:
    new = make_spawner(api_token="secret")
    session = queue.add("ann", "new", {})
    new.placement = Placement(session_id=session["id"], run_id=1, node="gpu-1")
    await SessionHandler.get(Asked(owner), "ann", "")
    await SessionHandler.get(Asked(new), "ann", "")

    assert queue.calls[-1] == ("/spawner/glances", {"ids": [session["id"]]})


async def test_pages_that_are_closed_are_not_asked_about(
    make_spawner: Make,
    owner: ImaginarySpawner,
    queue: QueueService,
    running: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 1000.0)
    monkeypatch.setattr(glances, "time", clock)
    other = make_spawner(api_token="secret")
    other.placement = Placement(session_id="f" * 32, run_id=1, node="gpu-1")
    with pytest.raises(HTTPError):
        await SessionHandler.get(Asked(other), "ann", "")
    clock.monotonic = lambda: 1000.0 + glances.WATCHED_S
    await SessionHandler.get(Asked(owner), "ann", "")

    assert queue.calls[-1][1] == {"ids": [running["id"]]}


async def test_the_panel_has_the_addresses_of_the_hub(
    owner: ImaginarySpawner, running: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(owner), "is_shared", True, raising=False)
    asked = Asked(owner, language="ja")
    await PanelHandler.get(asked, "ann", "")

    page = f"/services/apportion/sessions/{running['id']}"
    assert asked.answer["links"] == {"page": page}
    assert asked.answer["page"] == asked.answer["image_request"]["page"] == page
    assert asked.answer["can"] == {"stop": True, "share": True}
    assert asked.answer["shared"] is True


async def test_the_service_hears_who_asks_and_in_which_language(
    owner: ImaginarySpawner, queue: QueueService, running: dict[str, Any]
) -> None:
    body = {"seconds": 60, "user": "bob", "admin": True}
    asked = Asked(owner, body=body, language="ja")
    await ActionHandler.post(asked, "extend", "ann", "")

    path, sent = queue.calls[-1]
    assert path == f"/spawner/sessions/{running['id']}/extend"
    assert sent == {"seconds": 60, "user": "ann", "groups": [], "admin": False}
    assert queue.asked_in == [("POST", "extend", "ja")]
    assert asked.answer["id"] == running["id"]


async def test_what_was_done_is_seen_at_once(
    owner: ImaginarySpawner, queue: QueueService, running: dict[str, Any]
) -> None:
    await SessionHandler.get(Asked(owner), "ann", "")
    queue.change(running, notice=NOTICE)
    await ActionHandler.post(Asked(owner), "in-use", "ann", "")
    asked = Asked(owner)
    await SessionHandler.get(asked, "ann", "")

    assert asked.answer["notice"] == NOTICE


@pytest.mark.parametrize("status", [403, 409, 422, 429])
async def test_a_refusal_of_the_service_is_handed_on(
    owner: ImaginarySpawner, queue: QueueService, status: int
) -> None:
    error = {"code": "over_limit", "message": "Too long.", "field": "lifetime_s"}
    queue.refuse_next = (status, error)
    asked = Asked(owner, body={"seconds": 60})
    await ActionHandler.post(asked, "extend", "ann", "")

    assert (asked.status, asked.answer) == (status, {"error": error})


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b"\xff", b'"x"', b"[" * 100_000, b"{}" + b" " * 70_000]
)
async def test_a_body_that_is_no_small_object_is_refused(
    owner: ImaginarySpawner, queue: QueueService, body: bytes
) -> None:
    with pytest.raises(HTTPError) as refused:
        await ActionHandler.post(Asked(owner, body=body), "extend", "ann", "")

    assert refused.value.status_code == 400
    assert queue.calls == []


async def test_an_image_is_asked_for_and_withdrawn(
    owner: ImaginarySpawner, queue: QueueService, running: dict[str, Any]
) -> None:
    asked, withdrawn = Asked(owner, body={"name": "course"}), Asked(owner)
    await ImageRequestHandler.post(asked, "ann", "")
    await ImageRequestHandler.delete(withdrawn, "ann", "")

    assert [each[:2] for each in queue.asked_in] == [
        ("POST", "image-request"),
        ("DELETE", "image-request"),
    ]
    assert asked.answer["image_request"]["name"] == "course"
    assert asked.answer["image_request"]["page"].endswith(running["id"])


async def test_a_site_can_switch_links_off(owner: ImaginarySpawner) -> None:
    owner.share_links = False
    asked = Asked(owner)
    await ShareHandler.post(asked, "ann", "")

    assert asked.status == 403
    assert "switched off" in asked.answer["error"]["message"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda asked, *server: SessionHandler.get(asked, *server),
        lambda asked, *server: PanelHandler.get(asked, *server),
        lambda asked, *server: ActionHandler.post(asked, "stop", *server),
        lambda asked, *server: ImageRequestHandler.post(asked, *server),
        lambda asked, *server: ImageRequestHandler.delete(asked, *server),
        lambda asked, *server: ShareHandler.post(asked, *server),
        lambda asked, *server: ShareHandler.delete(asked, *server),
    ],
)
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
    owner: ImaginarySpawner,
    queue: QueueService,
    ask: Callable[..., Any],
    user: str,
    server: str,
    authorization: str,
) -> None:
    asked = Asked(owner, authorization)

    with pytest.raises(HTTPError) as refused:
        await ask(asked, user, server)

    assert (refused.value.status_code, refused.value.log_message) == (403, None)
    assert asked.text == ""
    assert queue.calls == []


async def test_a_restarted_hub_knows_the_server_again(
    make_spawner: Make, owner: ImaginarySpawner, running: dict[str, Any]
) -> None:
    found = make_spawner()  # as the hub makes it: without the token that it gave out
    found.load_state(owner.get_state())
    asked = Asked(found)
    await SessionHandler.get(asked, "ann", "")

    assert asked.answer["id"] == running["id"]
    assert "secret" not in json.dumps(owner.get_state())
    found.clear_state()
    with pytest.raises(HTTPError) as refused:
        await SessionHandler.get(Asked(found), "ann", "")
    assert refused.value.status_code == 403


async def test_a_running_server_is_found_without_the_hubs_database(
    make_server: MakeServer,
) -> None:
    server = make_server("zoe", api_token="zoes")
    await server.run()
    asked = Asked(server.spawner, "token zoes")
    asked.find_user = pytest.fail  # type: ignore[method-assign]
    await SessionHandler.get(asked, "zoe", "")

    assert asked.answer["status"] == "RUNNING"
    await server.stop()
    server.spawner.clear_state()
    refused = Asked(server.spawner, "token zoes")
    with pytest.raises(HTTPError):
        await SessionHandler.get(refused, "zoe", "")


async def test_a_token_that_was_revoked_is_refused_a_moment_later(
    owner: ImaginarySpawner, running: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await SessionHandler.get(Asked(owner), "ann", "")
    owner.revoked.add("secret")
    await SessionHandler.get(Asked(owner), "ann", "")
    monkeypatch.setattr("spawner.own_server.ASK_AGAIN_S", 0.0)

    with pytest.raises(HTTPError) as refused:
        await SessionHandler.get(Asked(owner), "ann", "")
    assert refused.value.status_code == 403


async def test_a_server_without_a_session_is_not_found(
    make_spawner: Make, queue: QueueService
) -> None:
    with pytest.raises(HTTPError) as refused:
        await SessionHandler.get(Asked(make_spawner(api_token="secret")), "ann", "")

    assert refused.value.status_code == 404


@pytest.mark.parametrize("handler", [SessionHandler, PanelHandler])
async def test_a_session_that_the_service_does_not_know_is_not_found(
    owner: ImaginarySpawner, queue: QueueService, handler: Any
) -> None:
    queue.sessions.clear()
    with pytest.raises(HTTPError) as refused:
        await handler.get(Asked(owner), "ann", "")

    assert refused.value.status_code == 404


@pytest.mark.parametrize("handler", [SessionHandler, PanelHandler])
async def test_a_service_that_is_away_is_said_to_be(
    owner: ImaginarySpawner, queue: QueueService, handler: Any
) -> None:
    await queue.stop()

    with pytest.raises(HTTPError) as refused:
        await handler.get(Asked(owner), "ann", "")

    assert refused.value.status_code == 503


async def test_a_service_that_is_back_is_seen(
    owner: ImaginarySpawner, queue: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 1000.0)
    monkeypatch.setattr(glances, "time", clock)
    await queue.stop()
    with pytest.raises(HTTPError):
        await SessionHandler.get(Asked(owner), "ann", "")
    queue.start()
    clock.monotonic = lambda: 1002.1
    asked = Asked(owner)
    await SessionHandler.get(asked, "ann", "")

    assert asked.answer["status"] == "RUNNING"


def test_a_server_is_told_the_hubs_addresses_of_its_own() -> None:
    hub = {"JUPYTERHUB_API_URL": "http://hub:8081/base/hub/api/"}

    assert hub_addresses(hub, ("ann@x", "lab")) == {
        "APPORTION_READY_URL": "http://hub:8081/base/hub/apportion/ready/ann@x/lab",
        "APPORTION_SESSION_URL": "http://hub:8081/base/hub/apportion/session/ann@x/lab",
    }


def test_the_hub_serves_it() -> None:
    served = set(dict(extra_handlers).values())

    assert {
        *(SessionHandler, PanelHandler, ActionHandler, ImageRequestHandler, ShareHandler)
    } <= served

"""What a page in the browser learns of its session and does to it, by the session's own server."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from apportion_lab import session as module
from apportion_lab.handlers import add_handlers
from apportion_lab.session import REFUSED_AFTER_S, HubSession
from jupyter_server.auth.identity import IdentityProvider, User
from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

NOTICE = {"code": "reclaim", "message": "Team-d.", "seconds_left": 58.0}


class Hub(http.server.ThreadingHTTPServer):
    """Answers GETs with ``body`` and ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.status = 200
        self.body: Any = {"id": "a1", "notice": None}
        self.seen: list[tuple[str, str | None]] = []
        self.asked: list[tuple[str, str, Any, str | None]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def environment(self) -> dict[str, str]:
        """What the spawner sets."""
        url = f"http://127.0.0.1:{self.server_address[1]}/hub/apportion/session/ada/"
        return {"APPORTION_SESSION_URL": url, "JUPYTERHUB_API_TOKEN": "secret"}


class HubHandler(http.server.BaseHTTPRequestHandler):
    """Records what comes."""

    server: Hub

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        language = self.headers.get("Accept-Language")
        self.server.asked.append((self.command, self.path, body, language))
        content = json.dumps(self.server.body).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.shutdown()
    hub.server_close()


class Clock:
    """The time that the module under test sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_ten_pages_at_once_cost_one_call_with_the_servers_token(hub: Hub) -> None:
    session = HubSession(hub.environment())

    answers = await asyncio.gather(*(session.session() for _ in range(10)))

    assert answers == [{"state": "ok", "session": {"id": "a1", "notice": None}}] * 10
    assert hub.seen == [("/hub/apportion/session/ada/", "token secret")]


async def test_a_page_that_asks_later_gets_a_new_answer(hub: Hub, clock: Clock) -> None:
    session = HubSession(hub.environment())
    await session.session()
    hub.body = {"id": "a1", "notice": NOTICE}
    clock.now += module.FRESH_S

    assert (await session.session())["session"]["notice"] is None
    clock.now += 0.1
    assert (await session.session())["session"]["notice"] == NOTICE


async def test_the_time_left_goes_on_while_an_answer_is_kept(hub: Hub, clock: Clock) -> None:
    hub.body = {"id": "a1", "notice": NOTICE}
    session = HubSession(hub.environment())
    await session.session()
    clock.now += 1.5

    answer = await session.session()

    assert answer["session"]["notice"] == NOTICE | {"seconds_left": 56.5}
    assert len(hub.seen) == 1


@pytest.mark.parametrize("status", [302, 403, 404, 500, 503])
async def test_a_hub_that_does_not_answer_well_is_away(hub: Hub, status: int) -> None:
    hub.status = status

    assert await HubSession(hub.environment()).session() == {"state": "away"}


@pytest.mark.parametrize("body", [None, [], "text", {}, {"id": 1}, {"notice": {}}])
async def test_an_answer_that_is_no_session_counts_as_none(hub: Hub, body: Any) -> None:
    hub.body = body

    assert await HubSession(hub.environment()).session() == {"state": "away"}


async def test_a_hub_that_is_gone_is_away_until_it_is_back(hub: Hub, clock: Clock) -> None:
    session = HubSession(hub.environment())
    await session.session()
    hub.status = 503
    clock.now += 3
    assert await session.session() == {"state": "away"}
    hub.status = 200
    clock.now += 3

    assert (await session.session())["state"] == "ok"


async def test_times_of_any_kind_go_on_and_nothing_else_changes(hub: Hub, clock: Clock) -> None:
    hub.body = {
        "id": "a1",
        "age_s": 1.0,
        "time": {"seconds_left": 10.0, "code": "idle", "idle": {"left_s": 1.5, "idle_s": 4}},
        "alerts": [{"code": "device", "ago_s": 3.0}],
        "fgpu": 0.5,
        "simulated": True,
        "requeue": None,
    }
    session = HubSession(hub.environment())
    await session.panel()
    clock.now += 1.0

    panel = (await session.panel())["panel"]

    assert panel["time"]["seconds_left"] == 8.0
    assert panel["time"]["idle"] == {"left_s": 0.0, "idle_s": 6.0}
    assert panel["alerts"] == [{"code": "device", "ago_s": 5.0}]
    assert (panel["fgpu"], panel["simulated"], panel["requeue"]) == (0.5, True, None)
    assert "age_s" not in panel


async def test_a_clock_that_is_set_back_makes_no_time(hub: Hub, clock: Clock) -> None:
    hub.body = {"id": "a1", "age_s": -1e9, "notice": NOTICE}

    answer = await HubSession(hub.environment()).session()

    assert answer["session"]["notice"]["seconds_left"] == 58.0


async def test_a_token_that_is_revoked_is_told_apart_from_a_hub_that_restarts(
    hub: Hub, clock: Clock
) -> None:
    session = HubSession(hub.environment())
    hub.status = 403
    states = []
    for _ in range(4):
        states.append((await session.session())["state"])
        clock.now += REFUSED_AFTER_S / 2 + 0.1
    hub.status = 200
    clock.now += 3

    assert states == ["away", "away", "refused", "refused"]
    assert (await session.session())["state"] == "ok"


async def test_panel_and_actions_go_to_the_same_server_of_the_hub(hub: Hub) -> None:
    session = HubSession(hub.environment())
    await session.panel("ja")
    await session.act("POST", "extend", {"seconds": 60}, "ja")

    assert hub.asked == [
        ("GET", "/hub/apportion/panel/ada/", None, "ja"),
        ("POST", "/hub/apportion/do/extend/ada/", {"seconds": 60}, "ja"),
    ]


async def test_after_an_action_the_next_look_is_a_new_one(hub: Hub, clock: Clock) -> None:
    session = HubSession(hub.environment())
    await session.session()
    await session.act("POST", "in-use", {})
    hub.body = {"id": "a1", "notice": NOTICE}

    assert (await session.session())["session"]["notice"] == NOTICE


async def test_pages_in_two_languages_are_answered_each_in_its_own(hub: Hub, clock: Clock) -> None:
    session = HubSession(hub.environment())
    for language in ("ja", "en", "ja"):
        await session.session(language)

    assert [language for *_, language in hub.asked] == ["ja", "en"]


async def test_ever_new_languages_fill_no_memory(hub: Hub) -> None:
    session = HubSession(hub.environment())
    for number in range(30):
        await session.session(f"x-{number}")

    assert len(session._kept) <= 2 * module.MOST_LANGUAGES


async def test_a_refusal_by_the_service_is_told_with_its_sentence(hub: Hub) -> None:
    hub.status = 422
    hub.body = {"error": {"code": "over_limit", "message": "Too long.", "field": "lifetime_s"}}

    told = await HubSession(hub.environment()).act("POST", "extend", {"seconds": 9})

    assert told == {"state": "failed", "error": hub.body["error"]}


@pytest.mark.parametrize(("status", "state"), [(404, "away"), (500, "away"), (503, "away")])
async def test_an_action_while_the_hub_is_away_says_so(hub: Hub, status: int, state: str) -> None:
    hub.status, hub.body = status, "oops"

    assert await HubSession(hub.environment()).act("POST", "stop", {}) == {"state": state}


class Anybody(IdentityProvider):
    """Whoever comes is ada; forgets what it knows when it is told to."""

    def get_user(self, handler: Any) -> User:
        return User("ada")


@pytest.fixture
async def server(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Awaitable[HTTPResponse]]]:
    """Ask the session's Jupyter server, whose page has the _xsrf cookie."""
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    provider = Anybody()
    app = web.Application(
        base_url="/user/ada/",
        identity_provider=provider,
        cookie_secret="x",
        xsrf_cookies=True,
        log_function=lambda handler: None,
    )
    add_handlers(app)
    socket, port = bind_unused_port()
    http = HTTPServer(app)
    http.add_sockets([socket])

    async def ask(method: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return await AsyncHTTPClient().fetch(
            f"http://127.0.0.1:{port}/user/ada/apportion/{path}",
            method=method,
            body=content,
            headers={"Cookie": "_xsrf=tok", "X-XSRFToken": "tok", **headers},
            allow_nonstandard_methods=True,
            raise_error=False,
        )

    yield ask
    http.stop()


Ask = Callable[..., Awaitable[HTTPResponse]]


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "session", "session"),
        ("GET", "panel", "panel"),
        ("POST", "session/extend", "session"),
        ("POST", "session/in-use", "session"),
        ("POST", "session/stop", "session"),
    ],
)
async def test_the_server_answers_its_page(
    server: Ask, hub: Hub, method: str, path: str, name: str
) -> None:
    answer = await server(method, path, None if method == "GET" else {"seconds": 60})

    assert answer.code == 200
    assert json.loads(answer.body) == {"state": "ok", name: {"id": "a1", "notice": None}}


async def test_image_request_and_link_are_answered_as_they_come(server: Ask, hub: Hub) -> None:
    hub.body = {"image_request": {"id": "r1"}}
    asked = await server("POST", "image-request", {"name": "course"})
    hub.body = {"url": "/hub/accept-share?code=x", "seconds_left": 60.0}
    shared = await server("POST", "session/share", {})
    hub.status, hub.body = 200, {}
    revoked = await server("DELETE", "session/share")

    assert json.loads(asked.body) == {"state": "ok", "image_request": {"id": "r1"}}
    assert json.loads(shared.body)["url"] == "/hub/accept-share?code=x"
    assert json.loads(revoked.body) == {"state": "ok"}


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b"1", b"[" * 100_000])
async def test_a_body_that_is_no_object_is_told_and_asks_nothing(
    server: Ask, hub: Hub, body: bytes
) -> None:
    answer = await server("POST", "session/extend", body)

    told = json.loads(answer.body)
    assert (told["state"], told["error"]["field"]) == ("failed", "body")
    assert hub.seen == []


@pytest.mark.parametrize("path", ["session/extend", "session/stop", "session/share"])
async def test_another_site_can_do_nothing(server: Ask, hub: Hub, path: str) -> None:
    answer = await server("POST", path, {}, **{"X-XSRFToken": ""})

    assert answer.code == 403
    assert hub.seen == []


async def test_whom_the_hub_let_in_is_forgotten_when_a_link_is_taken_back(
    server: Ask, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"token": "bob"}
    monkeypatch.setattr(Anybody, "hub_auth", SimpleNamespace(cache=known), raising=False)

    await server("DELETE", "session/share")

    assert known == {}


async def test_outside_apportion_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPORTION_SESSION_URL", raising=False)
    app = web.Application(base_url="/", identity_provider=Anybody(), cookie_secret="x")
    add_handlers(app)
    socket, port = bind_unused_port()
    http = HTTPServer(app)
    http.add_sockets([socket])
    url = f"http://127.0.0.1:{port}/apportion/panel"
    answer = await AsyncHTTPClient().fetch(url, raise_error=False)
    http.stop()

    assert answer.code == 404


async def test_no_answer_and_no_log_holds_the_token(
    hub: Hub, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    session = HubSession(hub.environment())
    for status in (200, 403):
        hub.status = status
        assert "secret" not in json.dumps(await session.session())
        clock.now += 3

    assert "secret" not in caplog.text

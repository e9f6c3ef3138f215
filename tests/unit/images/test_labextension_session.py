"""What a page in the browser learns of its session, through the session's own server."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from apportion_lab import session as module
from apportion_lab.session import HubSession

NOTICE = {"code": "reclaim", "message": "Team-d.", "stops_at": 5.0, "seconds_left": 58.0}


class Hub(http.server.ThreadingHTTPServer):
    """Answers GETs with ``body`` and ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.status = 200
        self.body: Any = {"id": "a1", "notice": None}
        self.seen: list[tuple[str, str | None]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def environment(self) -> dict[str, str]:
        """What the spawner sets."""
        url = f"http://127.0.0.1:{self.server_address[1]}/hub/apportion/session/ada/"
        return {"APPORTION_SESSION_URL": url, "JUPYTERHUB_API_TOKEN": "secret"}


class HubHandler(http.server.BaseHTTPRequestHandler):
    """Records what comes."""

    server: Hub

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        content = json.dumps(self.server.body).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

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

    answers = await asyncio.gather(*(session.answer() for _ in range(10)))

    assert answers == [{"state": "ok", "session": {"id": "a1", "notice": None}}] * 10
    assert hub.seen == [("/hub/apportion/session/ada/", "token secret")]


async def test_a_page_that_asks_later_gets_a_new_answer(hub: Hub, clock: Clock) -> None:
    session = HubSession(hub.environment())
    await session.answer()
    hub.body = {"id": "a1", "notice": NOTICE}
    clock.now += module.FRESH_S

    assert (await session.answer())["session"]["notice"] is None
    clock.now += 0.1
    assert (await session.answer())["session"]["notice"] == NOTICE


async def test_the_time_left_goes_on_while_an_answer_is_kept(hub: Hub, clock: Clock) -> None:
    hub.body = {"id": "a1", "notice": NOTICE}
    session = HubSession(hub.environment())
    await session.answer()
    clock.now += 1.5

    answer = await session.answer()

    assert answer["session"]["notice"] == NOTICE | {"seconds_left": 56.5}
    assert len(hub.seen) == 1


@pytest.mark.parametrize("status", [302, 403, 404, 500, 503])
async def test_a_hub_that_refuses_is_away(hub: Hub, status: int) -> None:
    hub.status = status

    assert await HubSession(hub.environment()).answer() == {"state": "away"}


@pytest.mark.parametrize(
    "body", [None, [], "text", {"id": "a1"}, {"notice": {}}, {"notice": {"seconds_left": "soon"}}]
)
async def test_an_answer_that_is_no_session_counts_as_none(hub: Hub, body: Any) -> None:
    hub.body = body

    assert await HubSession(hub.environment()).answer() == {"state": "away"}


async def test_a_hub_that_is_gone_is_away_until_it_is_back(hub: Hub, clock: Clock) -> None:
    session = HubSession(hub.environment())
    await session.answer()
    hub.status = 503
    clock.now += 3
    assert await session.answer() == {"state": "away"}
    hub.status = 200
    clock.now += 3

    assert (await session.answer())["state"] == "ok"


async def test_no_answer_and_no_log_holds_the_token(
    hub: Hub, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    session = HubSession(hub.environment())
    for status in (200, 403):
        hub.status = status
        assert "secret" not in json.dumps(await session.answer())
        clock.now += 3

    assert "secret" not in caplog.text

"""The proxy passes on what comes, when it comes, for as long as it comes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from configurable_http_proxy import configproxy
from imaginary_spawner import eventually
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from spawner import streaming_proxy


@dataclass
class Target:
    """A server behind the proxy; ``streams`` are its open event streams."""

    streams: list[asyncio.Event] = field(default_factory=list)
    left: int = 0


class Events(RequestHandler):
    async def get(self) -> None:
        target: Target = self.settings["target"]
        end = asyncio.Event()
        target.streams.append(end)
        self.set_header("Content-Type", "text/event-stream")
        self.write("data: first\n\n")
        await self.flush()
        await end.wait()

    def on_connection_close(self) -> None:
        self.settings["target"].left += 1
        for end in self.settings["target"].streams:
            end.set()


class Echo(RequestHandler):
    def post(self) -> None:
        self.set_status(201)
        self.set_header("Set-Cookie", "a=1")
        self.add_header("Set-Cookie", "b=2")
        self.write(self.request.body + self.request.headers.get("X-Asked", "").encode())

    def head(self) -> None:
        self.set_header("Content-Length", "1234")

    def delete(self) -> None:
        self.set_status(204)

    def get(self) -> None:
        self.redirect("/echo/elsewhere?a=b%2Fc")


class Chat(WebSocketHandler):
    """Says at once that it is there, then echoes; "bye" ends it."""

    max_message_size = streaming_proxy.MOST_BYTES

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return subprotocols[-1] if subprotocols else None

    def get_compression_options(self) -> dict[str, object]:
        return {}

    async def open(self, *_args: str, **_kwargs: str) -> None:
        await self.write_message("hello")

    async def on_message(self, message: str | bytes) -> None:
        if message == "bye":
            self.close(4001, "The kernel is gone.")
        elif message == "crash":
            self.ws_connection.stream.close()  # type: ignore[union-attr]
        else:
            await self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        self.settings["target"].left += 1


def serve(application: Application) -> tuple[HTTPServer, int]:
    (listener,) = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(application)
    server.add_socket(listener)
    return server, int(listener.getsockname()[1])


@pytest.fixture
async def target() -> Target:
    return Target()


@pytest.fixture
async def proxy_url(target: Target, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setattr(configproxy, "ProxyHandler", streaming_proxy.StreamingProxyHandler)
    monkeypatch.setattr(streaming_proxy, "_session", None)
    routes = [("/events", Events), ("/echo.*", Echo), ("/chat", Chat)]
    behind, port = serve(Application(routes, target=target))
    proxy = configproxy.PythonProxy({"default_target": f"http://127.0.0.1:{port}"})
    proxy.add_route("/dead", {"target": "http://127.0.0.1:1"})
    front, front_port = serve(proxy.proxy_app)
    yield f"http://127.0.0.1:{front_port}"
    for end in target.streams:
        end.set()
    front.stop()
    behind.stop()
    await front.close_all_connections()
    if streaming_proxy._session is not None:
        await streaming_proxy._session.close()


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_an_event_arrives_while_its_stream_is_still_open(
    proxy_url: str, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"{proxy_url}/events") as stream:
        async with asyncio.timeout(5):
            assert await stream.content.readline() == b"data: first\n"
        assert stream.headers["Content-Type"] == "text/event-stream"


async def test_many_open_streams_leave_room_for_others(
    proxy_url: str, browser: aiohttp.ClientSession
) -> None:
    streams = [await browser.get(f"{proxy_url}/events") for _ in range(30)]
    async with asyncio.timeout(5), browser.post(f"{proxy_url}/echo", data=b"x") as answer:
        assert answer.status == 201
    for stream in streams:
        stream.close()


async def test_a_tab_that_is_closed_closes_the_stream_behind(
    proxy_url: str, browser: aiohttp.ClientSession, target: Target
) -> None:
    stream = await browser.get(f"{proxy_url}/events")
    stream.close()

    await eventually(lambda: target.left == 1)


async def test_a_request_and_its_answer_pass_unchanged(
    proxy_url: str, browser: aiohttp.ClientSession
) -> None:
    async with browser.post(
        f"{proxy_url}/echo", data=b"body ", headers={"X-Asked": "header"}
    ) as answer:
        assert answer.status == 201
        assert await answer.read() == b"body header"
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]


async def test_a_redirect_is_the_browsers_affair(
    proxy_url: str, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"{proxy_url}/echo", allow_redirects=False) as answer:
        assert answer.status == 302
        assert answer.headers["Location"] == "/echo/elsewhere?a=b%2Fc"


async def test_answers_without_a_body_have_none(
    proxy_url: str, browser: aiohttp.ClientSession
) -> None:
    async with browser.head(f"{proxy_url}/echo") as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, "1234")
    async with browser.delete(f"{proxy_url}/echo") as answer:
        assert answer.status == 204


async def test_a_target_that_is_away_is_a_503(
    proxy_url: str, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"{proxy_url}/dead/x") as answer:
        assert answer.status == 503


async def test_messages_of_a_websocket_pass_as_they_are(
    proxy_url: str, browser: aiohttp.ClientSession
) -> None:
    long = os.urandom(12 * 1024 * 1024)
    protocols = ("v0.chat", "v1.chat")
    connecting = browser.ws_connect(
        f"{proxy_url}/chat", protocols=protocols, max_msg_size=0, compress=15
    )
    async with asyncio.timeout(30), connecting as socket:
        assert socket.protocol == "v1.chat"
        assert await socket.receive_str() == "hello"
        await socket.send_str("text")
        assert await socket.receive_str() == "text"
        await socket.send_bytes(b"\xff\x00")
        assert await socket.receive_bytes() == b"\xff\x00"
        await socket.send_bytes(long)
        assert await socket.receive_bytes() == long


@pytest.mark.parametrize(
    ("said", "told"), [("bye", (4001, "The kernel is gone.")), ("crash", (0, ""))]
)
async def test_the_browser_is_told_when_the_target_ends_a_websocket(
    proxy_url: str, browser: aiohttp.ClientSession, said: str, told: tuple[int, str]
) -> None:
    async with asyncio.timeout(10), browser.ws_connect(f"{proxy_url}/chat") as socket:
        await socket.receive_str()
        await socket.send_str(said)
        closed = await socket.receive()
        assert (closed.type, closed.data, closed.extra) == (aiohttp.WSMsgType.CLOSE, *told)


async def test_the_target_is_told_when_the_browser_ends_a_websocket(
    proxy_url: str, browser: aiohttp.ClientSession, target: Target
) -> None:
    socket = await browser.ws_connect(f"{proxy_url}/chat")
    await socket.close()

    await eventually(lambda: target.left == 1)


async def test_a_websocket_that_the_target_refuses_is_refused(
    proxy_url: str, browser: aiohttp.ClientSession
) -> None:
    for path, status in (("echo", 302), ("nowhere", 404), ("dead/x", 503)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.ws_connect(f"{proxy_url}/{path}")
        assert refused.value.status == status


def test_times_of_activity_are_utc_wherever_the_machine_stands() -> None:
    """In a process of its own: the time zone is that of a process."""
    script = (
        "from datetime import UTC, datetime\n"
        "from configurable_http_proxy import cli\n"
        "cli.main = lambda: None\n"
        "from spawner import streaming_proxy\n"
        "streaming_proxy.main()\n"
        "off = datetime.now() - datetime.now(UTC).replace(tzinfo=None)\n"
        "print(round(off.total_seconds()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "0"

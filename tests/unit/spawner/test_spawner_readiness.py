"""A server is ready when it says so, when it answers, and never when it has ended."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from spawner.readiness import ServerExited, wait_until_ready

NOBODY_LISTENS = "http://127.0.0.1:1/api"


async def runs() -> str | None:
    return None


async def test_a_server_that_reports_itself_is_ready_without_being_asked() -> None:
    told = asyncio.Event()
    told.set()
    await wait_until_ready(told, NOBODY_LISTENS, runs)


async def test_a_server_that_only_answers_is_found_by_asking() -> None:
    class Api(RequestHandler):
        def get(self) -> None:
            self.set_status(403)

    server = HTTPServer(Application([("/api", Api)]))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        server.add_socket(listener)
        port = listener.getsockname()[1]
        await wait_until_ready(asyncio.Event(), f"http://127.0.0.1:{port}/api", runs)
        server.stop()


async def test_a_server_that_has_ended_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spawner.readiness.EXIT_CHECK_INTERVAL_S", 0.01)

    async def ended() -> str | None:
        return "The server ended with exit code 1."

    with pytest.raises(ServerExited, match="exit code 1"):
        await wait_until_ready(asyncio.Event(), NOBODY_LISTENS, ended)

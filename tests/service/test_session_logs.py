"""What a session prints: who reads it, how much of it, and what is said when it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from hub_ext.nodes import inventory
from hub_ext.nodes.engine import EngineUnavailable
from hub_ext.sessions.logs import parse_log
from hub_ext.site import Site
from tests.service.conftest import RoomyEngine
from tests.service.project_rows import add_member, add_project, add_session
from tests.service.rest_client import RestClient, serving

SESSION = "a" * 32
LINES = (
    b"2026-11-25T22:00:00.1Z first\n2026-11-25T22:00:01.2Z second\n2026-11-25T22:00:02.3Z third\n"
)


class PrintingEngine(RoomyEngine):
    """Containers print what a test says; what is not there has been removed."""

    def __init__(self) -> None:
        super().__init__()
        self.printed: dict[str, bytes] = {}
        self.silent = False

    async def log(self, container_id: str, tail: int, since_s: int = 0) -> bytes | None:
        if self.silent:
            raise EngineUnavailable("connection refused")
        return self.printed.get(container_id)


@pytest.fixture
def engine(site: Site) -> PrintingEngine:
    engine = PrintingEngine()
    engine.printed["c1"] = LINES
    site.engine = engine
    return engine


@pytest.fixture
async def rest(
    site: Site, engine: PrintingEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RestClient]:
    """ann's session in ml101, of which bob is a member and tom an instructor."""
    await inventory.refresh(site)
    with site.database.transaction() as db:
        add_project(db, "ml101")
        add_member(db, "ml101", "ann")
        add_member(db, "ml101", "bob")
        add_member(db, "ml101", "tom", "instructor")
        add_session(db, "ml101", "ann", id=SESSION, status="RUNNING", container_id="c1")
    async with serving(site, monkeypatch) as client:
        yield client


async def page(rest: RestClient, path: str, by: str) -> HTTPResponse:
    return await AsyncHTTPClient().fetch(
        rest.base + path, headers={"Authorization": f"token {by}"}, raise_error=False
    )


@pytest.mark.parametrize(
    ("by", "status"), [("ann", 200), ("root", 200), ("tom", 403), ("bob", 404), ("eve", 404)]
)
async def test_a_log_is_for_its_user_and_admins_alone(
    rest: RestClient, by: str, status: int
) -> None:
    answer = await rest("GET", f"sessions/{SESSION}/logs", by=by)
    assert answer.status == status
    assert (await page(rest, f"sessions/{SESSION}/log?lines=100", by)).code == status
    whole = await page(rest, f"sessions/{SESSION}?lines=100", by)
    assert (b"second\n" in whole.body) == (status == 200)
    assert (await page(rest, f"api/v1/sessions/{SESSION}/logs?format=text", by)).code == status


async def test_the_last_lines_and_then_only_what_is_new(
    rest: RestClient, engine: PrintingEngine
) -> None:
    answer = await rest("GET", f"sessions/{SESSION}/logs?tail=2", by="ann")
    assert [line["text"] for line in answer.body["lines"]] == ["second", "third"]
    assert (answer.body["cut"], answer.body["live"]) == (True, True)
    engine.printed["c1"] = LINES + b"2026-11-25T22:00:02.300000001Z fourth\n"
    following = f"sessions/{SESSION}/logs?since={answer.body['next']}"
    answer = await rest("GET", following, by="ann")
    assert [line["text"] for line in answer.body["lines"]] == ["fourth"]
    again = await rest("GET", f"sessions/{SESSION}/logs?since={answer.body['next']}", by="ann")
    assert (again.body["lines"], again.body["next"]) == ([], answer.body["next"])


async def test_text_is_a_file_to_download(rest: RestClient) -> None:
    answer = await page(rest, f"api/v1/sessions/{SESSION}/logs?format=text", "ann")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"].endswith('.log"')
    assert answer.body == b"first\nsecond\nthird\n"


@pytest.mark.parametrize(
    "query", ["tail=0", "tail=5001", "tail=x", "since=-1", "since=1e9", "since=x", "format=xml"]
)
async def test_a_bad_parameter_is_named(rest: RestClient, query: str) -> None:
    answer = await rest("GET", f"sessions/{SESSION}/logs?{query}", by="ann")
    assert (answer.status, answer.field) == (400, query.partition("=")[0])


async def test_what_cannot_be_had_is_said(
    site: Site, rest: RestClient, engine: PrintingEngine
) -> None:
    engine.silent = True
    answer = await rest("GET", f"sessions/{SESSION}/logs", by="ann")
    assert (answer.status, answer.body["lines"]) == (200, [])
    assert "does not answer" in answer.body["message"]
    engine.silent, engine.printed = False, {}
    with site.database.transaction() as db:
        add_session(db, "ml101", "ann", id="b" * 32, status="TERMINATED", container_id="c2")
        add_session(db, "ml101", "ann", id="c" * 32)
    ended = await rest("GET", f"sessions/{'b' * 32}/logs", by="ann")
    assert "container was removed" in ended.body["message"]
    assert ended.body["live"] is False
    waiting = await rest("GET", f"sessions/{'c' * 32}/logs", by="ann")
    assert "not started yet" in waiting.body["message"]
    site.engine = RoomyEngine()
    answer = await rest("GET", f"sessions/{SESSION}/logs", by="ann")
    assert "no log of their own" in answer.body["message"]


async def test_a_page_that_shows_the_log_already_gets_nothing_new(rest: RestClient) -> None:
    shown = await page(rest, f"sessions/{SESSION}/log?lines=100", "ann")
    seen = shown.body.decode().partition("seen=")[2].partition('"')[0]
    again = await page(rest, f"sessions/{SESSION}/log?lines=100&seen={seen}", "ann")
    assert (shown.code, again.code, again.body) == (200, 204, b"")


def test_colours_and_overwritten_progress_leave_plain_lines() -> None:
    printed = (
        b"2026-11-25T22:00:00Z \x1b[32mgreen\x1b[0m \x1b]0;title\x07text\n"
        b"2026-11-25T22:00:01Z 10%\r50%\r100%\r\n"
        b"2026-11-25T22:00:02Z \xff\x00<script>\tx\xe2\x80\xae\n"
    )
    log = parse_log(printed, 100)
    assert [line.text for line in log.lines] == [
        "green text",
        "100%",
        "\ufffd\ufffd<script>\tx\ufffd",
    ]


def test_an_answer_has_a_bound_whatever_is_printed() -> None:
    long = b"2026-11-25T22:00:00Z " + b"x" * 100_000 + b"\n"
    log = parse_log(long * 1000, 5000)
    assert log.cut
    assert sum(len(line.text) for line in log.lines) <= 1024 * 1024
    assert all(len(line.text) <= 4096 for line in log.lines)


async def test_reading_holds_up_nobody(rest: RestClient) -> None:
    answers = await asyncio.gather(
        *(rest("GET", f"sessions/{SESSION}/logs", by="ann") for _ in range(20))
    )
    assert {answer.status for answer in answers} == {200}

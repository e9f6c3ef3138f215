"""An open page is told which of its topics have changed, and of nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from hub_ext import announcements
from hub_ext.announcements import NewAnnouncement
from hub_ext.projects.membership import Role
from hub_ext.sessions.changes import Change
from hub_ext.site import Site
from tests.service.project_rows import add_member, add_project
from tests.service.rest_client import RestClient, serving

LIMIT_S = 10


@pytest.fixture
async def client(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RestClient]:
    async with serving(site, monkeypatch) as client:
        yield client


class Listener:
    """An open page."""

    def __init__(self, client: RestClient, topics: str, by: str) -> None:
        self._text = ""
        self._more = asyncio.Event()
        request = HTTPRequest(
            f"{client.base}api/v1/live?topics={topics}",
            headers={"Authorization": f"token {by}"},
            streaming_callback=self._read,
            request_timeout=60,
        )
        self._answer = asyncio.ensure_future(
            AsyncHTTPClient(force_instance=True).fetch(request, raise_error=False)
        )

    def _read(self, chunk: bytes) -> None:
        self._text += chunk.decode()
        self._more.set()

    async def until(self, text: str) -> str:
        async with asyncio.timeout(LIMIT_S):
            while text not in self._text:
                await self._more.wait()
                self._more.clear()
        return self._text

    def events(self) -> list[list[str]]:
        lines = [line for line in self._text.splitlines() if line.startswith("data: ")]
        return [json.loads(line.removeprefix("data: ")) for line in lines]

    def close(self) -> None:
        self._answer.cancel()


async def test_a_page_hears_of_own_sessions_only(client: RestClient, site: Site) -> None:
    page = Listener(client, "sessions", "ann")
    await page.until("retry:")

    site.changes.announce(Change("1" * 32, "bob", "default"))
    site.changes.announce(Change("2" * 32, "ann", "default"))
    await page.until("data:")

    assert page.events() == [["sessions"]]
    page.close()


async def test_an_instructor_hears_of_the_sessions_of_the_project(
    client: RestClient, site: Site
) -> None:
    with site.database.transaction() as db:
        add_project(db, "ml101")
        add_member(db, "ml101", "ines", Role.INSTRUCTOR)
    page = Listener(client, "sessions:ml101", "ines")
    await page.until("retry:")

    site.changes.announce(Change("1" * 32, "bob", "other"))
    site.changes.announce(Change("2" * 32, "bob", "ml101"))
    await page.until("data:")

    assert page.events() == [["sessions:ml101"]]
    page.close()


async def test_what_a_transaction_has_changed_is_told_when_it_is_committed(
    client: RestClient, site: Site
) -> None:
    page = Listener(client, "announcements,folders", "ann")
    await page.until("retry:")

    with suppress(ZeroDivisionError), site.database.transaction() as db:
        announcements.announce(db, NewAnnouncement(text="Never"), None, "root")
        raise ZeroDivisionError
    with site.database.transaction() as db:
        announcements.announce(db, NewAnnouncement(text="Maintenance at six"), None, "root")
    await page.until("data:")

    assert page.events() == [["announcements"]]
    page.close()


async def test_what_one_reader_has_put_away_wakes_no_page_of_others(
    client: RestClient, site: Site
) -> None:
    with site.database.transaction() as db:
        row = announcements.announce(db, NewAnnouncement(text="Hello"), None, "root")
    page = Listener(client, "announcements,presets", "ann")
    await page.until("retry:")

    with site.database.transaction() as db:
        announcements.dismiss(db, row.id, "bob")
    assert (await client("DELETE", "presets/cpu")).status == 200
    await page.until("data:")

    assert page.events() == [["presets"]]
    page.close()


async def test_many_changes_in_a_row_are_one_message(client: RestClient, site: Site) -> None:
    page = Listener(client, "sessions,announcements", "ann")
    await page.until("retry:")

    for number in range(50):
        site.changes.announce(Change(f"{number:032}", "ann", "default"))
    with site.database.transaction() as db:
        announcements.announce(db, NewAnnouncement(text="Hello"), None, "root")
    await page.until("announcements")

    assert page.events() == [["announcements", "sessions"]]
    page.close()


@pytest.mark.parametrize(
    ("topics", "status"),
    [
        ("", 400),
        ("weather", 400),
        (",".join(["folders"] * 21), 400),
        ("nodes", 403),
        ("audit", 403),
        ("sessions:*", 403),
        ("sessions:ml101", 403),
    ],
)
async def test_topics_that_are_none_or_not_ones_own_are_refused(
    client: RestClient, topics: str, status: int
) -> None:
    answer = await client("GET", f"live?topics={topics}", by="ann")

    assert answer.status == status
    assert answer.field == "topics"

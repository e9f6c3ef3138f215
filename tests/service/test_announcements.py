"""Announcements: who makes them, who sees them, until when; over HTTP and on pages."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, select

from hub_ext import announcements
from hub_ext.announcements import NewAnnouncement
from hub_ext.db.announcement_models import AnnouncementRow, DismissalRow
from hub_ext.db.models import AuditRow
from hub_ext.sessions.submission import Submitter
from hub_ext.site import Site
from hub_ext.web.launch.announced import announcements_html
from tests.service.admin_desk import HOSTILE, SHOWN, Desk, serving_desk
from tests.service.project_rows import add_project


@pytest.fixture
async def desk(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with serving_desk(site, monkeypatch) as desk:
        yield desk


def stored(site: Site) -> int:
    with site.database.transaction() as db:
        return db.scalar(select(func.count()).select_from(AnnouncementRow)) or 0


async def test_an_announcement_is_on_every_page_until_it_is_taken_back(
    desk: Desk, site: Site
) -> None:
    answer = await desk.send("admin/announcements/new", text=HOSTILE, level="warning")
    assert "Everybody sees it now" in await desk.follow(answer)
    for by in ("ann", "root"):
        page = await desk.page("folders", by)
        assert SHOWN in page
        assert HOSTILE not in page
    (row,) = (await desk.api("GET", "announcements", by="ann")).body["announcements"]
    assert (row["text"], row["level"], row["by"], row["state"]) == (
        HOSTILE,
        "warning",
        "root",
        "shown",
    )

    answer = await desk.send(f"admin/announcements/{row['id']}/take-back", x="1")
    assert "It is taken back" in await desk.follow(answer)
    assert SHOWN not in await desk.page("folders", "ann")
    assert (await desk.api("GET", "announcements", by="ann")).body["announcements"] == []
    (kept,) = (await desk.api("GET", "announcements?all=1")).body["announcements"]
    assert kept["state"] == "taken_back"
    assert "taken back" in await desk.page("admin/announcements")
    assert (await desk.send(f"admin/announcements/{row['id']}/take-back", x="1")).code == 409
    with site.database.transaction() as db:
        actions = db.scalars(select(AuditRow.action).order_by(AuditRow.id)).all()
    assert actions == ["announcement.create", "announcement.end"]


async def test_a_preview_shows_it_and_keeps_what_was_typed(desk: Desk, site: Site) -> None:
    fields = {"text": HOSTILE, "level": "warning", "until": "2099-10-31T18:00"}
    answer = await desk.send("admin/announcements/preview", **fields)
    page = answer.body.decode()
    assert answer.code == 200
    assert page.count(SHOWN) == 2, "as it looks, and in the form"
    assert HOSTILE not in page
    assert 'value="2099-10-31T18:00"' in page
    assert stored(site) == 0


async def test_the_time_of_the_form_is_that_of_the_lab(desk: Desk, site: Site) -> None:
    await desk.send("admin/announcements/new", text="Later", until="2099-10-31T18:00")
    (row,) = (await desk.api("GET", "announcements")).body["announcements"]
    assert row["until"] == 4097152800.0  # the site's time zone is UTC


@pytest.mark.parametrize("form", ["new", "preview"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"text": " "}, "Write what is to be announced."),
        ({"text": "x" * 1001}, "at most 1000 characters"),
        ({"level": "red"}, "level"),
        ({"until": "tomorrow"}, "is no time such as"),
        ({"until": "2001-01-01T00:00"}, "is over already"),
    ],
)
async def test_a_bad_announcement_says_why_and_is_not_made(
    desk: Desk, site: Site, form: str, change: dict[str, str], says: str
) -> None:
    fields = {"text": "Hello", "level": "info", "until": ""} | change
    answer = await desk.send(f"admin/announcements/{form}", **fields)
    assert answer.code == 400
    assert says in answer.body.decode()
    assert stored(site) == 0


async def test_a_form_that_is_sent_twice_announces_once(desk: Desk, site: Site) -> None:
    for _ in range(2):
        assert (await desk.send("admin/announcements/new", text="Hello")).code == 303
    assert stored(site) == 1
    assert (await desk.send("admin/announcements/new", text="Hello", level="warning")).code == 303
    assert stored(site) == 2


async def test_what_was_taken_back_can_be_said_again(desk: Desk, site: Site) -> None:
    first = await desk.api("POST", "announcements", {"text": "Hello"})
    assert first.status == 201
    await desk.api("DELETE", f"announcements/{first.body['id']}")
    assert (await desk.api("POST", "announcements", {"text": "Hello"})).status == 201
    assert stored(site) == 2


async def test_only_an_admin_announces_and_takes_back(desk: Desk, site: Site) -> None:
    made = await desk.api("POST", "announcements", {"text": "Hello"})
    for method, path, body in (
        ("POST", "announcements", {"text": "Mine"}),
        ("GET", "announcements?all=1", None),
        ("DELETE", f"announcements/{made.body['id']}", None),
        ("DELETE", "announcements/999", None),
    ):
        assert (await desk.api(method, path, body, by="ann")).status == 403
    assert (await desk.api("DELETE", "announcements/999")).status == 404
    assert (await desk.api("DELETE", "announcements/999999999999999")).status == 404
    assert stored(site) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": 1}, "text"),
        ({"text": "x", "level": "red"}, "level"),
        ({"text": "x", "until": "soon"}, "until"),
        ({"text": "x", "until": 1.0}, "until"),
        ({"text": "x", "for": "ann"}, "for"),
    ],
)
async def test_a_bad_body_names_the_field(desk: Desk, body: Any, field: str) -> None:
    answer = await desk.api("POST", "announcements", body)
    assert (answer.status, answer.field) == (400, field)


async def test_what_is_over_is_not_shown_and_nobody_remembers_who_put_it_away(
    desk: Desk, site: Site
) -> None:
    with site.database.transaction() as db:
        new = NewAnnouncement(text="Maintenance", until=time.time() + 3600)
        row = announcements.announce(db, new, None, "root")
    assert "Maintenance" in await desk.page("folders", "ann")
    assert (await desk.send(f"announcements/{row.id}/dismiss", "ann", x="1")).code == 303
    assert "Maintenance" not in await desk.page("folders", "ann")
    assert "Maintenance" in await desk.page("folders", "bob")
    with site.database.transaction() as db:
        db.get_one(AnnouncementRow, row.id).until = time.time() - 1
    assert "Maintenance" not in await desk.page("folders", "bob")
    assert "expired" in await desk.page("admin/announcements")

    await desk.api("POST", "announcements", {"text": "Something new"})
    with site.database.transaction() as db:
        assert db.scalar(select(func.count()).select_from(DismissalRow)) == 0


async def test_an_open_page_asks_again_when_the_first_of_them_is_over(
    desk: Desk, site: Site
) -> None:
    assert 'hx-trigger="live"' in await desk.page("announcements/shown", "ann")
    now = time.time()
    with site.database.transaction() as db:
        for until in (None, now + 3600, now + 90):
            new = NewAnnouncement(text=f"Until {until}", until=until)
            announcements.announce(db, new, None, "root")
    page = await desk.page("announcements/shown", "ann")
    delay = re.search(r"live, load delay:(\d+)s", page)
    assert delay is not None
    assert 60 <= int(delay[1]) <= 91


async def test_the_hubs_own_spawn_page_has_them_to_read(desk: Desk, site: Site) -> None:
    assert announcements_html(site, Submitter("ann")) == ""
    await desk.api("POST", "announcements", {"text": HOSTILE})
    with site.database.transaction() as db:
        add_project(db, "ml101")
        announcements.announce(db, NewAnnouncement(text="To the course"), "ml101", "eve")
    html = announcements_html(site, Submitter("ann"))
    assert SHOWN in html
    assert HOSTILE not in html
    assert "To the course" not in html
    member = Submitter("ann", frozenset({"course-ml101"}))
    assert "To the course" in announcements_html(site, member)

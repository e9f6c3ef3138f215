"""The Launch page as HTTP, without script: launching, refusals, sending twice, recent launches."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from hub_ext.db.models import ProjectRow, SessionRow
from hub_ext.nodes import inventory
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.site import Site
from tests.service.conftest import IMAGE
from tests.service.rest_client import PREFIX, RestClient, serving

HOSTILE = '"><script>alert(1)</script>\u202e' + "x" * 300
OWN = {"preset": "custom", "fgpu": "0.5", "cpu": "1", "memory_gib": "1"}


@dataclass
class Desk:
    """A site, its Launch page, and what has come of it."""

    site: Site
    api: RestClient

    async def ask(
        self, path: str, by: str, body: str | None = None, **headers: str
    ) -> HTTPResponse:
        return await AsyncHTTPClient().fetch(
            self.api.base + path,
            method="GET" if body is None else "POST",
            body=body,
            headers={"Authorization": f"token {by}", **headers},
            follow_redirects=False,
            raise_error=False,
        )

    async def page(self, path: str = "launch", by: str = "ann") -> str:
        answer = await self.ask(path, by)
        assert answer.code == 200, answer.body
        return answer.body.decode()

    async def send(
        self, path: str = "launch", by: str = "ann", **fields: str | list[str]
    ) -> HTTPResponse:
        """The form as a browser without script sends it; with a key of its own unless given."""
        fields = {"key": key_of(await self.page(by=by)), **fields}
        return await self.ask(path, by, urlencode(fields, doseq=True))

    def sessions(self, user: str = "ann") -> Sequence[SessionRow]:
        return self.site.store.find(user=user)


def key_of(page: str) -> str:
    found = re.search(r'name="key" value="([0-9a-f]{32})"', page)
    assert found is not None
    return found[1]


def tag(page: str, name: str) -> str:
    """The input or select of that name, as it is written."""
    found = re.search(rf'<(?:input|select)[^>]*id="launch-{name}"[^>]*>', page)
    assert found is not None, name
    return html.unescape(found[0])


def error(page: str, name: str) -> str:
    found = re.search(rf'id="launch-{name}-error"[^>]*>(.*?)</div>', page, re.DOTALL)
    assert found is not None, name
    return html.unescape(found[1])


@pytest.fixture
async def desk(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    await inventory.refresh(site)
    async with serving(site, monkeypatch) as api:
        yield Desk(site, api)


async def test_the_form_launches_what_it_says_and_leads_to_the_session(desk: Desk) -> None:
    answer = await desk.send(**OWN, name="Week 3", image=IMAGE.reference, new_folder="data")

    (row,) = desk.sessions()
    assert (answer.code, answer.headers["Location"]) == (303, f"{PREFIX}sessions/{row.id}")
    assert (row.name, row.gpu_milli, row.cpu_milli, row.memory_mib) == ("Week 3", 500, 1000, 1024)
    assert [mount["name"] for mount in row.mounts if not mount["auto"]] == ["data"]
    assert [step.by for step in desk.site.store.history(row.id)] == ["ann"]


async def test_several_lead_to_the_list_of_all(desk: Desk) -> None:
    answer = await desk.send(**OWN, name="lab", count="3")

    assert (answer.code, answer.headers["Location"]) == (303, PREFIX)
    assert {row.name for row in desk.sessions()} == {"lab-1", "lab-2", "lab-3"}


async def test_a_form_sent_twice_launches_once(desk: Desk) -> None:
    key = key_of(await desk.page())
    first = await desk.send(**OWN, key=key, count="2")
    second = await desk.send(**OWN, key=key, count="2")

    assert (first.code, second.code) == (303, 303)
    assert first.headers["Location"] == second.headers["Location"]
    assert len(desk.sessions()) == 2


async def test_a_form_sent_again_after_its_session_has_ended_launches_nothing(desk: Desk) -> None:
    key = key_of(await desk.page())
    await desk.send(**OWN, key=key)
    (row,) = desk.sessions()
    desk.site.store.transition(row.id, Status.CANCELLED, Why("Enough."), by="ann")

    again = await desk.send(**OWN, key=key)

    assert again.headers["Location"] == f"{PREFIX}sessions/{row.id}"
    assert len(desk.sessions()) == 1


async def test_a_form_that_was_changed_after_the_back_button_is_another_one(desk: Desk) -> None:
    key = key_of(await desk.page())
    await desk.send(**OWN, key=key)
    await desk.send(**OWN | {"fgpu": "0.3"}, key=key)

    assert sorted(row.gpu_milli for row in desk.sessions()) == [300, 500]


async def test_the_same_key_of_somebody_else_is_his_own(desk: Desk) -> None:
    key = key_of(await desk.page())
    await desk.send(**OWN, key=key)
    await desk.send(by="bob", **OWN, key=key)

    assert (len(desk.sessions("ann")), len(desk.sessions("bob"))) == (1, 1)


async def test_a_form_without_its_key_is_shown_again_with_a_new_one(desk: Desk) -> None:
    answer = await desk.send(**OWN, key="", name="kept")
    page = answer.body.decode()

    assert answer.code == 400
    assert "reload the page" in page
    assert key_of(page)
    assert 'value="kept"' in tag(page, "name")
    assert desk.sessions() == []


@pytest.mark.parametrize(
    ("fields", "status", "field", "words"),
    [
        ({"fgpu": "0.35"}, 400, "fgpu", "use 0.3 or 0.4"),
        ({"fgpu": "lots"}, 400, "fgpu", "not a number"),
        ({"memory_gib": "9999"}, 422, "memory_gib", "the largest node has"),
        ({"count": "99"}, 400, "count", "less than or equal to 50"),
        ({"image_by_name": "no/such:1"}, 400, "image_by_name", "no image 'no/such:1'"),
        ({"new_folder": "../etc"}, 400, "new_folder", "cannot be a folder's name"),
        ({"lifetime_h": "0.001"}, 400, "lifetime_h", "less than a minute"),
        ({"priority": "500"}, 400, "priority", "less than or equal to 100"),
        ({"not_before": "someday"}, 400, "not_before", "is no time"),
        (
            {"not_before": "2001-01-01T08:00", "not_before_zone": "Asia/Tokyo"},
            400,
            "not_before",
            "has passed",
        ),
        (
            {"not_before": "2030-01-01T08:00", "not_before_zone": "../../etc/passwd"},
            400,
            "not_before",
            "no time zone",
        ),
    ],
)
async def test_a_refusal_keeps_what_was_typed_and_marks_its_field(
    desk: Desk, fields: dict[str, str], status: int, field: str, words: str
) -> None:
    typed = OWN | {"name": "my work", "requeue": "0", "preemptible": "1"} | fields
    answer = await desk.send(**typed)
    page = answer.body.decode()

    assert answer.code == status
    assert words in error(page, field)
    marked = tag(page, field)
    assert 'aria-invalid="true"' in marked
    assert "autofocus" in marked
    assert f"launch-{field}-error" in marked
    assert page.count("autofocus") == 1
    for name, value in fields.items():
        if name != "not_before_zone":
            assert f'value="{value}"' in tag(page, name)
    assert 'value="my work"' in tag(page, "name")
    assert "checked" in tag(page, "preemptible")
    assert "checked" not in tag(page, "requeue")
    assert desk.sessions() == []


async def test_a_name_in_use_is_refused_at_the_name(desk: Desk) -> None:
    await desk.send(**OWN, name="lab")
    answer = await desk.send(**OWN, name="lab")

    assert answer.code == 409
    assert "already have a session" in error(answer.body.decode(), "name")


async def test_after_a_refusal_the_corrected_form_launches(desk: Desk) -> None:
    refused = (await desk.send(**OWN | {"fgpu": "0.35"})).body.decode()
    answer = await desk.send(**OWN, key=key_of(refused))

    assert answer.code == 303
    assert [row.gpu_milli for row in desk.sessions()] == [500]


async def test_hostile_texts_are_shown_as_text(desk: Desk) -> None:
    names = ("name", "project", "image", "image_by_name", "preset", "fgpu", "new_folder")
    more = ("lifetime_h", "not_before", "not_before_zone", "count", "priority", "folder")
    answer = await desk.send(**dict.fromkeys((*names, *more), HOSTILE), **{f"mode:{HOSTILE}": "x"})
    page = answer.body.decode()

    assert answer.code == 400
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


async def test_a_start_is_meant_by_the_clock_that_the_form_names(desk: Desk) -> None:
    zone = ZoneInfo("America/New_York")
    local = (datetime.now(zone) + timedelta(days=3)).replace(second=0, microsecond=0)
    when = local.strftime("%Y-%m-%dT%H:%M")
    answer = await desk.send(**OWN, not_before=when, not_before_zone="America/New_York")

    assert answer.code == 303, answer.body
    (row,) = desk.sessions()
    assert row.not_before == local.timestamp()


async def test_the_form_names_the_time_zone_of_the_site(desk: Desk) -> None:
    page = await desk.page()

    assert "Start not before (UTC)" in page
    assert 'value="UTC"' in tag(page, "not_before_zone")


async def test_recent_launches_are_the_last_five_different_ones(desk: Desk) -> None:
    for number in range(1, 8):
        await desk.send(**OWN | {"cpu": str(number)}, name=f"work {number}")
    await desk.send(**OWN | {"cpu": "7"}, name="work 7 again")
    page = await desk.page()

    shown = re.findall(r'launch-recent-name" title="([^"]*)"', page)
    assert shown == ["work 7 again", "work 6", "work 5", "work 4", "work 3"]
    assert "Recent launches" not in await desk.page(by="bob")


async def test_one_click_launches_the_same_again_under_a_free_name(desk: Desk) -> None:
    await desk.send(**OWN, name="work", new_folder="data", lifetime_h="2")
    (first,) = desk.sessions()
    key = key_of(await desk.page())
    answers = [await desk.send("launch/again", **{"from": first.id, "key": key}) for _ in range(2)]

    second, before = desk.sessions()
    assert before.id == first.id
    assert {answer.headers["Location"] for answer in answers} == {f"{PREFIX}sessions/{second.id}"}
    assert (second.name, second.gpu_milli, second.lifetime_s) == ("work-2", 500, 7200)
    assert [mount["name"] for mount in second.mounts] == [mount["name"] for mount in first.mounts]


async def test_what_cannot_be_launched_again_is_shown_to_be_edited(desk: Desk) -> None:
    await desk.send(**OWN, image=IMAGE.reference, name="work")
    (row,) = desk.sessions()
    with desk.site.database.transaction() as db:
        db.get_one(SessionRow, row.id).image = "gone:1"
        db.get_one(SessionRow, row.id).options = {**row.options, "image": "gone:1"}
    answer = await desk.send("launch/again", **{"from": row.id})
    page = answer.body.decode()

    assert answer.code == 400
    assert "There is no image &#39;gone:1&#39;" in page
    assert 'value="gone:1"' in tag(page, "image_by_name")
    assert len(desk.sessions()) == 1


async def test_edit_fills_the_form_from_that_session(desk: Desk) -> None:
    await desk.send(**OWN | {"cpu": "3"}, name="older", preemptible="1", requeue="0")
    (row,) = desk.sessions()
    await desk.send(**OWN, name="newer")
    page = await desk.page(f"launch?from={row.id}")
    desk.site.store.transition(row.id, Status.CANCELLED, Why("Enough."), by="ann")

    assert 'value="older-2"' in tag(page, "name")
    assert 'value="older"' in tag(await desk.page(f"launch?from={row.id}"), "name")
    assert 'value="3"' in tag(page, "cpu")
    assert "checked" in tag(page, "preemptible")
    assert "checked" not in tag(page, "requeue")


@pytest.mark.parametrize("wrong", ["f" * 32, "x", "../sessions"])
async def test_nobody_learns_whether_another_users_session_exists(desk: Desk, wrong: str) -> None:
    (row,) = Submissions(desk.site).submit(
        Submitter("bob"), read_launch_request({"name": "secret"})
    )
    for session_id in (row.id, wrong):
        for answer in (
            await desk.ask(f"launch?from={session_id}", "ann"),
            await desk.send("launch/again", **{"from": session_id}),
            await desk.ask(f"launch?from={session_id}", "root"),
        ):
            assert answer.code == 404
            assert b"There is no such session of yours." in answer.body
            assert b"secret" not in answer.body
    assert desk.sessions() == []


async def test_without_a_project_the_page_says_whom_to_ask(desk: Desk) -> None:
    with desk.site.database.transaction() as db:
        db.execute(update(ProjectRow).values(open_to_all=False))
    page = await desk.page()

    assert "Ask an instructor" in page
    assert (await desk.send(**OWN)).code == 403


async def test_the_live_line_says_what_the_dry_run_says(desk: Desk) -> None:
    asked = json.dumps({"fgpu": 2, "count": 2})
    line = json.loads((await desk.ask("launch/forecast", "ann", asked)).body)
    api = await desk.api("POST", "dry-run", {"fgpu": 2, "count": 2}, by="ann")

    assert line["sentence"] == api.body["sentence"]
    assert "1 of 2 starts now" in line["sentence"]


async def test_the_live_line_refuses_with_the_field_and_stores_nothing(desk: Desk) -> None:
    answer = await desk.ask("launch/forecast", "ann", json.dumps({"fgpu": "0.35"}))

    assert (answer.code, json.loads(answer.body)["error"]["field"]) == (400, "fgpu")
    assert (await desk.ask("launch/forecast", "nobody", "{}")).code == 401
    assert desk.sessions() == []


async def test_page_and_live_line_are_in_the_readers_language(desk: Desk) -> None:
    japanese = {"Accept-Language": "ja"}
    page = (await desk.ask("launch", "ann", **japanese)).body.decode()
    line = json.loads((await desk.ask("launch/forecast", "ann", "{}", **japanese)).body)

    assert '<html lang="ja">' in page
    assert "セッション" in page
    assert line["starts_now"]
    assert "Starts now" not in line["sentence"]
    assert "gpu-1" in line["sentence"]


async def test_the_hubs_refused_form_comes_back_as_it_was_sent(desk: Desk) -> None:
    refused = {
        "fields": {"fgpu": ["0.35"], "preset": ["custom"], "name": [HOSTILE]},
        "message": "0.35 fGPU is not a multiple of 0.1: use 0.3 or 0.4.",
        "field": "fgpu",
    }
    asked = {"user": "ann", "server_name": "second", "language": "en", "refused": refused}
    answer = await desk.api("POST", "spawner/launch-form", asked, by="spawner-token")
    form = answer.body["html"]

    assert answer.status == 200
    assert "use 0.3 or 0.4" in error(form, "fgpu")
    assert 'value="0.35"' in tag(form, "fgpu")
    assert 'data-server="second"' in form
    assert "<script>alert" not in form


@pytest.mark.parametrize(
    "refused", [[], {"fields": {"fgpu": "0.35"}, "message": "", "field": ""}, {"fields": {}}]
)
async def test_a_refused_form_that_is_none_is_a_bad_value(desk: Desk, refused: object) -> None:
    asked = {"user": "ann", "server_name": "", "language": "en", "refused": refused}

    assert (await desk.api("POST", "spawner/launch-form", asked, by="spawner-token")).status == 400
    assert (await desk.api("POST", "spawner/launch-form", asked, by="ann")).status == 401

"""The Sessions page and its forms as HTTP, without a browser."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from hub_ext.db.models import SessionRow
from hub_ext.hub_client import HubServer
from hub_ext.images.catalogue import App
from hub_ext.nodes import inventory
from hub_ext.sessions.culler import Culler
from hub_ext.sessions.keeping import keep
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why
from hub_ext.site import Site
from tests.service.conftest import IMAGE, RecordingHub
from tests.service.project_rows import add_member, add_project, add_session
from tests.service.rest_client import RestClient, serving

ROOT = "/services/apportion/"
STOPPED = {"TERMINATING", "TERMINATED"}
HOSTILE = "<script>alert(1)</script>\"'&" + "w" * 200


@dataclass
class Pages:
    """A site and a way to its pages."""

    site: Site
    api: RestClient

    async def send(self, path: str, by: str = "ann", **fields: Any) -> HTTPResponse:
        """A page, or with ``fields`` a form as a browser without script sends it."""
        return await AsyncHTTPClient().fetch(
            self.api.base + path,
            method="POST" if fields else "GET",
            body=urlencode(fields, doseq=True) if fields else None,
            headers={"Authorization": f"token {by}"},
            follow_redirects=False,
            raise_error=False,
        )

    async def page(self, path: str = "", by: str = "ann") -> str:
        answer = await self.send(path, by)
        assert answer.code == 200, answer.body
        return answer.body.decode()

    async def ids(self, path: str = "", by: str = "ann") -> list[str]:
        """Of the sessions on a page, in its order."""
        return rows_of(await self.page(path, by))

    def add(self, count: int = 1, user: str = "ann", **columns: Any) -> list[str]:
        """Sessions in project ml101 unless it is said otherwise; their ids."""
        project = columns.pop("project", "ml101")
        found = []
        with self.site.database.transaction() as db:
            for _ in range(count):
                row = add_session(db, project, user, **columns)
                row.id = f"{row.order:032x}"
                found.append(row.id)
        return found

    def row(self, session_id: str) -> SessionRow:
        return self.site.store.get(session_id)


def rows_of(page: str) -> list[str]:
    return re.findall(r'<tr id="s-([0-9a-f]{32})"', page)


def without_tokens(body: bytes) -> bytes:
    """A page without what is another one each second."""
    return re.sub(rb"""(_xsrf=|_xsrf" value="|X-XSRFToken": ")[^"]*""", b"", body)


def link(page: str, rel: str) -> str | None:
    """Path below the service of the link to another page of the list."""
    found = re.search(rf'rel="{rel}" href="{ROOT}([^"]*)"', page)
    return None if found is None else found[1].replace("&amp;", "&")


@pytest.fixture
async def pages(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    """ann and bob are members of ml101, tom teaches it; eve is in no project."""
    await inventory.refresh(site)
    with site.database.transaction() as db:
        add_project(db, "ml101")
        add_project(db, "other")
        add_member(db, "ml101", "ann")
        add_member(db, "ml101", "bob")
        add_member(db, "ml101", "tom", "instructor")
    async with serving(site, monkeypatch) as api:
        yield Pages(site, api)


async def test_everybody_sees_the_sessions_that_are_his_to_see(pages: Pages) -> None:
    (anns,), (bobs,) = pages.add(user="ann"), pages.add(user="bob")
    (elses,) = pages.add(user="zoe", project="other")
    assert await pages.ids(by="ann") == [anns]
    assert await pages.ids("?project=ml101", by="tom") == [bobs, anns]
    assert await pages.ids("?project=*", by="tom") == [bobs, anns]
    assert await pages.ids("?all=1", by="root") == [elses, bobs, anns]
    assert await pages.ids("?all=1&project=other", by="root") == [elses]
    assert await pages.ids("?all=1", by="ann") == [anns]
    assert await pages.ids("?all=1", by="tom") == []


@pytest.mark.parametrize("by", ["ann", "eve", "tom"])
async def test_a_project_that_one_does_not_look_after_is_as_one_that_is_not_there(
    pages: Pages, by: str
) -> None:
    there = await pages.send("?project=other", by)
    missing = await pages.send("?project=nothing", by)
    assert (there.code, missing.code) == (404, 404)
    assert without_tokens(there.body) == without_tokens(missing.body)
    assert b"There is no such project" in there.body


async def test_a_filter_looks_at_name_user_image_and_project(pages: Pages) -> None:
    (named,) = pages.add(name="Sweep-7")
    (imaged,) = pages.add(user="bob", image_title="PyTorch 100%")
    (other,) = pages.add(user="zoe", project="other")
    for text, found in {
        "sweep": [named],
        "BOB": [imaged],
        "other": [other],
        "ml101 ann": [named],
        "100%": [imaged],
        "1_0": [],
        "swe ep-7": [named],
        "nn ml": [named],
    }.items():
        page = await pages.page("?" + urlencode({"all": "1", "q": text}), "root")
        assert rows_of(page) == found, text
        number = len(found)
        assert f"{number} session{'' if number == 1 else 's'} fit the filter" in " ".join(
            page.split()
        )


async def test_filters_by_status_and_node_go_together(pages: Pages) -> None:
    (first,) = pages.add(status="RUNNING", node="gpu-1")
    pages.add(status="RUNNING", node="gpu-2")
    pages.add()
    assert await pages.ids("?status=RUNNING&node=gpu-1") == [first]
    assert len(await pages.ids("?status=running,pending")) == 3
    assert await pages.ids("?status=TERMINATED") != [], "of the other tab: it does not filter"
    assert (await pages.send("?status=LOST")).code == 400


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=luck", "sort"),
        ("q=" + "a" * 201, "q"),
        ("after=x", "after"),
        ("before=1:x", "before"),
    ],
)
async def test_an_address_that_makes_no_sense_is_refused_with_its_field(
    pages: Pages, query: str, field: str
) -> None:
    answer = await pages.send(f"?{query}")
    assert answer.code == 400
    assert f"&#39;{field}&#39;" in answer.body.decode()


async def test_every_column_sorts_both_ways(pages: Pages) -> None:
    now = time.time()
    running = {"status": "RUNNING", "running_at": now}
    (a,) = pages.add(name="b", user="ann", gpu_milli=100, lifetime_s=7200, node="n2", **running)
    (b,) = pages.add(name="A", user="bob", gpu_milli=300, lifetime_s=3600, node="n1", **running)
    (c,) = pages.add(name="c", user="Cid", gpu_milli=200, position=1, image_title="Alpha")
    for sort, order in {
        "name": [b, a, c],
        "user": [a, b, c],
        "slice": [b, c, a],
        "node": [c, b, a],
        "left": [b, a, c],
        "age": [c, b, a],
        "image": [c, b, a],
        "line": [b, a, c],
        "status": [c, b, a],
    }.items():
        assert await pages.ids(f"?all=1&sort={sort}", "root") == order, sort
    for sort, order in {"name": [c, a, b], "age": [a, b, c], "slice": [a, c, b]}.items():
        assert await pages.ids(f"?all=1&sort=-{sort}", "root") == order, sort
    page = await pages.page("?all=1&sort=-name", "root")
    assert (
        'aria-sort="descending"><a class="sort" href="/services/apportion/?all=1&amp;sort=name"'
        in (page)
    )


@pytest.mark.parametrize("sort", ["line", "name", "-name", "left", "age", "node"])
async def test_pages_hold_every_session_once_there_and_back(pages: Pages, sort: str) -> None:
    for _ in range(3):
        pages.add(45, name="same")
    pages.add(10, name="other", status="RUNNING", running_at=5.5, lifetime_s=60)
    forth: list[list[str]] = []
    path: str | None = f"?sort={sort}"
    while path is not None:
        page = await pages.page(path)
        forth.append(rows_of(page))
        last, path = path, link(page, "next")
    assert [len(ids) for ids in forth] == [50, 50, 45]
    assert len({each for ids in forth for each in ids}) == 145

    back: list[list[str]] = []
    path = last
    while path is not None:
        page = await pages.page(path)
        back.append(rows_of(page))
        path = link(page, "prev")
    assert back == forth[::-1]


async def test_paging_stays_right_while_sessions_come_and_go(pages: Pages) -> None:
    old = pages.add(60)
    page = await pages.page()
    shown = rows_of(page)
    pages.add(7)
    Launcher(pages.site).stop(shown[49], Why("Stopped."), by="ann")
    following = await pages.ids(link(page, "next") or "")
    assert shown + following == old[::-1], "none is left out and none shown twice"


async def test_ended_ones_are_in_their_own_tab_the_last_first(pages: Pages) -> None:
    (live,) = pages.add()
    (first,), (second,) = pages.add(status="TERMINATED"), pages.add(status="TERMINATED")
    assert await pages.ids() == [live]
    page = await pages.page("?state=ended")
    assert rows_of(page) == [second, first]
    assert f"launch?from={first}" in page


async def test_an_empty_list_says_what_to_do(pages: Pages) -> None:
    assert "Launch one" in await pages.page()
    assert "other tab" in await pages.page("?state=ended")
    assert "Show all" in await pages.page("?q=nothing")


async def test_hostile_names_are_shown_as_text(pages: Pages) -> None:
    (key,) = pages.add(name=HOSTILE, image_title=HOSTILE, reason_message=HOSTILE, node=HOSTILE)
    for path in ("", f"sessions/{key}", f"sessions/stop?id={key}", f"sessions/stopped?id={key}"):
        page = await pages.page(path)
        assert "<script>alert" not in page, path
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page, path


async def test_apps_and_ports_lead_to_the_address_of_the_session(pages: Pages) -> None:
    image = replace(IMAGE, apps=(App("mlflow", "MLflow UI", "mlflow/"),))
    pages.site.images[image.reference] = image
    (key,) = pages.add(status="RUNNING", server_name="lab")
    page = await pages.page()
    assert 'href="/user/ann/lab/mlflow/"' in page
    answer = await pages.send(f"sessions/{key}/port?number=5000")
    assert (answer.code, answer.headers["Location"]) == (302, "/user/ann/lab/proxy/5000/")
    for number in ("0", "65536", "x", "", "//evil.example"):
        assert (await pages.send(f"sessions/{key}/port?number={number}")).code == 400
    assert (await pages.send(f"sessions/{key}/port?number=5000", "tom")).code == 403
    assert (await pages.send(f"sessions/{key}/port?number=5000", "bob")).code == 404
    others = await pages.page("?project=ml101", "tom")
    assert key in others
    assert "/user/ann/lab" not in others, "only its user opens it"


async def test_stopping_without_script_leads_back_and_says_so(pages: Pages) -> None:
    (running,), (waiting,) = pages.add(status="RUNNING", name="lab"), pages.add(name="sweep")
    answer = await pages.send(f"sessions/{running}/stop", x="1")
    assert (answer.code, answer.headers["Location"]) == (303, ROOT)
    assert pages.row(running).status in STOPPED
    await pages.send(f"sessions/{waiting}/stop", x="1")
    assert pages.row(waiting).status == "CANCELLED"
    assert pages.site.store.history(waiting)[-1].by == "ann"


async def test_a_stale_form_for_what_has_ended_is_no_error_and_does_nothing(pages: Pages) -> None:
    (key,) = pages.add()
    for _ in range(2):
        answer = await pages.send(f"sessions/{key}/stop", x="1")
        assert answer.code == 303, answer.body
    assert len(pages.site.store.history(key)) == 1


@pytest.mark.parametrize("by", ["bob", "eve"])
async def test_forms_of_a_session_of_others_meet_nothing(pages: Pages, by: str) -> None:
    (key,) = pages.add(status="RUNNING", running_at=time.time(), lifetime_s=3600)
    before = pages.row(key).version
    for form, fields in {
        "stop": {"x": "1"},
        "extend": {"from": "3600", "more": "1"},
        "keep": {"x": "1"},
        "change": {"requeue": "0"},
    }.items():
        assert (await pages.send(f"sessions/{key}/{form}", by, **fields)).code == 404, form
    assert "is not there, or not yours" not in await pages.page("", by)
    answer = await pages.send("sessions/stop", by, id=[key])
    assert answer.code == 303
    assert pages.row(key).version == before


THEIRS = {"ann": "user", "tom": "instructor", "root": "admin", "bob": "none", "eve": "none"}
"""What each is to a session of ann's."""
ACTIONS: dict[str, tuple[str, dict[str, str], dict[str, int]]] = {
    "look": ("", {}, {"user": 200, "instructor": 200, "admin": 200}),
    "log": ("/log", {}, {"user": 200, "instructor": 403, "admin": 200}),
    "port": ("/port?number=80", {}, {"user": 302, "instructor": 403, "admin": 403}),
    "image": ("/image-request", {"name": "x"}, {"user": 409, "instructor": 403, "admin": 403}),
    "extend": (
        "/extend",
        {"from": "3600", "more": "1"},
        {"user": 303, "instructor": 303, "admin": 303},
    ),
    "change": ("/change", {"requeue": "0"}, {"user": 303, "instructor": 303, "admin": 303}),
    "keep": ("/keep", {"x": "1"}, {"user": 409, "instructor": 409, "admin": 409}),
    "stop": ("/stop", {"x": "1"}, {"user": 303, "instructor": 303, "admin": 303}),
}


@pytest.mark.parametrize("by", THEIRS)
@pytest.mark.parametrize("action", ACTIONS)
async def test_who_may_do_what_to_a_session_that_runs(pages: Pages, action: str, by: str) -> None:
    (key,) = pages.add(status="RUNNING", running_at=time.time(), lifetime_s=3600)
    path, fields, codes = ACTIONS[action]
    answer = await pages.send(f"sessions/{key}{path}", by, **fields)
    assert answer.code == codes.get(THEIRS[by], 404), answer.body.decode()[-1500:]


async def test_an_extension_sent_twice_is_one_and_an_old_page_changes_nothing(
    pages: Pages,
) -> None:
    (key,) = pages.add(status="RUNNING", running_at=time.time(), lifetime_s=3600)
    for _ in range(2):
        answer = await pages.send(f"sessions/{key}/extend", **{"from": "3600", "more": "1"})
        assert answer.code == 303, answer.body
        assert pages.row(key).lifetime_s == 7200
    stale = await pages.send(f"sessions/{key}/extend", **{"from": "3600", "more": "4"})
    assert stale.code == 409
    assert "changed meanwhile" in stale.body.decode()
    answer = await pages.send(f"sessions/{key}/extend", **{"from": "7200", "hours": "3.5"})
    assert answer.code == 303
    assert pages.row(key).lifetime_s == 12600
    for hours in ("", "x", "-1", "nan", "1e300"):
        bad = await pages.send(f"sessions/{key}/extend", **{"from": "12600", "hours": hours})
        assert bad.code == 400, hours
    assert pages.row(key).lifetime_s == 12600


async def test_an_extension_stays_within_what_the_project_allows(pages: Pages) -> None:
    with pages.site.database.transaction() as db:
        add_project(db, "short", member_limits={"max_lifetime_s": 7200})
        add_member(db, "short", "ann")
    (key,) = pages.add(project="short", lifetime_s=3600)
    assert "2 hours at most" in await pages.page(f"sessions/{key}")
    refused = await pages.send(f"sessions/{key}/extend", **{"from": "3600", "more": "4"})
    assert refused.code == 422
    assert "may last" in refused.body.decode()
    assert pages.row(key).lifetime_s == 3600


async def test_what_may_be_changed_while_it_waits_is_changed_by_forms(pages: Pages) -> None:
    (key,) = pages.add(preemptible=True)
    assert (await pages.send(f"sessions/{key}/change", priority="-5")).code == 303
    assert pages.row(key).priority == -5
    refused = await pages.send(f"sessions/{key}/change", priority="50")
    assert refused.code == 422
    assert (await pages.send(f"sessions/{key}/change", priority="1.5")).code == 400
    await pages.send(f"sessions/{key}/change", preemptible=["0", "1"], requeue=["0"])
    row = pages.row(key)
    assert (row.preemptible, row.requeue, row.priority) == (True, False, -5)


async def test_one_that_was_warned_as_idle_is_kept_and_not_warned_at_once_again(
    pages: Pages,
) -> None:
    site = pages.site
    with site.database.transaction() as db:
        add_project(db, "lab", member_limits={"idle_s": 600})
        add_member(db, "lab", "ann")
    (key,) = pages.add(
        project="lab", status="RUNNING", server_name="x", running_at=time.time() - 9000
    )
    hub: RecordingHub = site.hub  # type: ignore[assignment]
    hub.servers[("ann", "x")] = HubServer("ann", "x", True, None, time.time() - 590)
    culler = Culler(site, Launcher(site))
    await culler.activity.read()
    culler.once()
    assert pages.row(key).notice_code == "idle"

    keep(site, culler.activity, key, by="ann")
    culler.once()
    row = pages.row(key)
    assert (row.status, row.notice_code, row.stops_at) == ("RUNNING", "", None)


async def test_only_one_that_was_warned_as_idle_can_be_kept(pages: Pages) -> None:
    (key,) = pages.add(status="RUNNING", running_at=time.time())
    assert (await pages.send(f"sessions/{key}/keep", x="1")).code == 409
    with pages.site.database.transaction() as db:
        row = db.get_one(SessionRow, key)
        row.notice_code, row.notice_message, row.stops_at = "idle", "Idle.", time.time() + 60
    assert "Keep it" in await pages.page()
    assert (await pages.send(f"sessions/{key}/keep", x="1")).code == 303
    row = pages.row(key)
    assert (row.notice_code, row.stops_at) == ("", None)
    assert (
        pages.site.store.history(key)[-1].message == "Kept by ann: it counts as used from now on."
    )


async def test_several_are_stopped_after_a_question_that_names_number_and_users(
    pages: Pages,
) -> None:
    ids = [*pages.add(2, status="RUNNING"), *pages.add(user="bob"), *pages.add(status="TERMINATED")]
    page = await pages.page("sessions/stop?" + urlencode({"id": ids}, doseq=True), "tom")
    assert "Stop these 3 sessions?" in page
    assert "They are of 2 users." in page
    assert "is left alone: Ended" in page
    assert [pages.row(key).version for key in ids] == [1, 1, 1, 1], "nothing is changed yet"

    answer = await pages.send("sessions/stop", "tom", id=ids, list="project=ml101")
    assert answer.code == 303
    stopped, cancelled, ended = ids[:2], ids[2], ids[3]
    assert all(pages.row(key).status in STOPPED for key in stopped)
    assert (pages.row(cancelled).status, pages.row(ended).version) == ("CANCELLED", 1)
    told = await pages.page(answer.headers["Location"].removeprefix(ROOT), "tom")
    assert all(f'data-session="{key}"' in told for key in ids)
    assert f'href="{ROOT}?project=ml101"' in told


async def test_a_resent_form_and_sessions_that_end_meanwhile_change_nothing_twice(
    pages: Pages,
) -> None:
    ids = pages.add(3, status="RUNNING")
    Launcher(pages.site).end(ids[0], Status.TERMINATED, Why("It ended."), by="spawner")
    for _ in range(2):
        assert (await pages.send("sessions/stop", id=ids)).code == 303
    assert pages.row(ids[0]).reason_message == "It ended."
    by_ann = [sum(step.by == "ann" for step in pages.site.store.history(key)) for key in ids]
    assert by_ann == [0, 1, 1]


async def test_of_a_bulk_stop_only_what_one_sees_is_stopped(pages: Pages) -> None:
    mine, others = pages.add(user="bob"), pages.add(user="ann")
    answer = await pages.send("sessions/stop", "bob", id=[*mine, *others, "f" * 32])
    assert answer.code == 303
    assert pages.row(mine[0]).status == "CANCELLED"
    assert pages.row(others[0]).status == "PENDING"
    told = await pages.page(answer.headers["Location"].removeprefix(ROOT), "bob")
    assert f'data-session="{mine[0]}"' in told
    assert f'data-session="{others[0]}"' not in told


async def test_nothing_ticked_or_too_many_is_said(pages: Pages) -> None:
    assert (await pages.send("sessions/stop")).code == 400
    many = urlencode({"page": ",".join(f"{n:032x}" for n in range(101))})
    answer = await pages.send(f"sessions/stop?{many}")
    assert answer.code == 400
    assert "100" in answer.body.decode()


async def test_the_way_back_leads_to_no_other_site(pages: Pages) -> None:
    (key,) = pages.add()
    for hostile in ("//evil.example", "/\\\\evil.example", '"><script>'):
        page = await pages.page(f"sessions/stop?{urlencode({'id': key, 'list': hostile})}")
        assert "evil.example" not in page
        assert "<script>" not in page.partition("<main")[2]


async def test_the_story_tells_what_people_want_to_know(pages: Pages) -> None:
    (key,) = pages.add()
    store = pages.site.store
    store.transition(key, Status.SCHEDULED, Why("Starts on node gpu-1."), by="scheduler")
    for to in (Status.PREPARING, Status.STARTING, Status.RUNNING):
        store.transition(key, to, Why(), by="spawner")
    store.transition(key, Status.TERMINATING, Why("Stopped by tom."), by="tom")
    page = " ".join((await pages.page(f"sessions/{key}")).partition('id="history"')[2].split())
    story = page.partition("</ol>")[0]
    assert 'Got its place.</strong> <span class="text-break">Starts on node gpu-1.' in story
    assert "being prepared" not in story, "a mere station"
    assert "Runs." in story
    assert 'Was told to stop.</strong> <span class="text-break">Stopped by tom.' in story
    assert "by tom" in story

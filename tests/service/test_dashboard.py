"""The dashboard as HTML: what is there, who holds it, who waits, and who may look."""

from __future__ import annotations

import html
import json
import re
import time
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy.orm import Session
from tornado.httpclient import AsyncHTTPClient

from hub_ext.db.models import DeviceRow, NodeRow, SessionRow
from hub_ext.gpu.devices import GpuDevice, GpuProcess
from hub_ext.gpu.simulated import simulated_nodes
from hub_ext.nodes import inventory
from hub_ext.nodes.administration import NodeChange, change_node
from hub_ext.nodes.groups import NewGroup, add_group
from hub_ext.sessions.activity import Activity
from hub_ext.site import Site
from tests.service.booked_rows import book
from tests.service.project_rows import HOUR, add_member, add_project, add_run, add_session
from tests.service.rest_client import RestClient, serving

HOSTILE = "<script>alert(1)</script>\"'&" + "x" * 300 + "\u202e"


async def page(client: RestClient, path: str = "dashboard", *, by: str = "root") -> tuple[int, str]:
    answer = await AsyncHTTPClient().fetch(
        f"{client.base}{path}",
        headers={"Authorization": f"token {by}", "Cookie": ""},
        follow_redirects=False,
        raise_error=False,
    )
    return answer.code, answer.body.decode()


async def shown(site: Site, monkeypatch: pytest.MonkeyPatch, path: str = "dashboard") -> str:
    async with serving(site, monkeypatch) as client:
        code, body = await page(client, path)
    assert code == 200, body
    return body


def words(body: str) -> str:
    """What a reader sees, on one line."""
    body = re.sub(r"<(script|style).*?</\1>", " ", body, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def data_of(body: str, plot: str) -> dict[str, Any]:
    """The numbers of a plot."""
    found = re.search(
        rf'<figure class="plot" id="{plot}">.*?<script type="application/json"[^>]*>(.*?)</script>',
        body,
        flags=re.DOTALL,
    )
    assert found is not None
    return dict(json.loads(found[1]))


def hold(db: Session, node: str, parts: dict[int, int], **columns: Any) -> SessionRow:
    """A session that runs there, with these columns."""
    of_run = {name: columns.pop(name) for name in ("project", "user", "status") if name in columns}
    row = book(db, node, parts, **of_run)
    for name, value in columns.items():
        setattr(row, name, value)
    db.flush()
    return row


@pytest.fixture
async def lab(site: Site) -> Site:
    """Two nodes with two devices each, a project with a quota, one session that waits."""
    site.nodes = simulated_nodes("2x8GiB / 2x8GiB", "lab")
    await inventory.refresh(site)
    with site.database.transaction() as db:
        add_project(db, "ml101", title="Machine learning", quota_gpu_milli=1000)
        hold(db, "lab-1", {0: 500}, project="ml101", user="ann", name="training")
        hold(db, "lab-1", {0: 300}, project="ml101", user="bob", status="STARTING")
        for _ in range(12):
            add_session(db, "ml101", reason_code="project_limit", submitted_at=time.time() - 600)
    return site


@pytest.mark.parametrize("path", ["dashboard", "dashboard/now", "dashboard/over-time"])
async def test_only_admins_see_it(lab: Site, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    with lab.database.transaction() as db:
        add_member(db, "ml101", "prof", "instructor")
    async with serving(lab, monkeypatch) as client:
        for by in ("ann", "prof"):
            code, body = await page(client, path, by=by)
            assert code == 403
            assert "Only an admin sees the dashboard." in words(body)
            assert "lab-1" not in body
        assert (await page(client, path, by="nobody"))[0] == 302


async def test_each_slice_says_who_holds_how_much_and_leads_to_the_session(
    lab: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = await shown(lab, monkeypatch)
    told = "ann, session training of project ml101: 0.5 fGPU, 4 GiB"
    link = re.search(rf'<a class="slice[^>]*href="([^"]+)"[^>]*aria-label="{told}"', body)
    assert link is not None
    running = next(row for row in lab.store.find(user="ann", project="ml101") if row.node)
    assert link[1].endswith(f"/sessions/{running.id}")
    text = words(body)
    assert "ann 0.5" in text
    assert "bob 0.3, starting" in text
    assert "0.2 free" in text
    assert "simulated" in text
    assert "0.8 of 4" in text  # booked
    assert "3.2" in text  # free


async def test_drained_and_sick_ones_say_so_in_words_with_the_reason(
    lab: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.database.transaction() as db:
        change_node(db, "lab-1", NodeChange(drained=True), "root")
        node, device = db.get(NodeRow, "lab-2"), db.get(DeviceRow, ("lab-2", 1))
        assert node is not None
        assert device is not None
        node.problem = "Docker does not answer: connection refused"
        device.problem = "It has fallen off the bus."
    text = words(await shown(lab, monkeypatch))
    assert "lab-1 drained" in text
    assert "lab-2 takes no sessions" in text
    assert "Docker does not answer: connection refused" in text
    assert "It has fallen off the bus." in text
    assert "0 of 2 take sessions now" in text
    one_line = words(await shown(lab, monkeypatch, "dashboard?view=strips"))
    assert "Docker does not answer: connection refused" in one_line


async def test_nodes_are_found_by_group_name_and_room(
    lab: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.database.transaction() as db:
        add_group(db, NewGroup(name="night"), "root")
        change_node(db, "lab-2", NodeChange(resource_group="night"), "root")
        hold(db, "lab-1", {1: 1000})
        hold(db, "lab-1", {0: 200})
    async with serving(lab, monkeypatch) as client:

        async def nodes(query: str) -> set[str]:
            body = (await page(client, f"dashboard/now?{query}"))[1]
            return set(re.findall(r'id="node-(lab-\d)"', body))

        assert await nodes("") == {"lab-1", "lab-2"}
        assert await nodes("group=night") == {"lab-2"}
        assert await nodes("node=LAB-1") == {"lab-1"}
        assert await nodes("free=1") == {"lab-2"}
        nothing = (await page(client, "dashboard/now?node=nowhere"))[1]
        assert "Show all nodes" in words(nothing)
        hostile = (await page(client, f"dashboard?node={quote(HOSTILE)}"))[1]
    assert "<script>alert" not in hostile


async def test_the_live_part_keeps_the_filter(lab: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    body = await shown(lab, monkeypatch, "dashboard?node=lab-1&free=1&period=week&project=ml101")
    assert 'hx-get="/services/apportion/dashboard/now?node=lab-1&amp;free=1"' in body
    assert 'over-time?period=week&amp;project=ml101"' in body


async def test_those_who_wait_are_grouped_by_reason(
    lab: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = await shown(lab, monkeypatch)
    assert "12 wait limit of project ml101" in words(body)
    assert "?all=1&amp;status=PENDING&amp;project=ml101" in body
    assert re.search(r"10 min\b", words(body))


async def test_a_project_is_shown_with_what_it_holds_of_its_quota(
    lab: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.database.transaction() as db:
        hold(db, "lab-2", {0: 700}, project="ml101")
    text = words(await shown(lab, monkeypatch))
    assert "ml101 Machine learning 3 12 1.5 of 1 over its quota" in text


async def test_idle_gpus_are_told_once_the_hub_has_said_what_is_active(
    lab: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not known yet" in words(await shown(lab, monkeypatch))
    now = time.time()
    with lab.database.transaction() as db:
        hold(db, "lab-2", {0: 400}, user="carl", running_at=now - 2 * HOUR)
        hold(db, "lab-2", {1: 400}, user="dora", running_at=now - 60)
    monkeypatch.setattr(Activity, "known", True)
    monkeypatch.setattr(Activity, "of", lambda *_: now - 2 * HOUR)
    text = words(await shown(lab, monkeypatch))
    assert "fGPU booked and idle 0.4 in 1 session" in text
    assert "carl 0.4, idle for 2 h" in text
    assert "dora 0.4, idle" not in text  # it has just been started


async def test_how_busy_devices_are_is_shown_only_where_it_is_measured(
    lab: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not measured: none of them reports it" in words(await shown(lab, monkeypatch))

    class HalfBusy:
        def devices(self) -> list[GpuDevice]:
            return []

        def processes(self, *, computing: bool = True) -> dict[str, list[GpuProcess]]:
            return {}

        def driver(self) -> str:
            return "550.54.15"

        def busy(self) -> dict[str, float]:
            return {first: 0.43}

    with lab.database.transaction() as db:
        device = db.get(DeviceRow, ("lab-1", 0))
        assert device is not None
        first = device.uuid
    lab.nodes = {"lab-1": HalfBusy(), "lab-2": HalfBusy()}
    text = words(await shown(lab, monkeypatch))
    assert "Measured by NVML: 1 of 4 devices compute 43 % of the time." in text


async def test_use_is_stacked_by_project_with_lines_for_what_there_is(
    lab: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    with lab.database.transaction() as db:
        for number in range(13):
            add_project(db, f"p{number:02}")
            add_run(db, f"p{number:02}", now - 90 * 60, None, gpu_milli=100 * (number + 1))
    async with serving(lab, monkeypatch) as client:
        every = data_of((await page(client, "dashboard?period=day"))[1], "use-plot")
        one = data_of((await page(client, "dashboard?project=ml101"))[1], "use-plot")
    solid = [each for each in every["series"] if not each["line"]]
    assert len(solid) == 11
    assert (solid[-1]["label"], solid[-1]["values"][-2]) == ("4 others", pytest.approx(0.6))
    assert len({each["colour"] for each in solid}) == 11
    assert sum(each["values"][-2] for each in solid) == pytest.approx(9.1)
    lines = {each["label"]: set(each["values"]) for each in every["series"] if each["line"]}
    assert lines["All GPUs"] == {4.0}
    assert (len(every["times"]), every["stacked"], every["unit"]) == (48, True, "fGPU")
    names = [each["label"] for each in one["series"]]
    assert names == ["ml101", "Quota"]
    assert set(one["series"][1]["values"]) == {1.0}


async def test_the_numbers_of_a_plot_are_a_table_too(
    lab: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = await shown(lab, monkeypatch, "dashboard?period=hour")
    figure = re.search(r'<figure class="plot" id="use-plot">.*?</figure>', body, re.DOTALL)
    assert figure is not None
    table = figure[0]
    assert len(re.findall(r'<th scope="row">', table)) == 60
    assert re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', table)[:2] == ["Time", "ml101"]


async def test_waits_are_told_in_numbers_and_drawn(
    lab: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    with lab.database.transaction() as db:
        for waited in (30, 40, 50):
            row = hold(db, "lab-2", {1: 100}, submitted_at=now - waited)
            assert row.run_id
    body = await shown(lab, monkeypatch)
    plot = data_of(body, "waiting-plot")
    assert [each["label"] for each in plot["series"]] == ["Median", "95 of 100 wait less"]
    assert "Median wait 30 s" in words(body)
    empty = await shown(lab, monkeypatch, "dashboard/over-time?period=day&project=default")
    assert "Nobody had a GPU" not in words(empty)


@pytest.mark.parametrize(
    ("query", "status"), [("period=century", 400), ("project=no-such", 404), ("view=x&free=y", 200)]
)
async def test_what_cannot_be_is_said(
    lab: Site, monkeypatch: pytest.MonkeyPatch, query: str, status: int
) -> None:
    async with serving(lab, monkeypatch) as client:
        assert (await page(client, f"dashboard?{query}"))[0] == status


async def test_hostile_names_are_text(lab: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with lab.database.transaction() as db:
        add_project(db, "evil", title=HOSTILE)
        hold(db, "lab-2", {0: 500}, project="evil", user=HOSTILE, name=HOSTILE)
        add_session(db, "evil", reason_code="odd", reason_message=HOSTILE)
    body = await shown(lab, monkeypatch)
    assert "<script>alert" not in body
    assert body.count("&lt;script&gt;alert(1)") >= 4


async def test_an_empty_hub_tells_the_next_three_steps_until_they_are_done(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to_do(body: str) -> int:
        return words(body).count("To do:")

    body = await shown(site, monkeypatch)
    assert to_do(body) == 3
    assert "No node has reported yet." in words(body)
    site.hub.several_users = True  # type: ignore[attr-defined]
    assert to_do(await shown(site, monkeypatch)) == 2
    with site.database.transaction() as db:
        add_project(db, "no-quota")
    assert to_do(await shown(site, monkeypatch)) == 2
    with site.database.transaction() as db:
        add_project(db, "ml101", quota_gpu_milli=0)
    body = await shown(site, monkeypatch)
    assert to_do(body) == 1
    assert "Done: Make a course with a quota" in words(body)
    with site.database.transaction() as db:
        add_session(db, "ml101", user="root")
    assert "First steps" not in words(await shown(site, monkeypatch))

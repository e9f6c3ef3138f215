"""The admin's pages and forms as HTTP, without a browser: every form, refusal and role."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select

from hub_ext.db.folder_models import StorageQuotaRow
from hub_ext.db.image_models import ImageRequestRow
from hub_ext.db.models import AuditRow, DeviceRow, NodeRow, PresetRow, ResourceGroupRow
from hub_ext.nodes import inventory
from hub_ext.nodes.presets import list_presets
from hub_ext.site import Site
from hub_ext.web.pages.page import Page
from tests.service.admin_desk import HOSTILE, SHOWN, Desk, serving_desk
from tests.service.booked_rows import book
from tests.service.project_rows import add_member, add_project

PAGES = (
    "admin",
    "admin/attention",
    "admin/nodes",
    "admin/nodes-table",
    "admin/nodes/gpu-1",
    "admin/groups",
    "admin/groups-table",
    "admin/groups/default",
    "admin/presets",
    "admin/presets-table",
    "admin/presets/cpu",
    "admin/limits",
    "admin/announcements",
    "admin/announcements/list",
    "admin/audit",
    "admin/audit.csv",
)
PRESET = {"title": "Small", "fgpu": "0.2", "cpu": "1", "memory_gib": "2"}
FORMS: tuple[tuple[str, dict[str, str]], ...] = (
    ("admin/nodes/gpu-1/drain", {"x": "1"}),
    ("admin/nodes/gpu-1/resume", {"x": "1"}),
    ("admin/nodes/gpu-1/group", {"resource_group": "default"}),
    ("admin/nodes/gpu-1/labels/add", {"key": "room", "value": "B12"}),
    ("admin/nodes/gpu-1/labels/remove", {"key": "room"}),
    ("admin/groups-new", {"name": "night", "title": ""}),
    ("admin/groups/default/change", {"title": "x", "version": "x"}),
    ("admin/groups/default/delete", {"x": "1"}),
    ("admin/presets-new", {"name": "small", **PRESET}),
    ("admin/presets/cpu/change", {"version": "x", **PRESET}),
    ("admin/presets/cpu/move", {"position": "2"}),
    ("admin/presets/cpu/delete", {"x": "1"}),
    ("admin/limits/storage", {"kind": "user", "owner": "ann", "gib": "5"}),
    ("admin/limits/storage-default", {"kind": "user", "owner": "ann"}),
    ("admin/announcements/new", {"text": "Hello"}),
    ("admin/announcements/preview", {"text": "Hello"}),
    ("admin/announcements/1/take-back", {"x": "1"}),
)


@pytest.fixture
async def desk(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Ann is a member, eve an instructor of ml101."""
    await inventory.refresh(site)
    with site.database.transaction() as db:
        add_project(db, "ml101")
        add_member(db, "ml101", "ann")
        add_member(db, "ml101", "eve", "instructor")
    async with serving_desk(site, monkeypatch) as desk:
        yield desk


def audited(site: Site) -> int:
    with site.database.transaction() as db:
        return db.scalar(select(func.count()).select_from(AuditRow)) or 0


def node(site: Site) -> NodeRow:
    with site.database.transaction() as db:
        return db.get_one(NodeRow, "gpu-1")


def order(site: Site) -> list[str]:
    with site.database.transaction() as db:
        return [row.name for row in list_presets(db)]


@pytest.mark.parametrize("page", PAGES)
async def test_every_page_is_for_admins_alone(desk: Desk, page: str) -> None:
    assert (await desk.send(page)).code == 200
    for by in ("ann", "eve", "bob"):
        answer = await desk.send(page, by)
        assert answer.code == 403
        assert "This page is for admins." in answer.body.decode()
    assert (await desk.send(page, "nobody")).code in {302, 403}


@pytest.mark.parametrize(("path", "fields"), FORMS)
async def test_every_form_is_for_admins_alone(
    desk: Desk, site: Site, path: str, fields: dict[str, str]
) -> None:
    before = audited(site)
    for by in ("ann", "eve", "nobody"):
        assert (await desk.send(path, by, **fields)).code == 403
    assert audited(site) == before


async def test_the_parts_are_linked_from_each_other(desk: Desk) -> None:
    page = await desk.page("admin/limits")
    for part in ("admin", "admin/nodes", "admin/groups", "admin/presets", "admin/audit"):
        assert f'href="/services/apportion/{part}"' in page
    assert 'aria-current="page" href="/services/apportion/admin/limits"' in page


async def test_the_first_page_says_that_all_is_well_or_what_is_not(desk: Desk, site: Site) -> None:
    assert "Nothing: all nodes and devices are well" in await desk.page("admin")
    with site.database.transaction() as db:
        db.get_one(NodeRow, "gpu-1").problem = "Docker does not answer"
        db.get_one(DeviceRow, ("gpu-1", 1)).problem = "Xid 79"
        db.add(
            ImageRequestRow(
                id="f" * 32,
                session_id="a" * 32,
                user="ann",
                project="ml101",
                name=HOSTILE,
                state="requested",
                requested_at=1.0,
            )
        )
    (site.data_dir / "folders" / ".apportion-storage").unlink()
    page = await desk.page("admin")
    assert "Node gpu-1 takes no sessions: Docker does not answer" in page
    assert "Device 1 of node gpu-1: Xid 79" in page
    assert "1 request for an image waits for your decision." in page
    assert SHOWN in page
    assert HOSTILE not in page
    assert "Folder storage" in page
    assert "Nothing: all nodes" not in page
    assert 'href="/hub/authorize"' in page


async def test_a_node_is_drained_and_the_message_offers_the_way_back(
    desk: Desk, site: Site
) -> None:
    with site.database.transaction() as db:
        book(db, "gpu-1", {0: 500}, user=HOSTILE)
    page = await desk.page("admin/nodes")
    assert "1 session is there and goes on until it ends or is stopped:" in page
    assert SHOWN in page
    assert HOSTILE not in page

    answer = await desk.send("admin/nodes/gpu-1/drain", x="1")
    assert answer.code == 303
    assert node(site).drained
    page = await desk.follow(answer)
    assert "No new session starts on gpu-1; 1 session holds a booking there" in page
    assert "Undo: resume gpu-1" in page
    assert "Node gpu-1 is drained" in await desk.page("admin")

    page = await desk.follow(await desk.send("admin/nodes/gpu-1/resume", x="1"))
    assert "Sessions may start on gpu-1; 1 session holds a booking there." in page
    assert "Undo:" not in page
    assert not node(site).drained


async def test_draining_twice_is_draining_once(desk: Desk, site: Site) -> None:
    before = audited(site)
    for _ in range(2):
        assert (await desk.send("admin/nodes/gpu-1/drain", x="1")).code == 303
    assert audited(site) == before + 1
    assert "Undo:" not in await desk.page("admin/nodes?undo=nowhere")


async def test_labels_come_and_go_one_by_one(desk: Desk, site: Site) -> None:
    for key, value in (("room", "B12"), ("rack", "")):
        assert (await desk.send("admin/nodes/gpu-1/labels/add", key=key, value=value)).code == 303
    assert node(site).labels == {"room": "B12", "rack": ""}
    assert "room=B12" in await desk.page("admin/nodes")
    await desk.send("admin/nodes/gpu-1/labels/add", key="room", value="C1")
    for _ in range(2):
        assert (await desk.send("admin/nodes/gpu-1/labels/remove", key="rack")).code == 303
    assert node(site).labels == {"room": "C1"}


@pytest.mark.parametrize(
    ("form", "fields", "says"),
    [
        ("labels/add", {"key": "two words"}, "is not possible; use 1 to 63 letters"),
        ("labels/add", {"key": "", "value": "x"}, "A label needs a key."),
        ("group", {"resource_group": "nowhere"}, "There is no resource group &#39;nowhere&#39;"),
    ],
)
async def test_a_bad_change_of_a_node_says_why_and_changes_nothing(
    desk: Desk, site: Site, form: str, fields: dict[str, str], says: str
) -> None:
    answer = await desk.send(f"admin/nodes/gpu-1/{form}", **fields)
    assert answer.code == 400
    assert says in answer.body.decode()
    assert (node(site).labels, node(site).resource_group) == ({}, "default")


async def test_what_is_not_there_is_not_found(desk: Desk) -> None:
    for page in ("admin/nodes/nowhere", "admin/groups/nowhere", "admin/presets/nowhere"):
        assert (await desk.send(page)).code == 404
    for form in ("nodes/nowhere/drain", "groups/nowhere/delete", "presets/nowhere/delete"):
        assert (await desk.send(f"admin/{form}", x="1")).code == 404
    assert (await desk.send("admin/nodes/nowhere/labels/add", key="a")).code == 404


async def test_a_group_with_hours_is_made_changed_and_deleted(desk: Desk, site: Site) -> None:
    made = await desk.send(
        "admin/groups-new",
        **{
            "name": "night",
            "title": HOSTILE,
            "days-0": ["mon", "tue"],
            "from-0": "20:00",
            "until-0": "06:00",
            "from-2": "00:00",
            "until-2": "24:00",
            "days-2": "sun",
        },
    )
    assert made.code == 303
    page = await desk.follow(made)
    assert SHOWN in page
    assert "Mon, Tue 20:00-06:00" in page
    with site.database.transaction() as db:
        hours = db.get_one(ResourceGroupRow, "night").hours
    assert hours is not None
    assert [window["days"] for window in hours] == [["mon", "tue"], ["sun"]]

    page = await desk.page("admin/groups/night")
    assert 'value="20:00"' in page
    version = desk.hidden(page, "version")
    changed = await desk.send("admin/groups/night/change", title="By night", version=version)
    assert changed.code == 303
    with site.database.transaction() as db:
        group = db.get_one(ResourceGroupRow, "night")
        assert (group.title, group.hours) == ("By night", None)
    assert (await desk.send("admin/groups/night/delete", x="1")).code == 303
    assert "night" not in await desk.page("admin/groups-table")


async def test_a_row_of_hours_that_is_wrong_is_named(desk: Desk) -> None:
    fields = {"name": "night", "title": "", "from-1": "8", "until-1": "18:00"}
    answer = await desk.send("admin/groups-new", **fields)
    assert answer.code == 400
    assert "Hours, row 2, from:" in answer.body.decode()
    assert "night" not in await desk.page("admin/groups-table")


async def test_a_group_that_somebody_has_changed_meanwhile_is_not_overwritten(
    desk: Desk, site: Site
) -> None:
    stale = desk.hidden(await desk.page("admin/groups/default"), "version")
    change = {"title": "First", "version": stale}
    assert (await desk.send("admin/groups/default/change", **change)).code == 303
    twice = await desk.send("admin/groups/default/change", **change)
    assert twice.code == 303
    other = await desk.send("admin/groups/default/change", title="Second", version=stale)
    assert other.code == 409
    assert "changed by somebody else" in other.body.decode()
    with site.database.transaction() as db:
        assert db.get_one(ResourceGroupRow, "default").title == "First"


async def test_groups_that_are_in_use_stay(desk: Desk, site: Site) -> None:
    with site.database.transaction() as db:
        db.add(ResourceGroupRow(name="named", title="", hours=None))
        db.add(ResourceGroupRow(name="full", title="", hours=None))
        add_project(db, "ai", resource_groups=["named"])
    await desk.send("admin/nodes/gpu-1/group", resource_group="full")
    assert "move them to another group first: gpu-1" in await desk.page("admin/groups")
    for group, says in {
        "full": "still has nodes (1)",
        "named": "projects may use: ai",
        "default": "stays: new nodes are in it",
    }.items():
        answer = await desk.send(f"admin/groups/{group}/delete", x="1")
        assert answer.code == 409
        assert says in answer.body.decode()


async def test_a_preset_is_made_changed_moved_and_deleted(desk: Desk, site: Site) -> None:
    made = await desk.send("admin/presets-new", name="small", **(PRESET | {"title": HOSTILE}))
    assert made.code == 303
    page = await desk.follow(made)
    assert SHOWN in page
    assert HOSTILE not in page
    assert order(site) == ["cpu", "half-gpu", "gpu", "small"]
    for _ in range(2):
        assert (await desk.send("admin/presets/small/move", position="1")).code == 303
        assert order(site) == ["small", "cpu", "half-gpu", "gpu"]
    version = desk.hidden(await desk.page("admin/presets/small"), "version")
    change = {**PRESET, "memory_gib": "0.5", "version": version}
    assert (await desk.send("admin/presets/small/change", **change)).code == 303
    with site.database.transaction() as db:
        assert db.get_one(PresetRow, "small").memory_mib == 512
    gone = await desk.send("admin/presets/small/delete", x="1")
    assert "The preset Small is deleted." in await desk.follow(gone)
    assert order(site) == ["cpu", "half-gpu", "gpu"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fgpu": "0.25"}, "use 0.2 or 0.3"),
        ({"fgpu": "much"}, "is not a number of fGPU"),
        ({"cpu": "0"}, "CPU cores: &#39;0&#39; is not a number above zero."),
        ({"cpu": "nan"}, "is not a number above zero"),
        ({"memory_gib": "1e300"}, "Memory: "),
        ({"title": ""}, "title: "),
        ({"name": "Big One"}, "name: use 1 to 63 of a-z"),
        ({"name": "custom"}, "one&#39;s own numbers"),
        ({"name": "cpu"}, "There is a preset &#39;cpu&#39; already."),
    ],
)
async def test_a_bad_preset_says_why_and_is_not_made(
    desk: Desk, site: Site, change: dict[str, str], says: str
) -> None:
    answer = await desk.send("admin/presets-new", **({"name": "small", **PRESET} | change))
    assert answer.code in {400, 409}
    assert says in answer.body.decode()
    assert order(site) == ["cpu", "half-gpu", "gpu"]


async def test_deleting_a_preset_says_first_which_projects_name_it(desk: Desk, site: Site) -> None:
    with site.database.transaction() as db:
        add_project(db, "ai", presets=["cpu", "gpu"], bounds={"presets": ["cpu", "gpu"]})
    page = await desk.page("admin/presets")
    assert "It is taken from the list of one project: ai." in page
    assert "No project names it." in page
    answer = await desk.send("admin/presets/gpu/delete", x="1")
    assert "One project allows it no more: ai." in await desk.follow(answer)
    again = await desk.send("admin/presets/cpu/delete", x="1")
    assert again.code == 409
    assert "the only one that these projects allow: ai" in again.body.decode()


async def test_a_preset_larger_than_any_node_is_made_with_a_warning(desk: Desk) -> None:
    fields = {"name": "huge", **PRESET, "title": "Huge", "fgpu": "3"}
    page = await desk.follow(await desk.send("admin/presets-new", **fields))
    assert "Huge asks for 3 fGPU; the largest node has 2 fGPU." in page
    assert "Huge asks for 3 fGPU" in await desk.page("admin")


async def test_what_a_form_says_in_many_bytes_still_fits_a_cookie(desk: Desk) -> None:
    title = "\N{PILE OF POO}" * 128
    fields = {"name": "huge", **PRESET, "title": title, "fgpu": "3"}
    made = await desk.send("admin/presets-new", **fields)
    assert len(made.headers["Set-Cookie"].partition(";")[0]) <= 4096
    told, plain = await desk.follow(made), await desk.page("admin/presets")
    assert f"The preset {title} is made" in told
    assert told.count("asks for 3 fGPU") == plain.count("asks for 3 fGPU") + 1


def test_of_more_than_a_cookie_holds_the_first_sentences_are_kept() -> None:
    kept: list[bytes] = []
    page: Any = SimpleNamespace(set_signed_cookie=lambda _name, text, *_, **__: kept.append(text))
    Page.say(page, [f"{number}" + "\N{PILE OF POO}" * 400 for number in range(5)])
    assert len(kept[0]) < 3000
    assert [sentence[0] for sentence in json.loads(kept[0])] == ["0"]


async def test_limits_show_the_options_and_where_they_are_set(desk: Desk) -> None:
    page = await desk.page("admin/limits")
    for option in ("fgpu_quantum", "max_pending_per_user", "user_storage_quota_gib"):
        assert f"c.ApportionService.{option}" in page
    assert "Nobody has one of his own." in page


async def test_a_storage_quota_is_searched_set_and_removed(desk: Desk, site: Site) -> None:
    page = await desk.page("admin/limits?owner=ann")
    assert 'data-owner="user:ann"' in page
    answer = await desk.send("admin/limits/storage", kind="user", owner="ann", gib="1.5")
    assert "The folders of ann take 0 bytes of 1.5 GiB." in await desk.follow(answer)
    with site.database.transaction() as db:
        assert db.get_one(StorageQuotaRow, ("user", "ann")).bytes == 3 * 2**29
    assert 'value="1.5"' in await desk.page("admin/limits")
    back = await desk.send("admin/limits/storage-default", kind="user", owner="ann")
    assert "The default of the site holds again." in await desk.follow(back)
    assert (await desk.send("admin/limits/storage-default", kind="user", owner="ann")).code == 404
    none = await desk.send("admin/limits/storage", kind="project", owner="ml101", gib="")
    assert none.code == 303
    with site.database.transaction() as db:
        assert db.get_one(StorageQuotaRow, ("project", "ml101")).bytes is None


@pytest.mark.parametrize(
    "change",
    [
        {"gib": "many"},
        {"gib": "-1"},
        {"gib": "nan"},
        {"kind": "node"},
        {"owner": "\x00"},
        {"kind": "project", "owner": "../x"},
    ],
)
async def test_a_bad_storage_quota_is_refused(
    desk: Desk, site: Site, change: dict[str, str]
) -> None:
    fields = {"kind": "user", "owner": "ann", "gib": "5"} | change
    assert (await desk.send("admin/limits/storage", **fields)).code == 400
    with site.database.transaction() as db:
        assert db.scalar(select(func.count()).select_from(StorageQuotaRow)) == 0


async def test_a_search_for_a_quota_shows_hostile_names_as_text(desk: Desk) -> None:
    page = await desk.page("admin/limits?owner=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in page

"""The form of a project's settings: nothing that is typed is lost, nothing is written unasked."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from hub_ext.site import Site

from .project_lab import ROOT, Fields, ProjectLab, course, form_fields

SETTINGS = "projects/ml101/settings"


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProjectLab]:
    async with course(site, monkeypatch) as found:
        yield found


async def save(lab: ProjectLab, by: str = "root", **changes: str | list[str]) -> int:
    """The form as it is now with some fields typed over."""
    fields = await lab.form(SETTINGS, "settings", by)
    return (await lab.send(SETTINGS, {**fields, **changes}, by)).code


async def test_a_form_that_nobody_touched_changes_nothing(lab: ProjectLab) -> None:
    odd = {"valid_until": 1790000000.5, "member_limits": {"max_lifetime_s": 100}}
    lab.site.projects.change("ml101", odd, by=ROOT)
    before = lab.site.projects.get("ml101")
    for who in ("root", "tess"):
        assert await save(lab, who) == 303
    after = lab.site.projects.get("ml101")
    assert after.version == before.version
    assert (after.valid_until, after.member_limits) == (1790000000.5, {"max_lifetime_s": 100})


async def test_an_admin_sets_everything_in_one_form(lab: ProjectLab) -> None:
    changes: Fields = {
        "title": "ML <b>&",
        "description": "One\r\ntwo",
        "parent": "",
        "open_to_all": "1",
        "quota.fgpu": "1.5",
        "quota.cpu": "8",
        "quota.memory_mib": "2.5",
        "limit.fgpu": "2",
        "weight.fgpu": "0.5",
        "priority": "-3",
        "reclaim_min_runtime_s": "30",
        "valid_from": "2026-04-01",
        "valid_until": "2026-07-31",
        "budget_fgpu_h": "100",
        "hours.0.days": ["mon", "wed"],
        "hours.0.from": "08:00",
        "hours.0.until": "12:00",
        "stops_at_close": "1",
        "quota_hours.0.days": ["sun"],
        "quota_hours.0.from": "00:00",
        "quota_hours.0.until": "00:00",
        "quota_hours.0.fgpu": "0",
        "presets.all": "",
        "presets": ["gpu"],
        "kinds.all": "",
        "kinds": ["interactive"],
        "member_limits.max_lifetime_s": "1.5",
        "member_limits.idle_s": "20",
        "member_limits.max_sessions": "2",
        "member_limits.max_fgpu": "0.5",
    }
    assert await save(lab, "root", **changes) == 303
    row = lab.site.projects.get("ml101")
    assert (row.title, row.description, row.parent) == ("ML <b>&", "One\ntwo", None)
    assert (row.quota_gpu_milli, row.quota_cpu_milli, row.quota_memory_mib) == (1500, 8000, 2560)
    assert (row.limit_gpu_milli, row.weight_gpu, row.priority) == (2000, 0.5, -3)
    assert row.valid_from == datetime(2026, 4, 1, tzinfo=UTC).timestamp()
    assert row.valid_until == datetime(2026, 8, 1, tzinfo=UTC).timestamp()
    assert row.hours == [{"days": ["mon", "wed"], "from": "08:00", "until": "12:00"}]
    assert row.quota_hours == [{"days": ["sun"], "from": "00:00", "until": "00:00", "gpu_milli": 0}]
    assert (row.open_to_all, row.stops_at_close, row.reclaim_min_runtime_s) == (True, True, 1800)
    assert (row.presets, row.kinds, row.images) == (["gpu"], ["interactive"], None)
    assert row.budget_gpu_h == 100
    assert row.member_limits == {
        "max_lifetime_s": 5400,
        "idle_s": 1200,
        "max_sessions": 2,
        "max_gpu_milli": 500,
    }
    assert await save(lab, "root") == 303
    assert lab.site.projects.get("ml101").version == row.version, "the form shows what is there"
    assert await save(lab, "root", **{"hours.0.days": [], "hours.0.from": "", "hours.0.until": ""})
    assert lab.site.projects.get("ml101").hours is None


WRONG = [
    ({"quota.fgpu": "0.15"}, "quota.fgpu"),
    ({"quota.cpu": "many"}, "quota.cpu"),
    ({"quota.memory_mib": "0.0001"}, "quota.memory_mib"),
    ({"limit.fgpu": "0.5"}, "quota.fgpu"),
    ({"priority": "5000"}, "priority"),
    ({"priority": "1.5"}, "priority"),
    ({"valid_from": "tomorrow"}, "valid_from"),
    ({"valid_from": "2026-07-02", "valid_until": "2026-07-01"}, "valid_until"),
    ({"valid_until": "9999-12-31"}, "valid_until"),
    ({"parent": "nothing"}, "parent"),
    ({"parent": "ml101"}, "parent"),
    ({"hours.1.from": "08:00"}, "hours.0"),
    ({"hours.0.days": "mon", "hours.0.from": "25:00", "hours.0.until": "26:00"}, "hours.0"),
    ({"quota_hours.0.days": "mon", "quota_hours.0.from": "08:00"}, "quota_hours.0"),
    ({"presets.all": "", "presets": []}, "presets"),
    ({"member_limits.idle_s": "1"}, "member_limits.idle_s"),
    ({"member_limits.max_sessions": "1.5"}, "member_limits.max_sessions"),
    ({"member_limits.max_fgpu": "1e999"}, "member_limits.max_fgpu"),
    ({"budget_fgpu_h": "-2"}, "budget_fgpu_h"),
]


@pytest.mark.parametrize(("changes", "field"), WRONG)
async def test_a_wrong_value_is_named_and_everything_typed_is_still_there(
    lab: ProjectLab, changes: Fields, field: str
) -> None:
    fields = await lab.form(SETTINGS, "settings", "root")
    answer = await lab.send(SETTINGS, {**fields, "title": "Typed <title>", **changes}, "root")
    page = answer.body.decode()
    assert answer.code == 400, page
    assert f'id="{field}-error"' in page
    again = form_fields(page, "settings")
    assert again["title"] == "Typed <title>"
    for name, value in changes.items():
        if isinstance(value, str) and value and not name.startswith(("hours", "quota_hours")):
            assert again[name] == value
    row = lab.site.projects.get("ml101")
    assert (row.title, row.version) == ("Machine learning", 1)


async def test_an_instructor_stays_within_the_admins_bounds(lab: ProjectLab) -> None:
    bounds = {"presets": ["cpu", "gpu"], "member_limits": {"max_sessions": 3, "idle_s": 3600}}
    lab.site.projects.change("ml101", bounds, by=ROOT)
    fields = await lab.form(SETTINGS, "settings")
    assert not {"quota.fgpu", "priority", "parent", "hours.0.from"} & set(fields)
    page = await lab.text(SETTINGS)
    assert "half-gpu" not in page.partition('id="presets-list"')[2].partition("</fieldset>")[0]
    narrow: Fields = {"presets": ["gpu"], "member_limits.max_sessions": "2", "title": "Mine"}
    assert await save(lab, "tess", **narrow) == 303
    row = lab.site.projects.get("ml101")
    assert (row.presets, row.member_limits["max_sessions"]) == (["gpu"], 2)
    assert await save(lab, "tess", **{"member_limits.max_sessions": "4"}) == 403
    assert await save(lab, "tess", presets=["gpu", "half-gpu"]) == 403
    fields = await lab.form(SETTINGS, "settings")
    forged = await lab.send(SETTINGS, {**fields, "quota.fgpu": "8", "title": "Forged"})
    assert forged.code == 303
    assert lab.site.projects.get("ml101").quota_gpu_milli == 1000, "no field of this form"
    assert await save(lab, "tess", **{"presets.all": "1"}) == 303
    assert lab.site.projects.get("ml101").presets == ["cpu", "gpu"], "back to the bounds"


async def test_who_was_slower_sees_what_is_there_now_and_loses_nothing(lab: ProjectLab) -> None:
    mine = await lab.form(SETTINGS, "settings", "root")
    theirs = {"title": "Theirs", "member_limits": {"max_sessions": 7}}
    lab.site.projects.change("ml101", theirs, by=ROOT)
    stale = await lab.send(SETTINGS, {**mine, "title": "Mine", "priority": "5"}, "root")
    page = stale.body.decode()
    assert stale.code == 409
    told = page.partition('id="meanwhile"')[2].partition("</table>")[0]
    assert "Theirs" in told
    assert "Mine" in told
    assert ">7<" in told
    merged = form_fields(page, "settings")
    assert merged["title"] == "Mine"
    assert merged["priority"] == "5"
    assert merged["member_limits.max_sessions"] == "7", "what only the other one changed stays"
    assert lab.site.projects.get("ml101").title == "Theirs"
    assert (await lab.send(SETTINGS, merged, "root")).code == 303
    row = lab.site.projects.get("ml101")
    assert (row.title, row.priority, row.member_limits["max_sessions"]) == ("Mine", 5, 7)


async def test_a_form_sent_twice_is_saved_once(lab: ProjectLab) -> None:
    fields = {**await lab.form(SETTINGS, "settings", "root"), "title": "Once"}
    for _ in range(2):
        assert (await lab.send(SETTINGS, fields, "root")).code == 303
    assert lab.site.projects.get("ml101").version == 2


@pytest.mark.parametrize(
    "broken", [{"base": "["}, {"base": "[]"}, {"base": "{}"}, {"version": "x"}]
)
async def test_a_form_that_is_not_whole_is_refused(lab: ProjectLab, broken: Fields) -> None:
    fields = {**await lab.form(SETTINGS, "settings", "root"), "title": "New", **broken}
    answer = await lab.send(SETTINGS, fields, "root")
    assert answer.code == 400
    assert "not whole" in html.unescape(answer.body.decode())
    assert form_fields(answer.body.decode(), "settings")["title"] == "New"


async def test_more_rows_of_hours_keep_what_is_typed(lab: ProjectLab) -> None:
    fields = await lab.form(SETTINGS, "settings", "root")
    answer = await lab.send(
        SETTINGS, {**fields, "more": "1", "title": "Typed", "hours.1.from": "09:00"}, "root"
    )
    page = answer.body.decode()
    assert answer.code == 200
    again = form_fields(page, "settings")
    assert (again["title"], again["hours.0.from"]) == ("Typed", "09:00")
    assert "hours.5.from" in again
    assert lab.site.projects.get("ml101").version == 1


async def test_a_new_project_is_made_with_all_its_settings_or_the_form_stays(
    lab: ProjectLab,
) -> None:
    fields = await lab.form("new-project", "new-project", "root")
    typed: Fields = {**fields, "name": "cv 7", "title": "Vision", "quota.fgpu": "1"}
    wrong = await lab.send("new-project", typed, "root")
    page = wrong.body.decode()
    assert wrong.code == 400
    assert 'id="name-error"' in page
    again = form_fields(page, "new-project")
    assert (again["title"], again["quota.fgpu"]) == ("Vision", "1")
    made = await lab.send("new-project", {**again, "name": "cv7", "parent": "dept"}, "root")
    assert made.code == 303
    assert made.headers["Location"].endswith("/projects/cv7/members")
    row = lab.site.projects.get("cv7")
    assert (row.parent, row.quota_gpu_milli, row.title) == ("dept", 1000, "Vision")
    twice = await lab.send("new-project", {**again, "name": "cv7", "parent": "dept"}, "root")
    assert twice.code == 409


async def test_materials_are_a_folder_of_the_project_itself(lab: ProjectLab) -> None:
    ours = await lab.rest("POST", "folders", {"name": "week1", "project": "ml101"}, by="tess")
    own = await lab.rest("POST", "folders", {"name": "mine"}, by="tess")
    page = await lab.text(SETTINGS)
    assert ours.body["id"] in page
    assert own.body["id"] not in page.partition("<form")[2].partition("</form>")[0]
    assert await save(lab, "tess", materials_folder_id=own.body["id"]) == 400
    assert await save(lab, "tess", materials_folder_id="x") == 400
    assert await save(lab, "tess", materials_folder_id=ours.body["id"]) == 303
    assert lab.site.projects.get("ml101").materials_folder_id == ours.body["id"]
    patch = {"materials_folder_id": None}
    assert (await lab.rest("PATCH", "projects/ml101", patch, by="ann")).status == 403
    answer = await lab.rest("PATCH", "projects/ml101", patch, by="tess")
    assert (answer.status, answer.body["materials_folder_id"]) == (200, None)

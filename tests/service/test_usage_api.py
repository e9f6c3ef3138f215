"""``GET /usage``: who sees what of whom, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hub_ext.site import Site
from tests.service.project_rows import HOUR, add_member, add_project, add_run
from tests.service.rest_client import RestClient, serving


@pytest.fixture
def used(site: Site) -> Site:
    """ml101 below dept, and another; each held a GPU for the last hour."""
    now = time.time()
    with site.database.transaction() as db:
        add_project(db, "dept")
        add_project(db, "ml101", parent="dept")
        add_project(db, "other")
        add_project(db, "idle")
        for name in ("dept", "ml101", "other"):
            add_run(db, name, now - HOUR, None)
        add_member(db, "dept", "head", "instructor")
        add_member(db, "ml101", "prof", "instructor")
        add_member(db, "ml101", "ann")
        add_member(db, "idle", "ann")
    return site


def hours(body: dict[str, Any]) -> dict[str, float]:
    return {each["name"]: round(each["hours"], 1) for each in body["projects"]}


async def ask(client: RestClient, query: str, by: str) -> Any:
    return await client("GET", f"usage?{query}", by=by)


@pytest.mark.parametrize(
    ("by", "seen"),
    [
        ("root", {"dept": 2.0, "ml101": 1.0, "other": 1.0}),
        ("head", {"dept": 2.0, "ml101": 1.0}),
        ("prof", {"ml101": 1.0}),
        ("ann", {"ml101": 1.0}),
        ("mallory", {}),
    ],
)
async def test_everybody_sees_the_projects_that_he_is_in(
    used: Site, monkeypatch: pytest.MonkeyPatch, by: str, seen: dict[str, float]
) -> None:
    async with serving(used, monkeypatch) as client:
        answer = await ask(client, "period=day", by)
    assert answer.status == 200
    found = hours(answer.body)
    found.pop("default", None)
    assert found == seen


async def test_only_who_sees_the_members_sees_who_used_it(
    used: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(used, monkeypatch) as client:
        for by, told in (("root", True), ("head", True), ("prof", True), ("ann", False)):
            answer = await ask(client, "project=ml101", by)
            assert answer.status == 200
            assert ("users" in answer.body) == told, by
        users = (await ask(client, "project=dept", "head")).body["users"]
    assert [(each["user"], round(each["fgpu_h"], 1)) for each in users] == [("ann", 2.0)]


async def test_a_stranger_learns_nothing_of_a_project(
    used: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(used, monkeypatch) as client:
        missing = await ask(client, "project=no-such", "mallory")
        others = await ask(client, "project=ml101", "mallory")
        nobody = await ask(client, "", "nobody")
    assert (others.status, others.body) == (404, missing.body)
    assert nobody.status == 401


async def test_steps_resources_and_own_use_are_chosen(
    used: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(used, monkeypatch) as client:
        answer = await ask(client, "period=hour&step=600&resource=cpu&below=0", "root")
        idle = await ask(client, "project=idle", "ann")
    body = answer.body
    assert (body["unit"], body["step_s"], len(body["times"])) == ("cores", 600, 6)
    assert all(len(each["mean"]) == 6 for each in body["projects"])
    dept = next(each for each in body["projects"] if each["name"] == "dept")
    assert dept["mean"][2] == pytest.approx(1.0)  # ml101 below it is not in it
    assert [each["hours"] for each in idle.body["projects"]] == [0.0]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("period=century", "period"),
        ("resource=gold", "resource"),
        ("below=maybe", "below"),
        ("step=59", "step"),
        ("step=86401", "step"),
        ("step=1.5", "step"),
        ("period=year&step=60", "step"),
    ],
)
async def test_a_bad_value_is_named(
    used: Site, monkeypatch: pytest.MonkeyPatch, query: str, field: str
) -> None:
    async with serving(used, monkeypatch) as client:
        answer = await ask(client, query, "root")
    assert (answer.status, answer.field) == (400, field)

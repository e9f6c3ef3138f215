"""``presets`` over HTTP: admins change them; projects that name one are kept in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from hub_ext.db.models import AuditRow, PresetRow, ProjectRow
from hub_ext.nodes import inventory
from hub_ext.site import Site
from tests.service.project_rows import add_project
from tests.service.rest_client import RestClient, serving

SMALL = {"name": "small", "title": "Small", "fgpu": 0.2, "cpu_milli": 500, "memory_mib": 1024}


@pytest.fixture
async def rest(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RestClient]:
    await inventory.refresh(site)
    async with serving(site, monkeypatch) as client:
        yield client


async def names(rest: RestClient) -> list[str]:
    answer = await rest("GET", "presets", by="ann")
    return [preset["name"] for preset in answer.body["presets"]]


def noted(site: Site) -> list[tuple[str, str, Any, Any]]:
    with site.database.transaction() as db:
        rows = db.scalars(select(AuditRow).order_by(AuditRow.id)).all()
        return [(row.action, row.subject, row.before, row.after) for row in rows]


def project(site: Site, name: str) -> ProjectRow:
    with site.database.transaction() as db:
        return db.get_one(ProjectRow, name)


async def test_a_preset_lives_from_its_making_to_its_end_in_the_audit_log(
    site: Site, rest: RestClient
) -> None:
    made = await rest("POST", "presets", SMALL)
    assert (made.status, made.body["fgpu"], made.body["description"]) == (201, 0.2, "")
    changed = await rest("PATCH", "presets/small", {"fgpu": "0.3"})
    assert (changed.status, changed.body["fgpu"], changed.body["title"]) == (200, 0.3, "Small")
    moved = await rest("PATCH", "presets/small", {"position": 2})
    assert moved.status == 200
    assert await names(rest) == ["cpu", "small", "half-gpu", "gpu"]
    assert (await rest("DELETE", "presets/small")).body["projects"] == []
    assert await names(rest) == ["cpu", "half-gpu", "gpu"]
    assert [(action, before, after) for action, _, before, after in noted(site)][1:3] == [
        ("preset.change", {"gpu_milli": 200}, {"gpu_milli": 300}),
        ("preset.move", {"position": 4}, {"position": 2}),
    ]
    assert [entry[0] for entry in noted(site)] == [
        "preset.create",
        "preset.change",
        "preset.move",
        "preset.delete",
    ]


async def test_what_is_as_it_was_is_no_change(site: Site, rest: RestClient) -> None:
    body = {"title": "CPU only", "fgpu": 0, "position": 1}
    assert (await rest("PATCH", "presets/cpu", body)).status == 200
    assert noted(site) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"fgpu": 0.25}, "fgpu"),
        ({"fgpu": "x"}, "fgpu"),
        ({"fgpu": -1}, "fgpu"),
        ({"fgpu": None}, "fgpu"),
        ({"cpu_milli": 0}, "cpu_milli"),
        ({"cpu_milli": 1.5}, "cpu_milli"),
        ({"memory_mib": 127}, "memory_mib"),
        ({"title": ""}, "title"),
        ({"title": "a\x00"}, "title"),
        ({"title": "x" * 129}, "title"),
        ({"description": None}, "description"),
        ({"position": 0}, "position"),
        ({"rank": 1}, "rank"),
    ],
)
async def test_a_bad_value_names_the_field_and_changes_nothing(
    site: Site, rest: RestClient, change: dict[str, Any], field: str
) -> None:
    answer = await rest("PATCH", "presets/cpu", change)
    assert answer.status == 400
    assert answer.field.split(".")[0] == field
    again = await rest("POST", "presets", SMALL | change)
    assert again.status == 400
    assert await names(rest) == ["cpu", "half-gpu", "gpu"]
    assert noted(site) == []


async def test_fgpu_off_the_quantum_are_refused_with_the_nearest_two(rest: RestClient) -> None:
    answer = await rest("POST", "presets", SMALL | {"fgpu": 0.25})
    assert "use 0.2 or 0.3" in answer.body["error"]["message"]


@pytest.mark.parametrize("name", ["", "Small", "a b", "-a", "custom", "x" * 64, "a/b", "a\x00"])
async def test_a_name_that_cannot_be_is_refused(rest: RestClient, name: str) -> None:
    answer = await rest("POST", "presets", SMALL | {"name": name})
    assert (answer.status, answer.field) == (400, "name")


async def test_two_of_one_name_are_a_conflict(rest: RestClient) -> None:
    assert (await rest("POST", "presets", SMALL)).status == 201
    answer = await rest("POST", "presets", SMALL)
    assert (answer.status, answer.field) == (409, "name")


async def test_an_old_view_does_not_overwrite_a_newer_one(rest: RestClient) -> None:
    listed = (await rest("GET", "presets")).body["presets"]
    version = listed[0]["version"]
    first = await rest("PATCH", "presets/cpu", {"title": "A", "version": version})
    assert (first.status, first.body["version"] != version) == (200, True)
    assert (await rest("PATCH", "presets/cpu", {"title": "A", "version": version})).status == 200
    late = await rest("PATCH", "presets/cpu", {"title": "B", "version": version})
    assert (late.status, late.field) == (409, "version")


async def test_nobody_but_an_admin_changes_presets(site: Site, rest: RestClient) -> None:
    requests = [
        ("POST", "presets", SMALL),
        ("PATCH", "presets/cpu", {"title": "Mine"}),
        ("PATCH", "presets/nowhere", {"title": "Mine"}),
        ("DELETE", "presets/cpu", None),
        ("DELETE", "presets/nowhere", None),
    ]
    for method, path, body in requests:
        assert (await rest(method, path, body, by="ann")).status == 403
    assert await names(rest) == ["cpu", "half-gpu", "gpu"]
    listed = (await rest("GET", "presets", by="ann")).body["presets"][0]
    assert "version" not in listed
    assert noted(site) == []


@pytest.mark.parametrize("name", ["nowhere", "cpu%00", "%F0%9F%92%A3"])
async def test_a_preset_that_is_not_there_is_not_found(rest: RestClient, name: str) -> None:
    assert (await rest("PATCH", f"presets/{name}", {"title": "x"})).status == 404
    assert (await rest("DELETE", f"presets/{name}")).status == 404


async def test_a_preset_that_is_deleted_leaves_the_lists_of_projects(
    site: Site, rest: RestClient
) -> None:
    with site.database.transaction() as db:
        add_project(db, "ai", presets=["gpu"], bounds={"presets": ["cpu", "gpu"]})
        add_project(db, "ml", presets=["cpu", "gpu"], bounds={"presets": ["cpu", "gpu"]})
        add_project(db, "free")
    answer = await rest("DELETE", "presets/cpu")
    assert (answer.status, answer.body["projects"]) == (200, ["ai", "ml"])
    assert (project(site, "ml").presets, project(site, "ml").version) == (["gpu"], 2)
    assert (project(site, "ai").presets, project(site, "ai").bounds) == (
        ["gpu"],
        {"presets": ["gpu"]},
    )
    assert project(site, "free").presets is None
    assert ("project.change", "ml", {"presets": ["cpu", "gpu"]}, {"presets": ["gpu"]}) in noted(
        site
    )


async def test_the_only_preset_of_a_project_stays_while_the_project_is_there(
    site: Site, rest: RestClient
) -> None:
    with site.database.transaction() as db:
        add_project(db, "ml", presets=["gpu"])
    answer = await rest("DELETE", "presets/gpu")
    assert answer.status == 409
    assert "ml" in answer.body["error"]["message"]
    assert project(site, "ml").presets == ["gpu"]
    with site.database.transaction() as db:
        db.get_one(ProjectRow, "ml").archived_at = 1.0
    assert (await rest("DELETE", "presets/gpu")).status == 200
    assert project(site, "ml").presets == ["gpu"], "nothing would be everything"


async def test_what_no_node_can_hold_is_said_to_admins(site: Site, rest: RestClient) -> None:
    huge = SMALL | {"fgpu": 2, "memory_mib": 300 * 1024, "cpu_milli": 1000}
    answer = await rest("POST", "presets", huge)
    assert answer.status == 201
    (warning,) = answer.body["warnings"]
    assert "asks for 300 GiB of memory; the largest node has 255 GiB" in warning
    fits = await rest("PATCH", "presets/small", {"memory_mib": 1024})
    assert fits.body["warnings"] == []
    with site.database.transaction() as db:
        row = db.get_one(PresetRow, "small")
        assert row.gpu_milli == 2000


async def test_an_open_launch_form_is_told_of_a_change(site: Site, rest: RestClient) -> None:
    told: list[frozenset[str]] = []
    site.database.changed_tables.listen(told.append)
    await rest("POST", "presets", SMALL)
    await rest("DELETE", "presets/small")
    await asyncio.sleep(0)
    assert sum("presets" in tables for tables in told) == 2

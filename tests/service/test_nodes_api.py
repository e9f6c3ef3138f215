"""``nodes`` and ``resource-groups`` over HTTP: admins change them, bad input changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, select

from hub_ext.db.models import AuditRow, NodeRow
from hub_ext.nodes import inventory
from hub_ext.site import Site

from .booked_rows import book
from .rest_client import RestClient, serving

NIGHT = [{"days": ["mon"], "from": "20:00", "until": "06:00"}]


@pytest.fixture
async def rest(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RestClient]:
    await inventory.refresh(site)
    async with serving(site, monkeypatch) as client:
        yield client


def audited(site: Site) -> int:
    with site.database.transaction() as db:
        return db.scalar(select(func.count()).select_from(AuditRow)) or 0


def stored(site: Site) -> tuple[bool, str, dict[str, str]]:
    with site.database.transaction() as db:
        node = db.get(NodeRow, "gpu-1")
        assert node is not None
        return node.drained, node.resource_group, node.labels


async def test_an_admin_sees_what_is_booked_and_what_is_free(site: Site, rest: RestClient) -> None:
    with site.database.transaction() as db:
        book(db, "gpu-1", {0: 500}, cpu_milli=2000)
    answer = await rest("GET", "nodes")
    (node,) = answer.body["nodes"]
    assert (node["name"], node["schedulable"], node["reason"]) == ("gpu-1", True, "")
    assert (node["sessions"], node["cpu_milli_booked"], node["labels"]) == (1, 2000, {})
    assert [(d["fgpu_booked"], d["fgpu_free"]) for d in node["devices"]] == [(0.5, 0.5), (0, 1)]


async def test_draining_says_how_many_sessions_still_run_there(
    site: Site, rest: RestClient
) -> None:
    with site.database.transaction() as db:
        book(db, "gpu-1", {0: 500})
        book(db, "gpu-1", {1: 1000})
    answer = await rest("PATCH", "nodes/gpu-1", {"drained": True})
    assert (answer.status, answer.body["sessions"]) == (200, 2)
    assert (answer.body["schedulable"], answer.body["reason"]) == (False, "it is drained")
    assert "2 sessions hold a booking there and may go on" in answer.body["message"]
    assert rest.queue.woken == 1

    answer = await rest("PATCH", "nodes/gpu-1", {"drained": False})
    assert (answer.body["schedulable"], answer.body["drained"]) == (True, False)
    assert audited(site) == 2


async def test_a_node_moves_to_a_group_and_takes_its_hours(site: Site, rest: RestClient) -> None:
    await rest("POST", "resource-groups", {"name": "night", "hours": NIGHT})
    answer = await rest("PATCH", "nodes/gpu-1", {"resource_group": "night", "labels": {"a/b": ""}})
    assert (answer.body["resource_group"], answer.body["labels"]) == ("night", {"a/b": ""})
    groups = {group["name"]: group for group in (await groups_of(rest))}
    assert groups["night"]["nodes"] == ["gpu-1"]
    assert answer.body["schedulable"] == groups["night"]["open"]


async def groups_of(rest: RestClient) -> list[dict[str, Any]]:
    answer = await rest("GET", "resource-groups")
    assert answer.status == 200
    return list(answer.body["resource_groups"])


async def test_groups_are_made_changed_and_removed(site: Site, rest: RestClient) -> None:
    made = await rest("POST", "resource-groups", {"name": "night", "title": "By night"})
    assert (made.status, made.body["hours"], made.body["open"]) == (201, None, True)
    assert (await rest("POST", "resource-groups", {"name": "night"})).status == 409
    changed = await rest("PATCH", "resource-groups/night", {"hours": NIGHT})
    assert (changed.status, changed.body["hours"], changed.body["title"]) == (
        200,
        NIGHT,
        "By night",
    )
    assert rest.queue.woken == 1
    assert (await rest("DELETE", "resource-groups/night")).status == 200
    assert (await rest("DELETE", "resource-groups/night")).status == 404
    assert (await rest("DELETE", "resource-groups/default")).status == 409
    assert [group["name"] for group in await groups_of(rest)] == ["default"]
    assert audited(site) == 3


async def test_a_group_with_a_node_stays(rest: RestClient) -> None:
    await rest("POST", "resource-groups", {"name": "night"})
    await rest("PATCH", "nodes/gpu-1", {"resource_group": "night"})
    answer = await rest("DELETE", "resource-groups/night")
    assert answer.status == 409
    assert "still has nodes (1)" in answer.body["error"]["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"drained": "yes"}, "drained"),
        ({"drained": None}, "drained"),
        ({"drained": True, "resource_group": "nowhere"}, "resource_group"),
        ({"resource_group": "a\x00b"}, "resource_group"),
        ({"labels": {"-x": "1"}}, "labels"),
        ({"labels": {"x" * 64: "1"}}, "labels"),
        ({"labels": {"": "1"}}, "labels"),
        ({"labels": {"x": "two words"}}, "labels"),
        ({"labels": {f"l{n}": "" for n in range(65)}}, "labels"),
        ({"labels": {"x": 1}}, "labels.x"),
        ({"drain": True}, "drain"),
        ([], "body"),
    ],
)
async def test_bad_input_for_a_node_names_the_field_and_changes_nothing(
    site: Site, rest: RestClient, body: Any, field: str
) -> None:
    before = stored(site)
    answer = await rest("PATCH", "nodes/gpu-1", body)
    assert (answer.status, answer.field) == (400, field)
    assert stored(site) == before
    assert audited(site) == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": "x"}, "name"),
        ({"name": "Night"}, "name"),
        ({"name": "n" * 64}, "name"),
        ({"name": "night", "title": "a\x00"}, "title"),
        ({"name": "night", "hours": []}, "hours"),
        ({"name": "night", "hours": [{"from": "8", "until": "9"}]}, "hours.0.from"),
    ],
)
async def test_bad_input_for_a_group_names_the_field_and_makes_none(
    rest: RestClient, body: Any, field: str
) -> None:
    answer = await rest("POST", "resource-groups", body)
    assert (answer.status, answer.field) == (400, field)
    assert [group["name"] for group in await groups_of(rest)] == ["default"]


async def test_64_labels_and_keys_of_63_characters_are_fine(rest: RestClient) -> None:
    labels = {f"label-{n}".ljust(63, "x"): "v" * 63 for n in range(64)}
    assert (await rest("PATCH", "nodes/gpu-1", {"labels": labels})).body["labels"] == labels


async def test_nobody_but_an_admin_may(site: Site, rest: RestClient) -> None:
    requests = [
        ("GET", "nodes", None),
        ("PATCH", "nodes/gpu-1", {"drained": True}),
        ("PATCH", "nodes/nowhere", {"drained": True}),
        ("GET", "resource-groups", None),
        ("POST", "resource-groups", {"name": "night"}),
        ("PATCH", "resource-groups/default", {"title": "Mine"}),
        ("DELETE", "resource-groups/nowhere", None),
    ]
    for method, path, body in requests:
        assert (await rest(method, path, body, by="ann")).status == 403, path
    assert (await rest("GET", "nodes", by="nobody")).status == 401
    assert stored(site) == (False, "default", {})
    assert audited(site) == 0


@pytest.mark.parametrize("name", ["nowhere", "gpu%00", "%F0%9F%92%A3"])
async def test_a_node_that_is_not_there_is_not_found(rest: RestClient, name: str) -> None:
    assert (await rest("PATCH", f"nodes/{name}", {"drained": True})).status == 404
    assert rest.queue.woken == 0

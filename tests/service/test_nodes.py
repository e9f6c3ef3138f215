"""Nodes keep what an admin set for them; several simulated ones share a machine; groups close."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from hub_ext.db.models import AuditRow, DeviceRow, NodeRow, ProjectRow, ResourceGroupRow, SessionRow
from hub_ext.errors import BadValue, Conflict, NotFound
from hub_ext.gpu.simulated import simulated_nodes
from hub_ext.hours import DAYS
from hub_ext.nodes import inventory
from hub_ext.nodes.administration import NodeChange, change_node
from hub_ext.nodes.groups import (
    GroupChange,
    NewGroup,
    add_group,
    change_group,
    closed_groups,
    delete_group,
    why_unavailable,
)
from hub_ext.sessions.snapshot import SnapshotView, read_snapshot
from hub_ext.site import Site

from .booked_rows import book
from .conftest import SilentEngine

NIGHT = [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "20:00", "until": "06:00"}]
MONDAY_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
MONDAY_NIGHT = datetime(2026, 11, 23, 22, tzinfo=UTC).timestamp()


def nodes(site: Site) -> dict[str, NodeRow]:
    with site.database.transaction() as db:
        return {row.name: row for row in db.scalars(select(NodeRow))}


def devices(site: Site, node: str) -> dict[int, DeviceRow]:
    with site.database.transaction() as db:
        rows = db.scalars(select(DeviceRow).where(DeviceRow.node == node))
        return {row.device: row for row in rows}


def audit(site: Site) -> list[tuple[str, str, str, Any, Any]]:
    with site.database.transaction() as db:
        rows = db.scalars(select(AuditRow).order_by(AuditRow.id))
        return [(row.by, row.action, row.subject, row.before, row.after) for row in rows]


def change(site: Site, name: str, **values: Any) -> None:
    with site.database.transaction() as db:
        change_node(db, name, NodeChange(**values), "root")


def group(site: Site, name: str, **values: Any) -> None:
    with site.database.transaction() as db:
        add_group(db, NewGroup(name=name, **values), "root")


async def test_a_node_keeps_what_an_admin_set_when_it_is_looked_at_again(site: Site) -> None:
    await inventory.refresh(site)
    group(site, "night")
    change(site, "gpu-1", drained=True, resource_group="night", labels={"rack": "b2"})
    await inventory.refresh(site)
    site.engine = SilentEngine()
    await inventory.refresh(site)

    node = nodes(site)["gpu-1"]
    assert (node.drained, node.resource_group, node.labels) == (True, "night", {"rack": "b2"})


async def test_only_what_is_given_changes_and_is_written_down(site: Site) -> None:
    await inventory.refresh(site)
    change(site, "gpu-1", labels={"rack": "b2"})
    change(site, "gpu-1", drained=True)
    change(site, "gpu-1", drained=True)
    change(site, "gpu-1", drained=False)

    assert nodes(site)["gpu-1"].labels == {"rack": "b2"}
    assert audit(site) == [
        ("root", "node.change", "gpu-1", {"labels": {}}, {"labels": {"rack": "b2"}}),
        ("root", "node.drain", "gpu-1", {"drained": False}, {"drained": True}),
        ("root", "node.resume", "gpu-1", {"drained": True}, {"drained": False}),
    ]


async def test_an_unknown_group_or_node_changes_nothing(site: Site) -> None:
    await inventory.refresh(site)
    with pytest.raises(BadValue, match="no resource group 'nigth'; there are: default") as refusal:
        change(site, "gpu-1", drained=True, resource_group="nigth")
    assert refusal.value.field == "resource_group"
    for name in ("gpu-2", "gpu\x00"):
        with pytest.raises(NotFound):
            change(site, name, drained=True)
    assert not nodes(site)["gpu-1"].drained
    assert audit(site) == []


async def test_simulated_nodes_share_the_machine_equally(site: Site) -> None:
    await inventory.refresh(site)
    whole = nodes(site)["gpu-1"]
    site.nodes = simulated_nodes("8x16GiB / 2x24GiB", "lab")
    await inventory.refresh(site)

    found = nodes(site)
    assert sorted(found) == ["lab-1", "lab-2"]
    for node in found.values():
        assert (node.cpu_milli, node.memory_mib) == (whole.cpu_milli // 2, whole.memory_mib // 2)
    assert [len(devices(site, name)) for name in ("lab-1", "lab-2")] == [8, 2]
    uuids = {row.uuid for name in found for row in devices(site, name).values()}
    assert len(uuids) == 10


async def test_a_node_that_has_left_is_forgotten_once_nothing_is_booked_on_it(site: Site) -> None:
    site.nodes = simulated_nodes("1x16GiB / 1x16GiB / 1x16GiB", "lab")
    await inventory.refresh(site)
    with site.database.transaction() as db:
        key = book(db, "lab-2", {0: 500}).id
    site.nodes = simulated_nodes("1x16GiB", "lab")
    await inventory.refresh(site)

    assert sorted(nodes(site)) == ["lab", "lab-2"]
    assert nodes(site)["lab-2"].problem == "it is no longer part of this site"
    assert devices(site, "lab-2")[0].uuid

    with site.database.transaction() as db:
        row = db.get(SessionRow, key)
        assert row is not None
        row.status, row.ended_at = "TERMINATED", 1.0
        for part in row.slices:
            db.delete(part)
    await inventory.refresh(site)
    assert sorted(nodes(site)) == ["lab"]


async def test_a_simulated_device_that_has_left_stays_while_it_is_booked(site: Site) -> None:
    await inventory.refresh(site)
    with site.database.transaction() as db:
        key = book(db, "gpu-1", {1: 1000}).id
    site.nodes = simulated_nodes("1x8GiB", "gpu-1")
    await inventory.refresh(site)
    assert "no longer listed" in devices(site, "gpu-1")[1].problem

    with site.database.transaction() as db:
        row = db.get(SessionRow, key)
        assert row is not None
        db.delete(row.slices[0])
    await inventory.refresh(site)
    assert list(devices(site, "gpu-1")) == [0]


async def test_an_engine_that_is_away_marks_all_its_nodes(site: Site) -> None:
    site.nodes = simulated_nodes("1x16GiB / 1x16GiB", "lab")
    await inventory.refresh(site)
    site.engine = SilentEngine()
    await inventory.refresh(site)
    assert ["does not answer" in node.problem for node in nodes(site).values()] == [True, True]


def test_a_group_is_closed_outside_its_hours(site: Site) -> None:
    group(site, "night", hours=NIGHT)
    group(site, "always")
    sentence = "resource group night is open Mon-Fri 20:00-06:00"
    with site.database.transaction() as db:
        assert closed_groups(db, MONDAY_NOON, UTC) == {"night": sentence}
        assert closed_groups(db, MONDAY_NIGHT, UTC) == {}


async def test_a_node_says_first_what_an_admin_did_then_what_is_broken(site: Site) -> None:
    closed = {"night": "resource group night is open daily 20:00-06:00"}
    node = NodeRow(name="n", drained=True, problem="Docker does not answer", resource_group="night")
    assert why_unavailable(node, closed) == "it is drained"
    node.drained = False
    assert why_unavailable(node, closed) == "Docker does not answer"
    node.problem = ""
    assert why_unavailable(node, closed) == closed["night"]
    assert why_unavailable(node, {}) == ""


async def test_the_scheduler_is_told_what_an_admin_set(site: Site) -> None:
    site.nodes = simulated_nodes("1x8GiB / 1x8GiB / 1x8GiB", "lab")
    await inventory.refresh(site)
    group(site, "never", hours=[{"days": [_other_day()], "from": "12:00", "until": "12:01"}])
    change(site, "lab-1", drained=True)
    change(site, "lab-2", resource_group="never")
    change(site, "lab-3", labels={"rack": "b2"})
    with site.database.transaction() as db:
        seen = {node.name: node for node in read_snapshot(db, SnapshotView(site.policy)).nodes}

    assert [node.schedulable for node in seen.values()] == [False, False, True]
    assert seen["lab-1"].problem == "it is drained"
    assert seen["lab-2"].problem.startswith("resource group never is open ")
    assert (seen["lab-2"].resource_group, seen["lab-3"].labels) == ("never", {"rack": "b2"})


def _other_day() -> str:
    """A day of the week that it is nowhere while the test runs."""
    return DAYS[(datetime.now(UTC).weekday() + 3) % 7]


def test_hours_are_changed_title_is_not(site: Site) -> None:
    group(site, "night", title="By night", hours=NIGHT)
    with site.database.transaction() as db:
        change_group(db, "night", GroupChange(hours=None), "root")
    with site.database.transaction() as db:
        row = db.get(ResourceGroupRow, "night")
        assert row is not None
        assert (row.title, row.hours) == ("By night", None)
    assert audit(site)[-1] == (
        "root",
        "resource-group.change",
        "night",
        {"hours": NIGHT},
        {"hours": None},
    )


def test_hours_that_are_none_are_refused_by_their_field(site: Site) -> None:
    with pytest.raises(BadValue) as refusal:
        group(site, "night", hours=[{"from": "25:00", "until": "06:00"}])
    assert refusal.value.field == "hours.0.from"
    with site.database.transaction() as db:
        assert db.get(ResourceGroupRow, "night") is None


def in_use_by_a_node(site: Site) -> None:
    change(site, "gpu-1", resource_group="night")


def in_use_by_a_project(site: Site) -> None:
    with site.database.transaction() as db:
        row = db.get(ProjectRow, "default")
        assert row is not None
        row.resource_groups = ["night"]


@pytest.mark.parametrize(
    ("use", "words"),
    [(in_use_by_a_node, r"still has nodes \(1\)"), (in_use_by_a_project, "may use: default")],
)
async def test_a_group_that_is_named_cannot_be_removed(
    site: Site, use: Callable[[Site], None], words: str
) -> None:
    await inventory.refresh(site)
    group(site, "night")
    use(site)
    with pytest.raises(Conflict, match=words), site.database.transaction() as db:
        delete_group(db, "night", "root")
    with site.database.transaction() as db:
        assert db.get(ResourceGroupRow, "night") is not None


def test_a_group_that_nothing_names_goes_and_the_default_stays(site: Site) -> None:
    group(site, "night")
    with pytest.raises(Conflict, match="already"):
        group(site, "night")
    with site.database.transaction() as db:
        delete_group(db, "night", "root")
    with site.database.transaction() as db, pytest.raises(NotFound):
        delete_group(db, "night", "root")
    with site.database.transaction() as db, pytest.raises(Conflict, match="stays"):
        delete_group(db, "default", "root")

"""Devices that fall sick, vanish, are full of others' work, and come back."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from hub_ext.db.models import DeviceEventRow, DeviceRow, NodeRow, SessionRow
from hub_ext.gpu.devices import GpuProcess
from hub_ext.nodes import inventory
from hub_ext.nodes.device_rows import DeviceWatch
from hub_ext.nodes.docker_engine import runtime_problem
from hub_ext.nodes.engine import Machine
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.site import Site
from tests.service.booked_rows import book
from tests.service.conftest import RoomyEngine
from tests.service.real_gpus import GIB, Gpus, real

NODE = "gpu-1"


@pytest.fixture
async def gpus(site: Site) -> Gpus:
    """Two healthy devices, seen once."""
    made = Gpus(real(0), real(1))
    site.nodes = {NODE: made}
    await inventory.refresh(site)
    return made


def events(site: Site) -> list[tuple[str, int | None]]:
    with site.database.transaction() as db:
        rows = db.scalars(select(DeviceEventRow).order_by(DeviceEventRow.id))
        return [(row.code, row.device) for row in rows]


def alerts(site: Site, session_id: str) -> list[dict[str, Any]]:
    with site.database.transaction() as db:
        row = db.get(SessionRow, session_id)
        assert row is not None
        return row.alerts


def booked(site: Site, device: int) -> str:
    with site.database.transaction() as db:
        return book(db, NODE, {device: 500}, enforcer="mps", user=f"user{device}").id


async def why_it_waits(site: Site, fgpu: float) -> str:
    """Of a new request, after a scheduling pass."""
    request = read_launch_request({"image": "apportion/base:test", "fgpu": fgpu, "name": "new"})
    (row,) = Submissions(site).submit(Submitter("new", frozenset(), False), request)
    Queue(site).pass_once()
    return site.store.get(row.id).reason_message


async def test_real_devices_are_listed_with_their_driver(site: Site, gpus: Gpus) -> None:
    with site.database.transaction() as db:
        node = db.get(NodeRow, NODE)
        assert node is not None
        assert (node.driver, node.gpu_problem) == ("550.54.15", "")
        assert [row.problem for row in node.devices] == ["", ""]
    assert events(site) == []


@pytest.mark.parametrize("problem", ["The GPU is lost.", "It reported XID 79.", "It is too hot."])
async def test_a_sick_device_takes_no_session_and_those_it_has_are_told(
    site: Site, gpus: Gpus, problem: str
) -> None:
    here, elsewhere = booked(site, 0), booked(site, 1)
    gpus.change(0, problem=problem)
    await DeviceWatch(site).look()
    assert [each["code"] for each in alerts(site, here)] == ["device"]
    assert problem in alerts(site, here)[0]["message"]
    assert alerts(site, elsewhere) == []
    assert events(site) == [("sick", 0)]
    reason = await why_it_waits(site, 1)
    assert f"Out of order: GPU 0 of {NODE} ({problem.rstrip('.')})." in reason

    gpus.change(0, problem="")
    await DeviceWatch(site).look()
    assert alerts(site, here) == []
    assert events(site) == [("sick", 0), ("back", 0)]
    assert [each.code for each in site.store.history(here)] == ["device", "alert_cleared"]


async def test_a_device_that_is_sick_for_long_is_told_of_once(site: Site, gpus: Gpus) -> None:
    here = booked(site, 0)
    gpus.change(0, problem="It is too hot: 96 °C.")
    watch = DeviceWatch(site)
    for _ in range(3):
        await watch.look()
    assert len(site.store.history(here)) == len(events(site)) == 1


async def test_a_vanished_device_stays_listed_and_keeps_its_number_when_it_is_back(
    site: Site, gpus: Gpus
) -> None:
    here = booked(site, 0)
    first = gpus.present.pop(0)
    await inventory.refresh(site)
    assert [each["code"] for each in alerts(site, here)] == ["device"]
    assert events(site) == [("lost", 0)]
    gpus.present.append(first)
    await inventory.refresh(site)
    with site.database.transaction() as db:
        row = db.get(DeviceRow, (NODE, 0))
        assert row is not None
        assert (row.uuid, row.problem) == (first.uuid, "")
    assert events(site)[-1] == ("back", 0)


async def test_a_lost_mig_instance_is_told_of_and_forgotten_when_nobody_holds_it(
    site: Site, gpus: Gpus
) -> None:
    parts = [
        real(0, mig_profile="3g.20gb", capacity_milli=428, parent_uuid="GPU-parent"),
        real(1, mig_profile="1g.5gb", capacity_milli=142, parent_uuid="GPU-parent"),
    ]
    gpus.present = list(parts)
    await inventory.refresh(site)
    here = booked(site, 0)
    gpus.present = []
    await inventory.refresh(site)
    assert [each["code"] for each in alerts(site, here)] == ["device"]
    with site.database.transaction() as db:
        assert [row.mig_profile for row in db.scalars(select(DeviceRow))] == ["3g.20gb"]


async def test_a_gpu_that_is_split_becomes_its_instances(site: Site, gpus: Gpus) -> None:
    whole = gpus.present.pop(0)
    for number in (2, 3):
        values = {"mig_profile": "1g.5gb", "capacity_milli": 142, "parent_uuid": whole.uuid}
        gpus.present.append(real(number, **values))
    await inventory.refresh(site)
    with site.database.transaction() as db:
        rows = db.scalars(select(DeviceRow).order_by(DeviceRow.device)).all()
    assert [row.mig_profile for row in rows] == ["", "1g.5gb", "1g.5gb"]
    assert whole.uuid not in {row.uuid for row in rows}


async def test_a_device_full_of_work_from_outside_takes_no_session(site: Site, gpus: Gpus) -> None:
    here = booked(site, 1)
    gpus.running = [
        GpuProcess(gpus.present[1].uuid, os.getpid(), 9 * GIB, 80),
        GpuProcess(gpus.present[0].uuid, os.getpid(), 300, 0),
    ]
    await DeviceWatch(site).look()
    assert events(site) == [("foreign", 1)]
    assert (
        "Programs outside of all sessions hold 9.0 GiB of its memory."
        in (alerts(site, here)[0]["message"])
    )
    assert "outside of all sessions" in await why_it_waits(site, 2)
    gpus.running = []
    await DeviceWatch(site).look()
    assert events(site)[-1] == ("back", 1)


class NoRuntime(RoomyEngine):
    async def machine(self) -> Machine:
        return Machine(64_000, 256 * 1024, runtime_problem({"Runtimes": {"runc": {}}}))


async def test_a_docker_without_nvidias_runtime_is_found_out_before_a_grant(
    site: Site, gpus: Gpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # where the tests' engine has a hook
    site.engine = NoRuntime()
    await inventory.refresh(site)
    assert events(site) == [("runtime", None)]
    reason = await why_it_waits(site, 1)
    assert f"Node {NODE}: Docker has no NVIDIA runtime; see https://" in reason
    request = read_launch_request({"image": "apportion/base:test", "fgpu": 0, "name": "cpu"})
    (row,) = Submissions(site).submit(Submitter("cpu", frozenset(), False), request)
    Queue(site).pass_once()
    assert site.store.get(row.id).status == "SCHEDULED"
    site.engine = RoomyEngine()
    await inventory.refresh(site)
    assert events(site)[-1] == ("back", None)


def test_which_docker_hands_gpus_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert runtime_problem({"Runtimes": {"runc": {}, "nvidia": {}}}) == ""
    assert "no NVIDIA runtime" in runtime_problem({"Runtimes": None})


async def test_the_oldest_events_go(site: Site, gpus: Gpus, monkeypatch: Any) -> None:
    monkeypatch.setattr("hub_ext.nodes.device_rows._KEPT_EVENTS", 3)
    for number in range(6):
        gpus.change(0, problem="sick" if number % 2 == 0 else "")
        await inventory.refresh(site)
    assert len(events(site)) == 3


async def test_a_look_that_fails_is_not_the_last(
    site: Site, gpus: Gpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.policy = replace(site.policy, device_check_s=0.01)
    watch, looked_again, looks = DeviceWatch(site), asyncio.Event(), 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("the database is locked")
        looked_again.set()

    monkeypatch.setattr(watch, "look", look)
    running = asyncio.create_task(watch.run())
    try:
        await asyncio.wait_for(looked_again.wait(), 10)
    finally:
        running.cancel()


async def test_others_work_that_cannot_be_seen_now_is_taken_to_be_there(
    site: Site, gpus: Gpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.running = [GpuProcess(gpus.present[1].uuid, os.getpid(), 9 * GIB, 80)]
    await DeviceWatch(site).look()
    monkeypatch.setattr(Gpus, "processes", lambda self, **_: None)
    await DeviceWatch(site).look()
    assert events(site) == [("foreign", 1)]


async def test_a_heat_that_goes_on_rising_is_told_once_and_its_loss_again(
    site: Site, gpus: Gpus
) -> None:
    here = booked(site, 0)
    for celsius in (95, 96, 97):
        gpus.change(0, problem=f"It is too hot: {celsius} °C; it slows down at 95 °C.")
        await DeviceWatch(site).look()
    assert len(site.store.history(here)) == 1
    gpus.present.pop(0)
    await DeviceWatch(site).look()
    assert events(site) == [("sick", 0), ("lost", 0)]
    assert "gone" in alerts(site, here)[0]["message"]

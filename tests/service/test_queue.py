"""The live loop against a real database: grants, reasons, restarts."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from hub_ext.db.models import DeviceRow, NodeRow, SessionRow
from hub_ext.gpu.devices import GpuDevice
from hub_ext.hub_client import HubClient, HubRefused, HubServer, HubUnavailable
from hub_ext.nodes import inventory
from hub_ext.nodes.engine import EngineRefused, SessionContainer
from hub_ext.sessions.culler import Culler
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.reconcile import Reconciler
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.site import Site
from tests.service.conftest import RecordingHub, RoomyEngine, SilentEngine


def submit(site: Site, **values: Any) -> list[str]:
    request = read_launch_request({"cpu": 0.5, "memory_mib": 512, **values})
    return [row.id for row in Submissions(site).submit(Submitter("ann"), request)]


def status(site: Site, session_id: str) -> str:
    return site.store.get(session_id).status


@pytest.fixture
async def queue(site: Site) -> Queue:
    await inventory.refresh(site)
    return Queue(site)


def hub_of(site: Site) -> RecordingHub:
    assert isinstance(site.hub, RecordingHub)
    return site.hub


def run_up_to(site: Site, session_id: str, goal: Status) -> None:
    for step in (Status.PREPARING, Status.STARTING, Status.RUNNING):
        site.store.transition(session_id, step, Why(), by="spawner")
        if step is goal:
            return


def long_ago(site: Site, session_id: str) -> None:
    """As if the last change had been an hour ago."""
    with site.database.transaction() as db:
        row = db.get(SessionRow, session_id)
        assert row is not None
        row.changed_at = time.time() - 3600


def warned_until(site: Site, session_id: str, at: float) -> None:
    """As if the warning's time had come."""
    with site.database.transaction() as db:
        row = db.get(SessionRow, session_id)
        assert row is not None
        assert row.stops_at is not None
        row.stops_at = at


async def test_the_third_session_waits_with_place_reason_and_estimate(
    site: Site, queue: Queue
) -> None:
    first, second, third = submit(site, fgpu=1, count=3)
    queue.pass_once()
    assert [status(site, key) for key in (first, second)] == ["SCHEDULED", "SCHEDULED"]
    row = site.store.get(third)
    assert (row.status, row.position) == ("PENDING", 1)
    assert "1.0 fGPU" in row.reason_message
    assert row.expected_at is not None
    assert row.expected_at > time.time()


async def test_slices_are_integers_of_one_device_each(site: Site, queue: Queue) -> None:
    keys = submit(site, fgpu=0.6, count=3)
    queue.pass_once()
    held = [[(part.device, part.milli) for part in site.store.get(key).slices] for key in keys]
    assert sorted(held[:2]) == [[(0, 600)], [(1, 600)]]
    assert held[2] == []
    assert "0.4 fGPU" in site.store.get(keys[2]).reason_message
    assert site.store.get(keys[0]).gpu_memory_mib == 4915


async def test_a_freed_slice_goes_to_the_next_in_line(site: Site, queue: Queue) -> None:
    first, _second, third = submit(site, fgpu=1, count=3)
    queue.pass_once()
    site.store.transition(first, Status.CANCELLED, Why(), by="ann")
    queue.pass_once()
    assert status(site, third) == "SCHEDULED"


async def test_a_new_queue_on_the_same_database_finds_everybody(site: Site, queue: Queue) -> None:
    keys = submit(site, fgpu=1, count=3)
    queue.pass_once()
    before = [site.store.get(key).status for key in keys]
    Queue(site).pass_once()
    assert [site.store.get(key).status for key in keys] == before


async def test_a_vanished_engine_pauses_grants_and_says_so(site: Site, queue: Queue) -> None:
    site.engine = SilentEngine()
    await inventory.refresh(site)
    (key,) = submit(site, fgpu=1)
    queue.pass_once()
    row = site.store.get(key)
    assert row.status == "PENDING"
    assert "Docker does not answer" in row.reason_message


async def test_whoever_waits_too_long_expires(site: Site, queue: Queue) -> None:
    object.__setattr__(site.policy, "pending_timeout_s", 0.001)
    keys = submit(site, fgpu=1, count=3)
    site.store.transition(keys[0], Status.CANCELLED, Why(), by="ann")
    queue.pass_once()
    assert {status(site, key) for key in keys[1:]} == {"EXPIRED"}
    assert "Waited longer" in site.store.get(keys[1]).reason_message


async def test_a_grant_without_a_waiting_spawner_is_started_through_the_hub(
    site: Site, queue: Queue
) -> None:
    (key,) = submit(site, name="solo")
    queue.pass_once()
    launcher = Launcher(site)
    launcher._start_granted()
    await asyncio.gather(*launcher._tasks)
    assert hub_of(site).asked == [("start", "ann", "solo")]
    launcher._start_granted()
    assert len(hub_of(site).asked) == 1, "not asked again at once"
    assert status(site, key) == "SCHEDULED"


async def test_a_spawner_that_has_the_grant_is_left_alone(site: Site, queue: Queue) -> None:
    (key,) = submit(site, name="solo")
    queue.pass_once()
    launcher = Launcher(site)
    launcher.handed_over(key)
    launcher._start_granted()
    await asyncio.gather(*launcher._tasks)
    assert hub_of(site).asked == []


class RefusingHub(RecordingHub):
    """Knows the user no more."""

    async def start_server(self, *arguments: Any) -> None:
        raise HubRefused(404, "No such user: ann")


class SilentHub(RecordingHub):
    """Is being restarted."""

    async def start_server(self, *arguments: Any) -> None:
        raise HubUnavailable("connection refused")

    async def active_servers(self) -> dict[tuple[str, str], HubServer]:
        raise HubUnavailable("connection refused")


async def test_a_start_that_the_hub_refuses_ends_with_its_words(site: Site, queue: Queue) -> None:
    site.hub = RefusingHub()  # type: ignore[assignment]
    (key,) = submit(site, name="solo")
    queue.pass_once()
    launcher = Launcher(site)
    launcher._start_granted()
    await asyncio.gather(*launcher._tasks)
    row = site.store.get(key)
    assert row.status == "ERROR"
    assert "No such user: ann" in row.reason_message
    assert row.slices == []


async def test_a_silent_hub_is_no_reason_to_give_up(site: Site, queue: Queue) -> None:
    site.hub = SilentHub()  # type: ignore[assignment]
    (key,) = submit(site, name="solo")
    queue.pass_once()
    launcher = Launcher(site)
    for _ in range(10):
        launcher._start_granted()
        await asyncio.gather(*launcher._tasks)
    assert status(site, key) == "SCHEDULED"


async def test_a_running_session_without_container_is_closed_and_freed(
    site: Site, queue: Queue
) -> None:
    (key,) = submit(site, fgpu=1)
    queue.pass_once()
    run_up_to(site, key, Status.RUNNING)
    long_ago(site, key)
    await Reconciler(site, Launcher(site)).once()
    row = site.store.get(key)
    assert (row.status, row.slices) == ("TERMINATED", [])
    assert "ended by itself" in row.reason_message


@pytest.mark.parametrize("silent", ["engine", "hub"])
async def test_nothing_is_concluded_from_silence(site: Site, queue: Queue, silent: str) -> None:
    (key,) = submit(site, fgpu=1)
    queue.pass_once()
    run_up_to(site, key, Status.RUNNING)
    long_ago(site, key)
    if silent == "engine":
        site.engine = SilentEngine()
    else:
        site.hub = SilentHub()  # type: ignore[assignment]
    await Reconciler(site, Launcher(site)).once()
    row = site.store.get(key)
    assert row.status == "RUNNING"
    assert [part.milli for part in row.slices] == [1000]


async def test_a_start_that_a_crash_interrupted_is_started_again(site: Site, queue: Queue) -> None:
    (key,) = submit(site, fgpu=1)
    queue.pass_once()
    run_up_to(site, key, Status.STARTING)
    await Reconciler(site, Launcher(site)).once()
    assert status(site, key) == "STARTING", "it may still be under way"
    long_ago(site, key)
    await Reconciler(site, Launcher(site)).once()
    row = site.store.get(key)
    assert row.status == "SCHEDULED"
    assert [part.milli for part in row.slices] == [1000], "it keeps its slice"


async def test_a_start_that_crashes_every_time_ends_in_an_error(site: Site, queue: Queue) -> None:
    (key,) = submit(site, fgpu=1)
    queue.pass_once()
    for _ in range(3):
        run_up_to(site, key, Status.STARTING)
        long_ago(site, key)
        await Reconciler(site, Launcher(site)).once()
    row = site.store.get(key)
    assert (row.status, row.slices) == ("ERROR", [])


async def test_a_container_without_live_session_is_removed_after_a_grace(
    site: Site, queue: Queue
) -> None:
    engine: Any = site.engine
    (key,) = submit(site)
    queue.pass_once()
    site.store.transition(key, Status.CANCELLED, Why(), by="ann")
    now = time.time()
    engine.present = [
        SessionContainer(key, "old", True, now - 600),
        SessionContainer("f" * 32, "unknown", True, now - 600),
        SessionContainer("e" * 32, "young", True, now),
    ]
    reconciler = Reconciler(site, Launcher(site))
    await reconciler.once()
    assert engine.removed == [], "it may belong to a session that is just being stored"
    reconciler.orphan_grace_s = 0
    await reconciler.once()
    assert sorted(engine.removed) == ["old", "unknown", "young"]


async def test_an_empty_database_is_no_reason_to_remove_everybodys_container(site: Site) -> None:
    engine: Any = site.engine
    engine.present = [SessionContainer("f" * 32, "precious", True, time.time() - 600)]
    reconciler = Reconciler(site, Launcher(site))
    reconciler.orphan_grace_s = 0
    for _ in range(2):
        await reconciler.once()
    assert engine.removed == []


async def test_a_session_that_came_up_during_the_look_is_left_alone(
    site: Site, queue: Queue
) -> None:
    (key,) = submit(site, fgpu=1)
    queue.pass_once()
    run_up_to(site, key, Status.STARTING)
    long_ago(site, key)

    class SlowHub(RecordingHub):
        async def active_servers(self) -> dict[tuple[str, str], HubServer]:
            site.store.transition(key, Status.RUNNING, Why(), by="spawner")
            return {}

    site.hub = SlowHub()  # type: ignore[assignment]
    await Reconciler(site, Launcher(site)).once()
    row = site.store.get(key)
    assert row.status == "RUNNING"
    assert [part.milli for part in row.slices] == [1000]


async def test_one_refusing_user_does_not_stop_the_others_from_being_settled(
    site: Site, queue: Queue
) -> None:
    class HubWithoutUsers(RecordingHub):
        async def stop_server(self, user: str, server_name: str) -> bool:
            raise HubRefused(404, "No such user")

    site.hub = HubWithoutUsers()  # type: ignore[assignment]
    keys = submit(site, name="lost", count=2, fgpu=1)
    queue.pass_once()
    for key in keys:
        run_up_to(site, key, Status.RUNNING)
        long_ago(site, key)
    await Reconciler(site, Launcher(site)).once()
    assert {status(site, key) for key in keys} == {"TERMINATED"}


async def test_a_container_that_cannot_be_removed_blocks_only_its_own_session(
    site: Site, queue: Queue
) -> None:
    class StuckEngine(RoomyEngine):
        async def remove(self, container_id: str) -> None:
            if container_id == "stuck":
                raise EngineRefused("Docker says: device or resource busy")
            await super().remove(container_id)

    stuck, free = submit(site, name="pair", count=2, fgpu=1)
    queue.pass_once()
    for key in (stuck, free):
        run_up_to(site, key, Status.RUNNING)
        site.store.transition(key, Status.TERMINATING, Why(), by="ann")
        long_ago(site, key)
    engine = StuckEngine()
    now = time.time()
    engine.present = [
        SessionContainer(stuck, "stuck", True, now),
        SessionContainer(free, "free", True, now),
    ]
    site.engine = engine
    await Reconciler(site, Launcher(site)).once()
    assert status(site, free) == "TERMINATED"
    row = site.store.get(stuck)
    assert row.status == "TERMINATING"
    assert [part.milli for part in row.slices] == [1000], "its slice is not free yet"


async def test_a_start_that_never_begins_ends_and_frees_its_slice(site: Site, queue: Queue) -> None:
    (key,) = submit(site, name="solo", fgpu=1)
    queue.pass_once()
    launcher = Launcher(site)
    for _ in range(5):
        launcher._asked.clear()
        launcher._start_granted()
        await asyncio.gather(*launcher._tasks)
    row = site.store.get(key)
    assert (row.status, row.slices) == ("ERROR", [])
    assert "never began" in row.reason_message


async def test_a_hub_that_is_stopping_a_server_is_given_time(site: Site, queue: Queue) -> None:
    engine: Any = site.engine
    (key,) = submit(site, name="slow", fgpu=1)
    queue.pass_once()
    run_up_to(site, key, Status.RUNNING)
    engine.present = [SessionContainer(key, "c1", True, time.time())]
    site.store.transition(key, Status.TERMINATING, Why(), by="ann")
    with site.database.transaction() as db:
        row = db.get(SessionRow, key)
        assert row is not None
        row.changed_at = time.time() - 60
    hub_of(site).servers["ann", "slow"] = HubServer("ann", "slow", False, "stop")
    await Reconciler(site, Launcher(site)).once()
    assert engine.removed == []


async def test_a_renamed_node_takes_no_sessions_twice(site: Site, queue: Queue) -> None:
    submit(site, fgpu=1, count=2)
    queue.pass_once()
    site.nodes = {"gpu-renamed": site.nodes["gpu-1"]}
    await inventory.refresh(site)
    with site.database.transaction() as db:
        old = db.get(NodeRow, "gpu-1")
        assert old is not None
        assert "no longer part" in old.problem


async def test_a_renumbered_device_keeps_its_bookings(site: Site, queue: Queue) -> None:
    first, second = submit(site, fgpu=1, count=2)
    queue.pass_once()
    before = {key: site.store.get(key).slices[0].uuid for key in (first, second)}
    survivor = next(gpu for gpu in site.nodes["gpu-1"].devices() if gpu.uuid == before[second])

    class OneLeft:
        def devices(self) -> list[GpuDevice]:
            return [replace(survivor, index=0, simulated=False)]

    site.nodes = {"gpu-1": OneLeft()}
    with site.database.transaction() as db:
        for device in db.scalars(select(DeviceRow)):
            device.simulated = False
    await inventory.refresh(site)
    with site.database.transaction() as db:
        devices = {row.uuid: row for row in db.scalars(select(DeviceRow))}
        numbers = {row.uuid: row.device for row in devices.values()}
        assert "gone" in devices[before[first]].problem
        assert devices[before[second]].problem == ""
    assert numbers[before[second]] == site.store.get(second).slices[0].device


async def test_a_stop_that_was_lost_is_finished(site: Site, queue: Queue) -> None:
    engine: Any = site.engine
    (key,) = submit(site, fgpu=1)
    queue.pass_once()
    run_up_to(site, key, Status.RUNNING)
    engine.present = [SessionContainer(key, "c1", True, time.time())]
    site.store.transition(key, Status.TERMINATING, Why("Stopped by ann."), by="ann")
    long_ago(site, key)
    await Reconciler(site, Launcher(site)).once()
    row = site.store.get(key)
    assert engine.removed == ["c1"]
    assert (row.status, row.reason_message) == ("TERMINATED", "Stopped by ann.")


async def test_a_lifetime_that_is_over_warns_and_then_stops(site: Site, queue: Queue) -> None:
    (key,) = submit(site, lifetime_s=60)
    queue.pass_once()
    run_up_to(site, key, Status.STARTING)
    site.store.transition(key, Status.RUNNING, Why(), by="spawner", running_at=time.time() - 61)
    culler = Culler(site, Launcher(site))
    culler.once()
    row = site.store.get(key)
    assert (row.status, row.notice_code) == ("RUNNING", "lifetime")
    warned_until(site, key, time.time() - 1)
    culler.once()
    row = site.store.get(key)
    assert row.status in {"TERMINATING", "TERMINATED"}
    assert "lifetime of 60 seconds" in row.reason_message


async def test_an_unreachable_hub_is_told_from_one_that_refuses() -> None:
    with pytest.raises(HubUnavailable):
        await HubClient("http://127.0.0.1:9/hub/api", "token").active_servers()

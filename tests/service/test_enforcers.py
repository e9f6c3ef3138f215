"""When sessions may rely on an MPS daemon, what its death means, and that enforcers never mix."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub_ext.gpu import mps_daemon, mps_keeper
from hub_ext.gpu.enforcers.choice import read_device_uses
from hub_ext.gpu.mps_daemon import MpsDaemon
from hub_ext.gpu.mps_keeper import MpsKeeper
from hub_ext.nodes import inventory
from hub_ext.nodes.administration import NodeChange, change_node
from hub_ext.nodes.device_rows import list_events
from hub_ext.projects.body import read_body
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.site import Site
from tests.fakes.mps import PROGRAMS
from tests.service.booked_rows import book
from tests.service.real_gpus import Gpus, real

NODE = "gpu-1"
UUID = real(0).uuid


@pytest.fixture
async def gpus(site: Site) -> Gpus:
    made = Gpus(real(0))
    site.nodes = {NODE: made}
    await inventory.refresh(site)
    return made


@pytest.fixture
async def keeper(
    site: Site, gpus: Gpus, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MpsKeeper]:
    monkeypatch.setenv("PATH", f"{PROGRAMS}:{os.environ['PATH']}")
    yield MpsKeeper(site)
    MpsDaemon(site.mps_dir, UUID).quit()


def pid(site: Site) -> int:
    process = MpsDaemon(site.mps_dir, UUID)._read_note()
    assert process is not None
    return process.pid


def kill(site: Site) -> None:
    os.kill(pid(site), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while MpsDaemon(site.mps_dir, UUID).runs():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def shared(site: Site, enforcer: str = "mps") -> str:
    """A session that holds half of the device."""
    with site.database.transaction() as db:
        return book(db, NODE, {0: 500}, enforcer=enforcer).id


def problem(site: Site) -> str:
    """Why the device gives nothing now."""
    with site.database.transaction() as db:
        ((_, use),) = read_device_uses(db, site.policy, mps_ready=site.mps_ready).values()
    return use.problem


async def test_a_part_is_granted_only_when_the_daemon_of_its_device_serves(
    site: Site, keeper: MpsKeeper
) -> None:
    site.mps_ready = frozenset()
    request = read_launch_request({"image": "apportion/base:test", "fgpu": 0.5, "name": "new"})
    (row,) = Submissions(site).submit(Submitter("ann", frozenset(), False), request)
    Queue(site).pass_once()
    waiting = site.store.get(row.id)
    assert waiting.status == "PENDING"
    assert "Its MPS daemon does not serve yet" in waiting.reason_message
    woken: list[bool] = []
    site.changes.listen_to_nodes(lambda: woken.append(True))
    await keeper.once()
    assert woken
    Queue(site).pass_once()
    assert site.store.get(row.id).status == "SCHEDULED"


async def test_a_death_is_an_event_also_when_the_next_daemon_serves_at_once(
    site: Site, keeper: MpsKeeper
) -> None:
    await keeper.once()
    kill(site)
    await keeper.once()
    with site.database.transaction() as db:
        events = [(each.code, each.message, each.uuid) for each in list_events(db, NODE)]
    assert events == [("mps", "The MPS daemon of GPU 0 has died.", UUID)]


async def test_a_second_death_is_told_anew(site: Site, keeper: MpsKeeper) -> None:
    await keeper.once()
    session_id = shared(site)
    kill(site)
    await keeper.once()
    (first,) = site.store.get(session_id).alerts
    kill(site)
    await keeper.once()
    (second,) = site.store.get(session_id).alerts
    assert second["message"] == first["message"]
    assert second["at"] > first["at"]


async def test_what_is_over_is_told_no_longer(
    site: Site, keeper: MpsKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keeper.once()
    session_id = shared(site)
    kill(site)
    await keeper.once()
    await keeper.once()
    assert site.store.get(session_id).alerts
    monkeypatch.setattr(mps_keeper, "_TOLD_S", 0.0)
    await keeper.once()
    assert site.store.get(session_id).alerts == []


async def test_a_daemon_that_is_slow_to_answer_is_not_ended_with_all_that_run(
    site: Site, keeper: MpsKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keeper.once()
    session_id, first = shared(site), pid(site)
    monkeypatch.setattr(mps_daemon, "ANSWER_S", 0.2)
    monkeypatch.setattr(mps_keeper, "_START_S", 0.0)
    mute = site.mps_dir / UUID / "mute"
    mute.touch()
    for _ in range(2):
        await keeper.once()
        assert problem(site) == "Its MPS daemon does not serve yet."
        assert (pid(site), site.store.get(session_id).alerts) == (first, [])
    await keeper.once()
    assert pid(site) != first
    assert site.store.get(session_id).alerts
    mute.unlink()
    monkeypatch.setattr(mps_daemon, "ANSWER_S", 5.0)
    await keeper.once()
    assert problem(site) == ""


async def test_a_daemon_that_the_service_before_left_is_kept_while_it_is_needed(
    site: Site, keeper: MpsKeeper
) -> None:
    await keeper.once()
    first = pid(site)
    session_id = shared(site)
    site.policy = replace(site.policy, default_enforcer="timeslice")
    await MpsKeeper(site).once()
    assert pid(site) == first
    assert MpsDaemon(site.mps_dir, UUID).runs()
    assert site.store.get(session_id).alerts == []


async def test_a_daemon_that_the_service_before_left_and_nobody_needs_is_ended(
    site: Site, keeper: MpsKeeper
) -> None:
    await keeper.once()
    site.policy = replace(site.policy, default_enforcer="timeslice")
    await MpsKeeper(site).once()
    assert not MpsDaemon(site.mps_dir, UUID).runs()


async def test_a_device_that_is_gone_needs_no_daemon(
    site: Site, gpus: Gpus, keeper: MpsKeeper
) -> None:
    await keeper.once()
    gpus.present = []
    await inventory.refresh(site)
    await keeper.once()
    assert not MpsDaemon(site.mps_dir, UUID).runs()
    assert site.mps_problems == {}


async def test_another_choice_of_the_site_waits_for_those_held_by_the_old_one(
    site: Site, gpus: Gpus
) -> None:
    session_id = shared(site)
    site.policy = replace(site.policy, default_enforcer="timeslice")
    assert "under another enforcer" in problem(site)
    with site.database.transaction() as db:  # an admin may still drain the node
        assert change_node(db, NODE, read_body(NodeChange, {"drained": True}), "root").drained
    row = site.store.get(session_id)
    with site.database.transaction() as db:
        for part in row.slices:
            db.delete(db.merge(part))
    assert problem(site) == ""


async def test_a_library_of_hami_that_has_vanished_is_named_before_a_grant(
    site: Site, gpus: Gpus, tmp_path: Path
) -> None:
    library = tmp_path / "libvgpu.so"
    library.touch()
    site.policy = replace(site.policy, default_enforcer="hami", hami_library=library)
    assert problem(site) == ""
    library.unlink()
    assert "hami_library" in problem(site)

"""Which enforcer a node has, what a grant says of it, and the MPS daemons that are kept alive."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from hub_ext.db.models import DeviceRow, NodeRow, SessionRow, SliceRow
from hub_ext.errors import BadValue, Conflict
from hub_ext.gpu.mps_daemon import MpsDaemon
from hub_ext.gpu.mps_keeper import MpsKeeper
from hub_ext.nodes import inventory
from hub_ext.nodes.administration import NodeChange, change_node
from hub_ext.nodes.groups import GroupChange, NewGroup, add_group, change_group
from hub_ext.projects.body import read_body
from hub_ext.sessions.grant import grant_json
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.site import Site
from tests.fakes.mps import PROGRAMS
from tests.service.booked_rows import book
from tests.service.real_gpus import Gpus, real

NODE = "gpu-1"


@pytest.fixture
async def gpus(site: Site) -> Gpus:
    made = Gpus(real(0), real(1))
    site.nodes = {NODE: made}
    await inventory.refresh(site)
    return made


def choose(site: Site, **values: object) -> None:
    with site.database.transaction() as db:
        change_node(db, NODE, read_body(NodeChange, values), "root")


def granted(site: Site, fgpu: float) -> SessionRow:
    request = read_launch_request({"image": "apportion/base:test", "fgpu": fgpu, "name": "new"})
    (row,) = Submissions(site).submit(Submitter("ann", frozenset(), False), request)
    Queue(site).pass_once()
    row = site.store.get(row.id)
    row.mounts = []  # folders are another matter
    return row


async def test_a_grant_says_which_enforcer_keeps_each_slice(site: Site, gpus: Gpus) -> None:
    row = granted(site, 0.5)
    assert row.status == "SCHEDULED"
    (part,) = row.slices
    assert (part.enforcer, part.memory_mib) == ("mps", 8192)
    grant = grant_json(site, row)
    assert grant is not None
    assert grant["ipc_mode"] == "host"
    assert grant["env"]["NVIDIA_VISIBLE_DEVICES"] == part.uuid
    assert grant["env"]["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] == "0=8192M"
    assert grant["mounts"][-1] == {
        "source": str(site.data_dir / "mps" / part.uuid / "pipe"),
        "target": "/run/apportion-mps",
        "read_only": False,
    }


async def test_a_session_without_gpu_gets_void_and_nothing_of_the_enforcer(
    site: Site, gpus: Gpus
) -> None:
    grant = grant_json(site, granted(site, 0))
    assert grant is not None
    assert grant["env"]["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert grant["ipc_mode"] == "private"
    assert not [name for name in grant["env"] if name.startswith("CUDA")]


async def test_a_mig_instance_is_granted_as_such_with_all_its_memory(
    site: Site, gpus: Gpus
) -> None:
    gpus.present = [real(0, mig_profile="3g.20gb", capacity_milli=428, parent_uuid="GPU-parent")]
    await inventory.refresh(site)
    row = granted(site, 0.4)
    (part,) = row.slices
    assert (part.enforcer, part.milli, part.memory_mib) == ("mig", 400, 16384)
    assert row.gpu_memory_mib == 16384


async def test_whole_gpus_serve_no_part(site: Site, gpus: Gpus) -> None:
    choose(site, enforcer="whole")
    assert "only as a whole" in granted(site, 0.5).reason_message


async def test_a_node_goes_by_itself_then_its_group_then_the_site(site: Site, gpus: Gpus) -> None:
    with site.database.transaction() as db:
        add_group(db, read_body(NewGroup, {"name": "lab", "enforcer": "timeslice"}), "root")
    choose(site, resource_group="lab")
    assert granted(site, 0.5).slices[0].enforcer == "timeslice"


async def test_a_device_never_mixes_enforcers(site: Site, gpus: Gpus) -> None:
    with site.database.transaction() as db:
        session_id = book(db, NODE, {0: 500}, enforcer="mps").id
    with pytest.raises(Conflict, match=r"another enforcer \(1\).*Drain the node"):
        choose(site, enforcer="timeslice")
    with site.database.transaction() as db, pytest.raises(Conflict):
        change_group(db, "default", read_body(GroupChange, {"enforcer": "whole"}), "root")
    choose(site, enforcer="mps")
    with site.database.transaction() as db:
        for part in db.scalars(select(SliceRow).where(SliceRow.session_id == session_id)):
            db.delete(part)
    choose(site, enforcer="timeslice")
    with site.database.transaction() as db:
        node = db.get(NodeRow, NODE)
        assert node is not None
        assert node.enforcer == "timeslice"


@pytest.mark.parametrize("name", ["", "MPS", "nvlink", "mps "])
async def test_an_unknown_enforcer_is_refused_by_name(site: Site, gpus: Gpus, name: str) -> None:
    with pytest.raises(BadValue, match="mps, hami, mig, timeslice, whole"):
        choose(site, enforcer=name)


@pytest.fixture
async def keeper(
    site: Site, gpus: Gpus, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MpsKeeper]:
    monkeypatch.setenv("PATH", f"{PROGRAMS}:{os.environ['PATH']}")
    yield MpsKeeper(site)
    for device in gpus.present:
        MpsDaemon(site.mps_dir, device.uuid).quit()


def note(site: Site, uuid: str) -> Path:
    return site.mps_dir / uuid / "daemon.json"


def kill(site: Site, uuid: str) -> None:
    daemon = MpsDaemon(site.mps_dir, uuid)
    process = daemon._read_note()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while daemon.runs():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_each_device_under_mps_has_its_daemon(
    site: Site, gpus: Gpus, keeper: MpsKeeper
) -> None:
    await keeper.once()
    assert site.mps_problems == {}
    assert all(MpsDaemon(site.mps_dir, each.uuid).runs() for each in gpus.present)


async def test_the_death_of_a_daemon_is_told_to_its_sessions_and_it_is_started_again(
    site: Site, gpus: Gpus, keeper: MpsKeeper
) -> None:
    await keeper.once()
    with site.database.transaction() as db:
        here = book(db, NODE, {0: 500}, enforcer="mps", user="ann").id
        beside = book(db, NODE, {1: 500}, enforcer="mps", user="ben").id
    kill(site, gpus.present[0].uuid)
    await keeper.once()
    assert [each["code"] for each in site.store.get(here).alerts] == ["enforcement"]
    assert "restart the kernels" in site.store.get(here).alerts[0]["message"]
    assert site.store.get(beside).alerts == []
    assert MpsDaemon(site.mps_dir, gpus.present[0].uuid).runs()
    assert site.mps_problems == {}


async def test_a_device_whose_daemon_cannot_start_takes_no_sessions(
    site: Site, gpus: Gpus, keeper: MpsKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    await keeper.once()
    await inventory.refresh(site)
    with site.database.transaction() as db:
        problems = [row.problem for row in db.scalars(select(DeviceRow))]
    assert all("choose another enforcer" in problem for problem in problems)
    assert "choose another enforcer" in granted(site, 0.5).reason_message


async def test_daemons_end_when_their_devices_are_shared_otherwise(
    site: Site, gpus: Gpus, keeper: MpsKeeper
) -> None:
    await keeper.once()
    choose(site, enforcer="timeslice")
    await keeper.once()
    assert not any(MpsDaemon(site.mps_dir, each.uuid).runs() for each in gpus.present)


async def test_what_was_made_for_a_session_goes_when_it_has_ended(
    site: Site, gpus: Gpus, keeper: MpsKeeper
) -> None:
    with site.database.transaction() as db:
        live = book(db, NODE, {0: 500}, enforcer="hami").id
    for name in (live, "f" * 32):
        (site.data_dir / "enforcement" / name / "vgpu").mkdir(parents=True)
    await keeper.once()
    assert [path.name for path in (site.data_dir / "enforcement").iterdir()] == [live]

"""What a session's own JupyterLab asks the service by way of the hub, and does there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from hub_ext.db.folder_models import FolderRow, StorageQuotaRow
from hub_ext.db.models import ProjectRow, SessionRow, SliceRow
from hub_ext.folders.fullness import tell_of_full
from hub_ext.folders.measuring import LONGEST_S, REST, SHORTEST_S, Pace
from hub_ext.folders.storage_watch import FULL_BYTES, ROOM_BYTES, StorageWatch
from hub_ext.hub_client import HubServer
from hub_ext.metering.samples import Sample
from hub_ext.nodes import inventory
from hub_ext.sessions.alerts import DEVICE, raise_alert
from hub_ext.sessions.notices import Notice, warn
from hub_ext.site import Site
from tests.service import rest_client
from tests.service.conftest import IMAGE
from tests.service.image_engine import ImageEngine
from tests.service.project_rows import add_member, add_project, add_session
from tests.service.rest_client import Answer, RestClient, serving

SESSION = "a" * 32
GIB = 1024**3
OLD = 0.0


@dataclass
class Desk:
    """Ann's running session in ml101, which the hub speaks for."""

    site: Site
    api: RestClient
    activity: Any

    async def ask(
        self, what: str, values: Any = None, *, method: str = "POST", user: str = "ann", **more: Any
    ) -> Answer:
        """As the hub does."""
        body = {"user": user, "groups": [], "admin": False, **(values or {}), **more}
        path = f"spawner/sessions/{SESSION}/{what}"
        return await self.api(method, path, body, by="spawner-token")

    async def panel(self, **more: Any) -> dict[str, Any]:
        """All of it."""
        answer = await self.ask("panel", **more)
        assert answer.status == 200, answer.body
        return answer.body

    async def glance(self) -> dict[str, Any]:
        """In a few lines."""
        body = {"ids": [SESSION]}
        answer = await self.api("POST", "spawner/glances", body, by="spawner-token")
        assert answer.status == 200, answer.body
        return dict(answer.body["sessions"][SESSION])

    def row(self) -> SessionRow:
        return self.site.store.get(SESSION)

    def set(self, **columns: Any) -> None:
        """Of the session."""
        with self.site.database.transaction() as db:
            row = db.get_one(SessionRow, SESSION)
            for name, value in columns.items():
                setattr(row, name, value)

    def set_project(self, **columns: Any) -> None:
        with self.site.database.transaction() as db:
            row = db.get_one(ProjectRow, "ml101")
            for name, value in columns.items():
                setattr(row, name, value)


@pytest.fixture
async def desk(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Half a simulated GPU for four hours, an hour of which is over; bob learns there too."""
    engine = ImageEngine()
    site.engine = engine
    await inventory.refresh(site)
    engine.start("c1", {"usr/lib/thing": b"1"})
    made: list[Any] = []
    original = rest_client.Activity
    monkeypatch.setattr(
        rest_client, "Activity", lambda *args: made.append(original(*args)) or made[-1]
    )
    with site.database.transaction() as db:
        add_project(db, "ml101", title="Machine learning", quota_gpu_milli=1000)
        add_member(db, "ml101", "ann")
        add_member(db, "ml101", "bob")
        row = add_session(
            *(db, "ml101"),
            id=SESSION,
            server_name="lab",
            name="lab",
            status="RUNNING",
            container_id="c1",
            node="n1",
            gpu_milli=500,
            gpu_memory_mib=4096,
            running_at=time.time() - 3600,
            lifetime_s=4 * 3600,
            mounts=[mount("f1", "")],
        )
        row.slices = [SliceRow(node="n1", device=0, uuid="u0", milli=500, simulated=True)]
        db.add(FolderRow(**FOLDER))
    async with serving(site, monkeypatch) as api:
        yield Desk(site, api, made[0])


FOLDER = {
    "id": "f1",
    "kind": "user",
    "owner": "ann",
    "name": "",
    "usage": "general",
    "state": "ready",
    "created_at": OLD,
    "created_by": "ann",
    "used_bytes": 3 * GIB,
    "used_files": 1,
    "measured_at": OLD,
}


def mount(folder: str, name: str, *, mode: str = "rw", owner: str = "ann") -> dict[str, Any]:
    """As a session's row has it."""
    target = f"/home/work/{name}".rstrip("/")
    kind = "user" if owner == "ann" else "project"
    return {
        "id": folder,
        "name": name,
        "kind": kind,
        "owner": owner,
        "target": target,
        "mode": mode,
        "source": "/x",
    }


def set_quota(site: Site, owner: str, limit: int) -> None:
    with site.database.transaction() as db:
        db.merge(StorageQuotaRow(kind="user", owner=owner, bytes=limit))


async def test_a_glance_says_slice_use_and_time_left_as_durations(desk: Desk) -> None:
    desk.site.meter.add({SESSION: Sample(time.time(), 1000, 0.5, 700, 900)})

    told = await desk.glance()

    assert (told["fgpu"], told["gpu_memory_mib"], told["simulated"]) == (0.5, 4096, True)
    assert told["use"] == {
        "gpu_memory_mib": 1000,
        "gpu": 0.5,
        "cpu_milli": 700,
        "memory_mib": 900,
    }
    assert told["time"]["code"] == "lifetime"
    assert told["time"]["seconds_left"] == pytest.approx(3 * 3600, abs=30)
    assert told["notice"] is None


async def test_warning_and_alert_come_with_their_times_from_now(desk: Desk) -> None:
    warn(desk.site.store, SESSION, Notice("reclaim", "Team-d.", time.time() + 60))
    raise_alert(desk.site.store, SESSION, DEVICE, "GPU 0 is sick.")

    told = await desk.glance()

    assert told["notice"].keys() == {"code", "message", "seconds_left"}
    assert told["notice"]["seconds_left"] == pytest.approx(60, abs=10)
    (alert,) = told["alerts"]
    assert (alert["code"], alert["message"]) == ("device", "GPU 0 is sick.")
    assert 0 <= alert["ago_s"] < 10
    assert told["time"] == {"seconds_left": told["notice"]["seconds_left"], "code": "reclaim"}


async def test_nothing_is_measured_before_the_meter_has_looked(desk: Desk) -> None:
    assert set((await desk.glance())["use"].values()) == {None}
    assert (await desk.panel())["recent"] == {"points": []}


async def test_many_sessions_cost_one_question(desk: Desk) -> None:
    with desk.site.database.transaction() as db:
        for number in range(30):
            add_session(db, "ml101", "bob", id=f"{number:032x}")
    ids = [f"{number:032x}" for number in range(30)] + ["f" * 32]

    answer = await desk.api("POST", "spawner/glances", {"ids": ids}, by="spawner-token")

    assert answer.body["sessions"].keys() == set(ids) - {"f" * 32}


@pytest.mark.parametrize("body", [[], {}, {"ids": "x"}, {"ids": [1]}, {"ids": ["x"] * 1001}])
async def test_a_wrong_question_is_refused(desk: Desk, body: Any) -> None:
    answer = await desk.api("POST", "spawner/glances", body, by="spawner-token")

    assert (answer.status, answer.field) == (400, "ids")


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("POST", "panel"),
        ("POST", "extend"),
        ("POST", "in-use"),
        ("POST", "stop"),
        ("POST", "image-request"),
        ("DELETE", "image-request"),
    ],
)
async def test_a_session_of_somebody_else_is_not_there(desk: Desk, method: str, what: str) -> None:
    before = desk.row().version

    answer = await desk.ask(what, {"seconds": 60, "name": "x"}, method=method, user="bob")

    assert answer.status == 404
    assert desk.row().version == before


async def test_only_the_spawners_ask(desk: Desk) -> None:
    path = f"spawner/sessions/{SESSION}/panel"

    assert (await desk.api("POST", path, {"user": "ann"}, by="ann")).status == 401


async def test_the_panel_says_what_the_session_has(desk: Desk) -> None:
    told = await desk.panel()

    assert (told["image"], told["image_title"]) == (IMAGE.reference, "Base")
    assert (told["image_version"], told["node"]) == ("test", "n1")
    assert told["enforcer"] is None, "nothing keeps a session inside a simulated device"
    assert told["links"]["launch_again"] == f"launch?from={SESSION}"
    assert told["can"] == {"extend": True, "stop": True, "image_request": True}
    assert told["quota"]["quota_fgpu"] == 1.0
    assert told["quota"]["sentence"] == "Project ml101 holds 0.5 of its quota of 1 fGPU."
    assert told["time"]["running_s"] == pytest.approx(3600, abs=30)


async def test_what_keeps_a_session_inside_a_real_slice_is_told(desk: Desk) -> None:
    with desk.site.database.transaction() as db:
        part = db.get_one(SessionRow, SESSION).slices[0]
        part.simulated, part.enforcer = False, "mps"

    enforcer = (await desk.panel())["enforcer"]

    assert (enforcer["name"], enforcer["title"]) == ("mps", "CUDA MPS")
    assert "multiprocessors" in enforcer["isolates"]


async def test_the_plots_have_the_last_minutes(desk: Desk) -> None:
    now = time.time()
    for ago in (900, 300, 0):
        desk.site.meter.add({SESSION: Sample(now - ago, ago, None, 100, 200)})

    points = (await desk.panel())["recent"]["points"]

    assert [point["gpu_memory_mib"] for point in points] == [300, 0]
    assert points[0]["ago_s"] == pytest.approx(300, abs=10)
    assert points[0]["gpu"] is None


async def test_a_folder_says_what_is_left_of_the_quota(desk: Desk) -> None:
    set_quota(desk.site, "ann", 4 * GIB)

    (folder,) = (await desk.panel())["folders"]

    assert (folder["name"], folder["target"], folder["mode"]) == ("home", "/home/work", "rw")
    assert (folder["used_bytes"], folder["limit_bytes"]) == (3 * GIB, 4 * GIB)
    assert folder["free_bytes"] <= GIB
    assert folder["full"] is False


async def test_who_does_not_answer_for_a_folder_learns_no_numbers_of_it(desk: Desk) -> None:
    with desk.site.database.transaction() as db:
        db.add(FolderRow(**FOLDER | {"id": "f2", "kind": "project", "owner": "ml101"}))
        db.get_one(FolderRow, "f2").name = "data"
        db.add(StorageQuotaRow(kind="project", owner="ml101", bytes=GIB))
    desk.set(mounts=[mount("f2", "data", owner="ml101")])

    (folder,) = (await desk.panel())["folders"]

    assert (folder["used_bytes"], folder["limit_bytes"], folder["free_bytes"]) == (None,) * 3
    assert folder["full"] is True


async def test_extending_adds_to_the_lifetime(desk: Desk) -> None:
    answer = await desk.ask("extend", seconds=7200)

    assert answer.status == 200, answer.body
    assert desk.row().lifetime_s == 6 * 3600
    assert answer.body["time"]["seconds_left"] == pytest.approx(5 * 3600, abs=30)
    assert desk.site.store.history(SESSION)[-1].by == "ann"


async def test_nobody_extends_beyond_his_limit(desk: Desk) -> None:
    desk.set_project(member_limits={"max_lifetime_s": 5 * 3600})
    allowed = (await desk.panel())["time"]["extend"]

    refused = await desk.ask("extend", seconds=3601)
    taken = await desk.ask("extend", seconds=allowed["most_s"])
    after = (await desk.panel())["time"]["extend"]

    assert allowed == {"allowed": True, "most_s": 3600, "why": ""}
    assert (refused.status, refused.field) == (422, "lifetime_s")
    assert taken.status == 200
    assert (after["allowed"], after["most_s"]) == (False, 0)
    assert "5 hours at most" in after["why"]


async def test_what_has_no_end_cannot_be_extended(desk: Desk) -> None:
    desk.set(lifetime_s=None)

    answer = await desk.ask("extend", seconds=60)

    assert answer.status == 409
    assert (await desk.panel())["time"]["extend"]["why"] == "Its lifetime has no limit."


@pytest.mark.parametrize("seconds", [None, 0, -60, 1.5, "60", True, 10**12])
async def test_a_wrong_length_is_refused(desk: Desk, seconds: Any) -> None:
    answer = await desk.ask("extend", seconds=seconds)

    assert (answer.status, answer.field) == (400, "seconds")
    assert desk.row().lifetime_s == 4 * 3600


@pytest.mark.parametrize("values", [[], {}, {"user": 1}, {"user": "ann", "groups": "x"}])
async def test_the_hub_has_to_say_who_it_is(desk: Desk, values: Any) -> None:
    path = f"spawner/sessions/{SESSION}/panel"

    assert (await desk.api("POST", path, values, by="spawner-token")).status == 400


async def test_i_am_here_withdraws_an_idle_warning_at_once(desk: Desk) -> None:
    desk.set_project(member_limits={"idle_s": 600})
    idle_since = time.time() - 500
    desk.site.hub.servers["ann", "lab"] = HubServer("ann", "lab", True, None, idle_since)
    await desk.activity.read()
    warn(desk.site.store, SESSION, Notice("idle", "Idle.", time.time() + 100))
    before = (await desk.panel())["time"]["idle"]

    answer = await desk.ask("in-use")
    after = (await desk.panel())["time"]["idle"]

    assert answer.status == 200, answer.body
    assert answer.body["notice"] is None
    assert before["limit_s"] == 600
    assert before["left_s"] == pytest.approx(100, abs=30)
    assert after["idle_s"] < 30


async def test_i_am_here_without_a_warning_counts_all_the_same(desk: Desk) -> None:
    answer = await desk.ask("in-use")

    assert answer.status == 200
    assert ("ann", "lab") in desk.activity._said_at


async def test_a_stop_from_the_panel_is_the_stop_of_the_page(desk: Desk) -> None:
    answer = await desk.ask("stop")

    assert answer.status == 200, answer.body
    assert answer.body["status"] == "TERMINATING"
    steps = desk.site.store.history(SESSION)
    told = next(step for step in steps if step.to_status == "TERMINATING")
    assert (told.by, told.message, told.code) == ("ann", "Stopped by ann.", "stopped")


async def test_what_has_ended_is_not_stopped_again(desk: Desk) -> None:
    desk.set(status="TERMINATED", ended_at=time.time())

    assert (await desk.ask("stop")).status == 409
    assert (await desk.ask("in-use")).status == 409
    assert (await desk.ask("extend", seconds=60)).status == 409
    assert (await desk.panel())["can"] == {"extend": False, "stop": False, "image_request": False}


async def test_an_image_is_asked_for_shown_and_withdrawn(desk: Desk) -> None:
    assert (await desk.panel())["image_request"] is None

    asked = await desk.ask("image-request", name="course", description="With thing")
    shown = await desk.panel()
    withdrawn = await desk.ask("image-request", method="DELETE")
    after = await desk.panel()

    assert asked.status == 201, asked.body
    assert shown["image_request"]["state"] == "requested"
    assert shown["image_request"]["pending"] is True
    assert shown["can"]["image_request"] is False
    assert withdrawn.body["image_request"]["state"] == "cancelled"
    assert after["can"]["image_request"] is True
    assert "diff" not in after["image_request"]


async def test_a_request_by_a_wrong_name_names_the_field(desk: Desk) -> None:
    answer = await desk.ask("image-request", name="Not A Name")

    assert (answer.status, answer.field) == (400, "name")


async def test_nothing_to_withdraw_is_said(desk: Desk) -> None:
    assert (await desk.ask("image-request", method="DELETE")).status == 409


async def test_a_full_folder_is_told_to_who_writes_to_it_and_taken_back(desk: Desk) -> None:
    set_quota(desk.site, "ann", 3 * GIB)

    tell_of_full(desk.site, {("user", "ann")})
    tell_of_full(desk.site, {("user", "ann")})
    (alert,) = desk.row().alerts
    steps = len(desk.site.store.history(SESSION))
    set_quota(desk.site, "ann", 6 * GIB)
    tell_of_full(desk.site, {("user", "ann")})

    assert alert["code"] == "folder"
    assert alert["message"].startswith("Folder home is full: the folders of ann may take 3 GiB")
    assert desk.row().alerts == []
    assert len(desk.site.store.history(SESSION)) == steps + 1


async def test_who_only_reads_a_full_folder_is_left_alone(desk: Desk) -> None:
    desk.set(mounts=[mount("f1", "", mode="ro")])
    set_quota(desk.site, "ann", GIB)

    tell_of_full(desk.site, {("user", "ann")})

    assert desk.row().alerts == []


async def test_a_folder_that_is_nearly_full_keeps_its_alert(desk: Desk) -> None:
    set_quota(desk.site, "ann", 3 * GIB)
    tell_of_full(desk.site, {("user", "ann")})
    set_quota(desk.site, "ann", round(3 * GIB / 0.98))

    tell_of_full(desk.site, {("user", "ann")})

    assert [alert["code"] for alert in desk.row().alerts] == ["folder"]


async def test_a_full_storage_is_told_to_all_who_write_until_there_is_room(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, watch = FULL_BYTES - 1, StorageWatch(desk.site)

    async def free_bytes() -> int:
        if free < 0:
            raise OSError("gone")
        return free

    monkeypatch.setattr(desk.site.folders.storage, "free_bytes", free_bytes)
    told = []
    for free in (FULL_BYTES - 1, 0, -1, ROOM_BYTES - 1, ROOM_BYTES, FULL_BYTES + 1):  # noqa: B007
        await watch.once()
        told.append([alert["code"] for alert in desk.row().alerts])
    full = ["storage"]
    assert told == [full, full, full, full, [], []]

    desk.set(mounts=[mount("f1", "", mode="ro")])
    free = 0
    await watch.once()
    assert desk.row().alerts == []


def test_what_a_running_session_writes_to_is_measured_every_ten_minutes() -> None:
    still = Pace(interval_s=LONGEST_S, took_s=1.0)
    large = Pace(interval_s=LONGEST_S, took_s=100.0)

    assert still.due_at(0.0, touched=False) == LONGEST_S
    assert still.due_at(0.0, touched=False, written=True) == SHORTEST_S
    assert large.due_at(0.0, touched=False, written=True) == REST * 100.0

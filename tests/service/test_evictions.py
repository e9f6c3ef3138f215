"""Reclaim and preemption live: warned, stopped, back at the old place in the queue."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from hub_ext.db.models import MemberRow, ProjectRow, RunRow, SessionRow
from hub_ext.errors import Conflict
from hub_ext.hub_client import HubServer
from hub_ext.nodes import inventory
from hub_ext.nodes.engine import SessionContainer
from hub_ext.scheduling import schedule
from hub_ext.sessions.culler import Culler
from hub_ext.sessions.edits import apply_change, read_session_change
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.reconcile import Reconciler
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.site import Site
from tests.service.conftest import RecordingHub, RoomyEngine, SilentEngine


class StillStoppingHub(RecordingHub):
    """A hub that accepts a stop and is at it for a while."""

    async def stop_server(self, user: str, server_name: str) -> bool:
        self.servers[user, server_name] = HubServer(user, server_name, False, "stop")
        return True


class Lab:
    """Two GPUs, two teams with a quota of one each."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.queue = Queue(site)
        self.launcher = Launcher(site)
        self.culler = Culler(site, self.launcher)
        with site.database.transaction() as db:
            for order, name in enumerate(("red", "blue"), start=1):
                db.add(
                    ProjectRow(
                        name=name,
                        created_at=time.time(),
                        created_order=order,
                        quota_gpu_milli=1000,
                        member_limits={},
                    )
                )
                db.flush()
                for user in (f"{name}-ann", f"{name}-bob"):
                    db.add(
                        MemberRow(
                            project=name,
                            user=user,
                            role="member",
                            limits={},
                            added_at=0,
                            added_by="",
                        )
                    )

    def submit(self, user: str, **values: Any) -> str:
        """A reclaimable session of one GPU, unless ``values`` say otherwise."""
        asked = {"cpu": 0.5, "memory_mib": 512, "fgpu": 1, "preemptible": True, **values}
        project = user.partition("-")[0]
        request = read_launch_request({"project": project, **asked})
        return Submissions(self.site).submit(Submitter(user), request)[0].id

    def run(self, session_id: str) -> None:
        """The spawner's part, and the container's."""
        for step in (Status.PREPARING, Status.STARTING, Status.RUNNING):
            self.site.store.transition(
                session_id, step, Why(), by="spawner", running_at=time.time()
            )
        assert isinstance(self.site.engine, RoomyEngine)
        self.site.engine.present.append(
            SessionContainer(session_id, f"c-{session_id}", True, time.time())
        )

    def running(self, user: str, **values: Any) -> str:
        """A session that runs."""
        key = self.submit(user, **values)
        self.queue.pass_once()
        self.run(key)
        return key

    def row(self, session_id: str) -> SessionRow:
        return self.site.store.get(session_id)

    def time_is_up(self, session_id: str) -> None:
        """As if the warning's time had come."""
        with self.site.database.transaction() as db:
            row = db.get(SessionRow, session_id)
            assert row is not None
            assert row.stops_at is not None
            row.stops_at = time.time() - 1

    def codes(self, session_id: str) -> list[str]:
        """The story of a session."""
        return [step.code or step.to_status for step in self.site.store.history(session_id)]

    def gone(self, session_id: str, **values: Any) -> None:
        """Its spawner says that nothing of it runs any more."""
        assert isinstance(self.site.engine, RoomyEngine)
        self.site.engine.present = [
            each for each in self.site.engine.present if each.session_id != session_id
        ]
        self.launcher.end(session_id, Status.TERMINATED, Why(), by="spawner", **values)


@pytest.fixture
async def lab(site: Site) -> Lab:
    await inventory.refresh(site)
    return Lab(site)


async def taken_back(lab: Lab) -> tuple[str, str, str]:
    """Red holds both GPUs; blue asks for its share. Red's first, red's second, blue's."""
    first, second = lab.running("red-ann"), lab.running("red-bob")
    claim = lab.submit("blue-ann", preemptible=False)
    lab.queue.pass_once()
    return first, second, claim


async def test_what_is_over_quota_is_warned_when_its_place_is_due_to_others(lab: Lab) -> None:
    first, second, claim = await taken_back(lab)
    assert lab.row(first).notice_code == ""
    victim = lab.row(second)
    assert (victim.status, victim.notice_code, victim.evicted_for) == ("RUNNING", "reclaim", claim)
    assert victim.stops_at is not None
    assert 55 < victim.stops_at - time.time() <= 60
    assert "Project blue takes back" in victim.notice_message
    assert "goes back to the queue" in victim.notice_message
    waiting = lab.row(claim)
    assert (waiting.status, waiting.reason_code) == ("PENDING", "being_freed")


async def test_nobody_is_warned_twice_for_the_same(lab: Lab) -> None:
    first, second, _claim = await taken_back(lab)
    at = lab.row(second).stops_at
    for _ in range(3):
        lab.queue.pass_once()
        lab.culler.once()
    assert lab.row(first).notice_code == ""
    assert lab.row(second).stops_at == at
    assert lab.codes(second).count("reclaim") == 1


async def test_after_the_warning_it_stops_and_waits_at_its_old_place(lab: Lab) -> None:
    _first, second, claim = await taken_back(lab)
    younger = lab.submit("red-ann")
    before = lab.row(second)
    lab.time_is_up(second)
    lab.culler.once()
    stopping = lab.row(second)
    assert stopping.status == "PREEMPTED"
    assert stopping.slices, "its slice is held until nothing of it runs"
    lab.queue.pass_once()
    assert lab.row(claim).status == "PENDING"
    lab.gone(second, run_id=stopping.run_id)
    lab.queue.pass_once()
    assert lab.row(claim).status == "SCHEDULED"
    back = lab.row(second)
    assert (back.status, back.notice_code, back.slices) == ("PENDING", "", [])
    assert (back.submitted_at, back.order) == (before.submitted_at, before.order)
    assert (back.position, lab.row(younger).position) == (1, 2)
    assert lab.codes(second)[-3:] == ["reclaim", "reclaim", "requeued"]


async def test_a_requeued_session_runs_again_when_there_is_room(lab: Lab) -> None:
    _first, second, claim = await taken_back(lab)
    lab.time_is_up(second)
    lab.culler.once()
    old_run = lab.row(second).run_id
    lab.gone(second, run_id=old_run)
    lab.queue.pass_once()
    lab.run(claim)
    lab.gone(claim)
    lab.queue.pass_once()
    again = lab.row(second)
    assert again.status == "SCHEDULED"
    assert again.run_id != old_run


async def test_a_late_report_of_the_earlier_run_changes_nothing(lab: Lab) -> None:
    _first, second, _claim = await taken_back(lab)
    lab.time_is_up(second)
    lab.culler.once()
    old_run = lab.row(second).run_id
    lab.gone(second, run_id=old_run)
    lab.gone(second, run_id=old_run)
    assert lab.row(second).status == "PENDING"


async def test_one_that_asked_not_to_come_back_ends(lab: Lab) -> None:
    lab.running("red-ann")
    second = lab.running("red-bob", requeue=False)
    lab.submit("blue-ann")
    lab.queue.pass_once()
    assert "does not start again" in lab.row(second).notice_message
    lab.time_is_up(second)
    lab.culler.once()
    lab.gone(second)
    ended = lab.row(second)
    assert (ended.status, ended.reason_code) == ("TERMINATED", "reclaim")


async def test_a_user_who_stops_what_is_being_reclaimed_does_not_get_it_back(lab: Lab) -> None:
    _first, second, _claim = await taken_back(lab)
    lab.time_is_up(second)
    lab.culler.once()
    lab.launcher.stop(second, Why("Stopped by red-bob.", "stopped"), by="red-bob")
    lab.gone(second)
    assert lab.row(second).status == "TERMINATED"


async def test_the_warning_is_withdrawn_when_the_claim_is(lab: Lab) -> None:
    _first, second, claim = await taken_back(lab)
    lab.launcher.stop(claim, Why("Cancelled by blue-ann.", "stopped"), by="blue-ann")
    lab.culler.once()
    kept = lab.row(second)
    assert (kept.status, kept.notice_code, kept.stops_at) == ("RUNNING", "", None)
    assert lab.codes(second)[-1] == "notice_withdrawn"
    lab.queue.pass_once()
    assert lab.row(second).notice_code == ""


async def test_the_warning_is_withdrawn_also_when_its_time_is_up_just_then(lab: Lab) -> None:
    _first, second, claim = await taken_back(lab)
    lab.time_is_up(second)
    lab.launcher.stop(claim, Why("Cancelled by blue-ann.", "stopped"), by="blue-ann")
    lab.culler.once()
    assert lab.row(second).status == "RUNNING"


async def test_the_warning_is_withdrawn_when_the_claimant_may_not_start_any_more(
    lab: Lab, site: Site
) -> None:
    _first, second, claim = await taken_back(lab)
    with site.database.transaction() as db:
        row = db.get(ProjectRow, "blue")
        assert row is not None
        row.valid_until = time.time() - 1
    lab.queue.pass_once()
    lab.time_is_up(second)
    lab.culler.once()
    assert (lab.row(second).status, lab.row(second).notice_code) == ("RUNNING", "")
    assert lab.row(claim).reason_code == "project_closed"


async def test_a_claim_whose_priority_is_lowered_preempts_nobody(lab: Lab, site: Site) -> None:
    with site.database.transaction() as db:
        row = db.get(ProjectRow, "red")
        assert row is not None
        row.member_limits = {"max_priority": 100}
    lab.running("red-ann")
    other = lab.running("red-bob")
    high = lab.submit("red-ann", priority=50)
    lab.queue.pass_once()
    assert lab.row(other).notice_code == "preempt"
    change = read_session_change({"priority": -5})
    apply_change(site, Submitter("red-ann"), high, change)
    lab.time_is_up(other)
    lab.culler.once()
    assert (lab.row(other).status, lab.row(other).notice_code) == ("RUNNING", "")


async def test_what_ends_sooner_by_itself_keeps_its_own_end(lab: Lab, site: Site) -> None:
    lab.running("red-ann")
    second = lab.running("red-bob", lifetime_s=60)
    lab.culler.once()
    own_end = lab.row(second).stops_at
    site.policy = replace(site.policy, reclaim_warning_s=300.0)
    lab.submit("blue-ann")
    lab.queue.pass_once()
    assert (lab.row(second).notice_code, lab.row(second).stops_at) == ("lifetime", own_end)


async def test_who_was_reclaimed_does_not_expire_for_the_time_he_ran(lab: Lab, site: Site) -> None:
    site.policy = replace(site.policy, pending_timeout_s=3600.0)
    _first, second, _claim = await taken_back(lab)
    with site.database.transaction() as db:
        row = db.get(SessionRow, second)
        assert row is not None
        row.submitted_at = time.time() - 7200
    lab.time_is_up(second)
    lab.culler.once()
    lab.gone(second)
    lab.queue.pass_once()
    assert lab.row(second).status == "PENDING"


async def test_a_grant_is_not_for_what_the_session_has_become_meanwhile(
    lab: Lab, site: Site
) -> None:
    lab.running("red-ann", preemptible=False)
    second = lab.submit("red-bob")
    queue = lab.queue
    snapshot = queue._read()
    decisions = schedule(snapshot)
    assert [start.session_id for start in decisions.starts] == [second]
    apply_change(site, Submitter("red-bob"), second, read_session_change({"preemptible": False}))
    queue._write(snapshot, decisions)
    assert lab.row(second).status == "PENDING"
    queue.pass_once()
    assert lab.row(second).reason_code == "project_quota"


async def test_a_sick_device_is_heard_of_at_once(lab: Lab, site: Site) -> None:
    woken: list[bool] = []
    site.changes.listen_to_nodes(lambda: woken.append(True))
    await inventory.refresh(site)
    assert woken == [], "nothing has changed"
    site.engine = SilentEngine()
    await inventory.refresh(site)
    assert woken == [True]


async def test_a_warning_outlives_the_service(lab: Lab, site: Site) -> None:
    _first, second, _claim = await taken_back(lab)
    lab.time_is_up(second)
    site.reservations = None  # as a service that has just started
    culler = Culler(site, Launcher(site))
    culler.once()
    assert lab.row(second).status == "RUNNING", "no pass has said yet that it is still needed"
    lab.queue.pass_once()
    culler.once()
    assert lab.row(second).status == "PREEMPTED"


async def test_the_service_dying_after_the_stop_was_asked_loses_no_session(
    lab: Lab, site: Site
) -> None:
    _first, second, claim = await taken_back(lab)
    with site.database.transaction() as db:
        row = db.get(SessionRow, second)
        assert row is not None
        row.status, row.changed_at = Status.PREEMPTED, time.time() - 3600
    reconciler = Reconciler(site, Launcher(site))
    await reconciler.once()
    assert isinstance(site.engine, RoomyEngine)
    assert site.engine.removed == [f"c-{second}"]
    assert lab.row(second).status == "PENDING"
    lab.queue.pass_once()
    assert lab.row(claim).status == "SCHEDULED"


async def test_a_server_that_the_hub_still_stops_is_waited_for(lab: Lab, site: Site) -> None:
    site.hub = StillStoppingHub()  # type: ignore[assignment]
    _first, second, _claim = await taken_back(lab)
    lab.time_is_up(second)
    lab.culler.once()
    await asyncio.sleep(0)
    await Reconciler(site, lab.launcher).once()
    assert lab.row(second).status == "PREEMPTED"


async def test_what_does_not_run_yet_is_stopped_without_a_wait(lab: Lab) -> None:
    lab.running("red-ann")
    second = lab.submit("red-bob")
    lab.queue.pass_once()
    assert lab.row(second).status == "SCHEDULED"
    claim = lab.submit("blue-ann")
    lab.queue.pass_once()
    lab.culler.once()
    assert lab.row(second).status == "PREEMPTED"
    lab.gone(second)
    lab.queue.pass_once()
    assert (lab.row(second).status, lab.row(claim).status) == ("PENDING", "SCHEDULED")


async def test_a_higher_priority_preempts_within_its_project(lab: Lab, site: Site) -> None:
    with site.database.transaction() as db:
        for row in (db.get(ProjectRow, "red"), db.get(ProjectRow, "blue")):
            assert row is not None
            row.member_limits = {"max_priority": 100}
    low, other = lab.running("red-ann"), lab.running("red-bob")
    high = lab.submit("red-ann", priority=50)
    lab.queue.pass_once()
    warned = [key for key in (low, other) if lab.row(key).notice_code == "preempt"]
    assert warned == [other], "the youngest goes first"
    assert lab.row(high).reason_code == "being_freed"


async def test_a_young_session_is_protected_by_the_minimum_runtime(lab: Lab, site: Site) -> None:
    with site.database.transaction() as db:
        row = db.get(ProjectRow, "red")
        assert row is not None
        row.reclaim_min_runtime_s = 3600
    first, second, _claim = await taken_back(lab)
    assert [lab.row(key).notice_code for key in (first, second)] == ["", ""]


async def test_a_warned_session_that_ends_by_itself_makes_room_at_once(lab: Lab) -> None:
    _first, second, claim = await taken_back(lab)
    lab.gone(second)
    assert lab.row(second).status == "TERMINATED"
    lab.queue.pass_once()
    assert lab.row(claim).status == "SCHEDULED"


async def test_the_length_of_the_warning_is_the_sites(lab: Lab, site: Site) -> None:
    site.policy = replace(site.policy, reclaim_warning_s=5.0)
    _first, second, _claim = await taken_back(lab)
    stops_at = lab.row(second).stops_at
    assert stops_at is not None
    assert stops_at - time.time() <= 5


async def test_a_booking_is_one_run_in_the_books(lab: Lab, site: Site) -> None:
    _first, second, _claim = await taken_back(lab)
    lab.time_is_up(second)
    lab.culler.once()
    lab.gone(second)
    with site.database.transaction() as db:
        runs = db.scalars(select(RunRow).where(RunRow.session_id == second)).all()
    assert len(runs) == 1
    assert runs[0].ended_at is not None


async def test_a_session_that_is_being_stopped_cannot_be_edited_into_staying(lab: Lab) -> None:
    _first, second, _claim = await taken_back(lab)
    lab.time_is_up(second)
    lab.culler.once()
    with pytest.raises(Conflict):
        lab.site.store.transition(second, Status.RUNNING, Why(), by="spawner")

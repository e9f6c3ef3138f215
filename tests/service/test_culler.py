"""Ends of running sessions: warned in time, withdrawn when the cause has gone, then stopped."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hub_ext.db.models import ProjectRow, SessionRow
from hub_ext.hub_client import HubServer, HubUnavailable
from hub_ext.nodes import inventory
from hub_ext.sessions.culler import Culler
from hub_ext.sessions.endings import Ending, ending_of, stops_at
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.site import Site
from tests.service.conftest import RecordingHub


class SilentHub(RecordingHub):
    """A hub that gives no answer."""

    async def active_servers(self) -> dict[tuple[str, str], HubServer]:
        raise HubUnavailable("connection refused")


@pytest.fixture
async def running(site: Site) -> str:
    """A session of the project that everybody may use, running since ten minutes."""
    await inventory.refresh(site)
    request = read_launch_request({"cpu": 0.5, "memory_mib": 512})
    (row,) = Submissions(site).submit(Submitter("ann"), request)
    Queue(site).pass_once()
    for step in (Status.PREPARING, Status.STARTING, Status.RUNNING):
        site.store.transition(row.id, step, Why(), by="spawner", running_at=time.time() - 600)
    return row.id


def set_project(site: Site, **values: Any) -> None:
    with site.database.transaction() as db:
        row = db.get(ProjectRow, "default")
        assert row is not None
        for name, value in values.items():
            setattr(row, name, value)


def set_session(site: Site, session_id: str, **values: Any) -> None:
    with site.database.transaction() as db:
        row = db.get(SessionRow, session_id)
        assert row is not None
        for name, value in values.items():
            setattr(row, name, value)


async def look(site: Site) -> None:
    """One round of a culler that has just started."""
    culler = Culler(site, Launcher(site))
    await culler.activity.read()
    culler.once()
    culler.once()  # what the first look has found is settled


def active(site: Site, row: SessionRow, seconds_ago: float) -> None:
    assert isinstance(site.hub, RecordingHub)
    key = (row.user, row.server_name)
    site.hub.servers[key] = HubServer(*key, True, None, time.time() - seconds_ago)


async def test_a_lifetime_is_announced_before_it_is_over(site: Site, running: str) -> None:
    set_session(site, running, lifetime_s=600 + 300)
    await look(site)
    row = site.store.get(running)
    assert row.notice_code == "lifetime"
    assert row.notice_message == "Its lifetime of 15 minutes is over."
    assert row.stops_at == pytest.approx(time.time() + 300, abs=30)


async def test_an_end_that_is_far_away_is_not_announced(site: Site, running: str) -> None:
    set_session(site, running, lifetime_s=7200)
    await look(site)
    assert site.store.get(running).notice_code == ""


async def test_an_extended_lifetime_withdraws_the_warning(site: Site, running: str) -> None:
    set_session(site, running, lifetime_s=900)
    await look(site)
    set_session(site, running, lifetime_s=9000)
    await look(site)
    row = site.store.get(running)
    assert (row.notice_code, row.stops_at) == ("", None)
    assert "its lifetime was extended" in site.store.history(running)[-1].message


async def test_an_idle_session_is_warned_and_kept_when_it_is_used(site: Site, running: str) -> None:
    set_project(site, member_limits={"idle_s": 600})
    active(site, site.store.get(running), seconds_ago=300)
    await look(site)
    assert site.store.get(running).notice_code == "", "two thirds of it pass in silence"
    active(site, site.store.get(running), seconds_ago=500)
    await look(site)
    row = site.store.get(running)
    assert row.notice_code == "idle"
    assert row.stops_at == pytest.approx(time.time() + 100, abs=30)
    active(site, row, seconds_ago=0)
    await look(site)
    assert site.store.get(running).notice_code == ""
    assert "it is in use again" in site.store.history(running)[-1].message


async def test_nobody_is_idle_while_the_hub_is_silent(site: Site, running: str) -> None:
    set_project(site, member_limits={"idle_s": 600})
    site.hub = SilentHub()  # type: ignore[assignment]
    await look(site)
    assert site.store.get(running).notice_code == ""


async def test_an_idle_warning_is_carried_out_only_while_the_hub_answers(
    site: Site, running: str
) -> None:
    set_project(site, member_limits={"idle_s": 600})
    active(site, site.store.get(running), seconds_ago=590)
    await look(site)
    set_session(site, running, stops_at=time.time() - 1)
    site.hub = SilentHub()  # type: ignore[assignment]
    await look(site)
    row = site.store.get(running)
    assert (row.status, row.notice_code) == ("RUNNING", "idle")
    site.hub = RecordingHub()  # type: ignore[assignment]
    active(site, row, seconds_ago=5)
    await look(site)
    row = site.store.get(running)
    assert (row.status, row.notice_code) == ("RUNNING", "")


async def test_a_lifetime_that_is_extended_in_the_last_second_counts(
    site: Site, running: str
) -> None:
    set_session(site, running, lifetime_s=900)
    await look(site)
    set_session(site, running, lifetime_s=9000, stops_at=time.time() - 1)
    await look(site)
    assert site.store.get(running).status == "RUNNING"


async def test_a_term_that_never_ends_disturbs_nobody(site: Site, running: str) -> None:
    site.policy = replace(site.policy, timezone=ZoneInfo("Asia/Tokyo"))
    set_project(site, valid_until=253402300799.0)
    set_session(site, running, lifetime_s=900)
    await look(site)
    assert site.store.get(running).notice_code == "lifetime"


async def test_a_batch_session_is_never_idle(site: Site, running: str) -> None:
    set_project(site, member_limits={"idle_s": 600})
    set_session(site, running, kind="batch")
    active(site, site.store.get(running), seconds_ago=5000)
    await look(site)
    assert site.store.get(running).notice_code == ""


async def test_the_end_of_the_term_is_announced_and_then_comes(site: Site, running: str) -> None:
    set_project(site, valid_until=time.time() + 60)
    await look(site)
    assert site.store.get(running).notice_code == "term"
    set_project(site, valid_until=time.time() - 60)
    set_session(site, running, stops_at=time.time() - 1)
    await look(site)
    row = site.store.get(running)
    assert row.status == "TERMINATING"
    assert "term of project default" in row.reason_message


def at(clock: str) -> float:
    """A time of Monday, 2026-11-23, UTC."""
    return datetime.fromisoformat(f"2026-11-23T{clock}:00+00:00").timestamp()


OFFICE = [{"days": ["mon"], "from": "08:00", "until": "18:00"}]


def project(**values: Any) -> ProjectRow:
    return ProjectRow(**{"name": "ml101", "stops_at_close": True, "hours": OFFICE, **values})


def session(**values: Any) -> SessionRow:
    return SessionRow(**{"kind": "interactive", "mounts": [], "running_at": at("09:00"), **values})


def end(row: SessionRow, *projects: ProjectRow, now: float, **values: Any) -> Ending | None:
    known: dict[str, Any] = {"idle_s": None, "active_at": None, **values}
    return ending_of(row, projects, now=now, timezone=UTC, **known)


def test_the_hours_of_a_project_end_its_sessions_where_it_says_so() -> None:
    found = end(session(), project(), now=at("12:00"))
    assert found == Ending(at("18:00"), "hours", "The hours of project ml101 are over.")
    assert end(session(), project(stops_at_close=False), now=at("12:00")) is None


def test_the_hours_of_a_project_above_count_too() -> None:
    found = end(session(), project(hours=None), project(name="dept"), now=at("12:00"))
    assert found is not None
    assert "dept" in found.message


def test_of_several_ends_the_first_counts() -> None:
    row = session(lifetime_s=4 * 3600)
    found = end(row, project(), now=at("12:00"), idle_s=3600, active_at=at("11:30"))
    assert found is not None
    assert (found.at, found.code) == (at("12:30"), "idle")


def test_a_missed_end_still_has_a_short_warning() -> None:
    over = Ending(at("10:00"), "lifetime", "")
    assert stops_at(over, at("12:00"), warning_s=600) == at("12:01")
    assert stops_at(over, at("12:00"), warning_s=5) == at("12:00") + 5

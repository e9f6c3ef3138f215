"""``sessions`` over HTTP: who sees and changes what, and what a spawner may still report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub_ext.db.models import MemberRow, ProjectRow
from hub_ext.nodes import inventory
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why
from hub_ext.site import Site

from .conftest import SilentEngine
from .rest_client import RestClient, serving

ASKED = {"cpu": 0.5, "memory_mib": 512, "fgpu": 1, "project": "ml101"}
SPAWNER = "spawner-token"


@pytest.fixture
async def rest(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RestClient]:
    """ann and bob are members of ml101, tom teaches it; eve is not in it."""
    await inventory.refresh(site)
    with site.database.transaction() as db:
        db.add(
            ProjectRow(
                name="ml101",
                created_at=0,
                created_order=1,
                quota_gpu_milli=2000,
                limit_gpu_milli=2000,
                member_limits={},
            )
        )
        db.flush()
        for user, role in (("ann", "member"), ("bob", "member"), ("tom", "instructor")):
            db.add(
                MemberRow(project="ml101", user=user, role=role, limits={}, added_at=0, added_by="")
            )
    async with serving(site, monkeypatch) as client:
        yield client


async def submitted(rest: RestClient, by: str = "ann", **values: Any) -> str:
    answer = await rest("POST", "sessions", {**ASKED, **values}, by=by)
    assert answer.status == 201, answer.body
    return str(answer.body["sessions"][0]["id"])


async def test_a_request_over_a_hard_limit_is_refused_with_the_numbers(
    site: Site, rest: RestClient
) -> None:
    with site.database.transaction() as db:
        project = db.get(ProjectRow, "ml101")
        assert project is not None
        project.limit_gpu_milli = project.quota_gpu_milli = 1000
    answer = await rest("POST", "sessions", {**ASKED, "fgpu": 2}, by="ann")
    assert (answer.status, answer.field) == (422, "fgpu")
    message = answer.body["error"]["message"]
    assert "2.0 fGPU" in message
    assert "limit of 1.0 fGPU" in message
    assert site.store.find() == []


async def test_the_dry_run_and_the_queue_say_the_same(site: Site, rest: RestClient) -> None:
    for _ in range(2):
        await submitted(rest)
        Queue(site).pass_once()
    forecast = await rest("POST", "dry-run", ASKED, by="ann")
    key = await submitted(rest)
    Queue(site).pass_once()
    row = site.store.get(key)
    assert forecast.body["reason"]["message"] == row.reason_message
    assert forecast.body["position"] == row.position
    assert "limit of 2.0 fGPU" in row.reason_message


async def test_the_dry_run_knows_of_a_members_limit(site: Site, rest: RestClient) -> None:
    with site.database.transaction() as db:
        project = db.get(ProjectRow, "ml101")
        assert project is not None
        project.member_limits = {"max_sessions": 1}
    await submitted(rest)
    Queue(site).pass_once()
    forecast = await rest("POST", "dry-run", ASKED, by="ann")
    assert forecast.body["reason"]["code"] == "member_limit"
    assert (await rest("POST", "dry-run", ASKED, by="bob")).body["starts_now"] is True


async def test_an_instructor_sees_the_sessions_of_the_project_and_others_do_not(
    site: Site, rest: RestClient
) -> None:
    key = await submitted(rest)
    for who, status in (("ann", 200), ("tom", 200), ("root", 200), ("bob", 404), ("eve", 404)):
        assert (await rest("GET", f"sessions/{key}", by=who)).status == status, who
    seen = {}
    for who in ("tom", "bob", "eve"):
        answer = await rest("GET", "sessions?project=ml101", by=who)
        seen[who] = [session["id"] for session in answer.body["sessions"]]
    assert seen == {"tom": [key], "bob": [], "eve": []}


async def test_only_those_who_see_it_change_it(site: Site, rest: RestClient) -> None:
    key = await submitted(rest)
    for who in ("bob", "eve"):
        answer = await rest("PATCH", f"sessions/{key}", {"priority": -5}, by=who)
        assert answer.status == 404
    assert site.store.get(key).priority == 0
    answer = await rest("PATCH", f"sessions/{key}", {"priority": -5}, by="ann")
    assert (answer.status, answer.body["priority"]) == (200, -5)
    answer = await rest("PATCH", f"sessions/{key}", {"priority": 50}, by="ann")
    assert (answer.status, answer.field) == (422, "priority")
    assert (await rest("PATCH", f"sessions/{key}", {"priority": 50}, by="tom")).status == 200


async def test_a_group_of_the_hub_makes_a_member(rest: RestClient) -> None:
    assert (await rest("POST", "sessions", ASKED, by="eve")).field == "project"
    assert (await rest("POST", "sessions", ASKED, by="eve+course-ml101")).status == 201


async def test_a_start_for_a_session_that_was_cancelled_meanwhile_queues_no_other(
    site: Site, rest: RestClient
) -> None:
    key = await submitted(rest)
    row = site.store.get(key)
    asked = {"user": "ann", "server_name": row.server_name, "options": row.options, "joins": key}

    joined = await rest("POST", "spawner/requests", asked, by=SPAWNER)
    site.store.transition(key, Status.CANCELLED, Why("Cancelled by ann."), by="ann")
    late = await rest("POST", "spawner/requests", asked, by=SPAWNER)
    stranger = await rest("POST", "spawner/requests", {**asked, "user": "eve"}, by=SPAWNER)
    anew = await rest("POST", "spawner/requests", {**asked, "joins": "f" * 32}, by=SPAWNER)

    assert (joined.body["id"], joined.body["status"]) == (key, "PENDING")
    assert (late.status, late.body["id"], late.body["status"]) == (200, key, "CANCELLED")
    assert (stranger.status, anew.status) == (404, 404)
    assert site.store.live("ann", row.server_name) is None


async def test_the_hub_names_the_groups_of_whom_it_spawns_for(rest: RestClient) -> None:
    asked = {"user": "eve", "server_name": "", "options": ASKED}
    refused = await rest("POST", "spawner/requests", asked, by=SPAWNER)
    assert (refused.status, refused.field) == (400, "project")
    granted = await rest(
        "POST", "spawner/requests", {**asked, "groups": ["course-ml101"]}, by=SPAWNER
    )
    assert (granted.status, granted.body["project"]) == (200, "ml101")
    bad = await rest("POST", "spawner/requests", {**asked, "groups": "x"}, by=SPAWNER)
    assert (bad.status, bad.field) == (400, "groups")


async def reclaimed(site: Site, rest: RestClient) -> tuple[str, int]:
    """A session that has run and is back in the queue; its id and the run that is over."""
    key = await submitted(rest, preemptible=True)
    Queue(site).pass_once()
    run_id = site.store.get(key).run_id
    assert run_id is not None
    site.store.transition(key, Status.PREEMPTED, Why(), by="scheduler")
    Launcher(site).end(key, Status.TERMINATED, Why(), by="spawner", run_id=run_id)
    return key, run_id


async def test_a_report_about_an_earlier_run_is_no_news(site: Site, rest: RestClient) -> None:
    key, run_id = await reclaimed(site, rest)
    assert site.store.get(key).status == "PENDING"
    ended = {"outcome": "TERMINATED", "server_gone": True, "run_id": run_id}
    answer = await rest("POST", f"spawner/sessions/{key}/ended", ended, by=SPAWNER)
    assert (answer.status, answer.body["status"]) == (200, "PENDING")
    Queue(site).pass_once()
    assert site.store.get(key).status == "SCHEDULED"
    late = {"to": "RUNNING", "run_id": run_id}
    answer = await rest("POST", f"spawner/sessions/{key}/status", late, by=SPAWNER)
    assert answer.status == 409
    assert site.store.get(key).status == "SCHEDULED"


async def test_a_session_that_is_being_reclaimed_has_no_grant(site: Site, rest: RestClient) -> None:
    key = await submitted(rest, preemptible=True)
    Queue(site).pass_once()
    site.store.transition(key, Status.PREEMPTED, Why(), by="scheduler")
    answer = await rest("GET", f"spawner/sessions/{key}/wait?since=0", by=SPAWNER)
    assert answer.body["grant"] is None
    row = site.store.get(key)
    again = {"user": "ann", "server_name": row.server_name, "options": row.options}
    answer = await rest("POST", "spawner/requests", again, by=SPAWNER)
    assert answer.status == 409, "the spawner asks again in a moment"


async def test_who_gives_up_what_is_being_reclaimed_does_not_get_it_back(
    site: Site, rest: RestClient
) -> None:
    key = await submitted(rest, preemptible=True)
    Queue(site).pass_once()
    site.store.transition(key, Status.PREEMPTED, Why(), by="scheduler")
    row = site.store.get(key)
    ended = {"user": "ann", "server_name": row.server_name, "outcome": "CANCELLED"}
    answer = await rest("POST", "spawner/ended", ended, by=SPAWNER)
    assert (answer.status, answer.body["status"]) == (200, "TERMINATED")


async def test_a_silent_engine_costs_nobody_the_way_back_to_the_queue(
    site: Site, rest: RestClient
) -> None:
    key = await submitted(rest, preemptible=True)
    Queue(site).pass_once()
    run_id = site.store.get(key).run_id
    site.store.transition(key, Status.PREEMPTED, Why(), by="scheduler")
    site.engine = SilentEngine()
    ended = {"outcome": "TERMINATED", "run_id": run_id}
    answer = await rest("POST", f"spawner/sessions/{key}/ended", ended, by=SPAWNER)
    assert (answer.status, answer.body["status"], answer.body["requeue"]) == (
        200,
        "PREEMPTED",
        True,
    )


@pytest.mark.parametrize("user", ["", "a b", "a\ud800", "a\x00", 7])
async def test_an_admin_submits_only_for_what_can_be_a_name(rest: RestClient, user: object) -> None:
    answer = await rest("POST", "sessions", {**ASKED, "user": user})
    assert answer.status == 400

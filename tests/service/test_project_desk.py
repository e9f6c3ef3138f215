"""Messages to a class, its end, and the report on its term."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from hub_ext.db.models import AuditRow, ProjectRow, RunRow, SessionRow
from hub_ext.projects.membership import Role
from hub_ext.sessions import class_over
from hub_ext.sessions.culler import Culler
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.notices import Notice, warn
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why
from hub_ext.site import Site

from .booked_rows import book
from .project_lab import ROOT, ProjectLab, course
from .project_rows import HOUR, add_session


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProjectLab]:
    async with course(site, monkeypatch) as found:
        yield found


def audited(lab: ProjectLab) -> list[str]:
    with lab.site.database.transaction() as db:
        return [row.action for row in db.query(AuditRow).order_by(AuditRow.id)]


async def test_members_read_a_message_until_it_is_taken_back(lab: ProjectLab) -> None:
    fields = {"text": "Save your <b>work</b>", "level": "warning", "for": "hour"}
    for _ in range(2):
        assert (await lab.send("projects/ml101/messages/new", fields)).code == 303
    assert "Save your &lt;b&gt;work" in await lab.text("", "ann")
    assert "Save your" not in await lab.text("", "zoe")
    page = await lab.text("projects/ml101/messages")
    assert page.count("data-message=") == 1, "sent twice by a double click"
    number = page.partition('data-message="')[2].partition('"')[0]
    members = await lab.rest("GET", "projects/ml101/announcements", by="ann")
    assert [each["text"] for each in members.body["announcements"]] == ["Save your <b>work</b>"]
    assert (await lab.send(f"projects/ml101/messages/{number}/end")).code == 303
    assert (await lab.send(f"projects/ml101/messages/{number}/end")).code == 409
    assert "Save your" not in await lab.text("", "ann")
    members = await lab.rest("GET", "projects/ml101/announcements", by="ann")
    assert members.body["announcements"] == []
    mine = await lab.rest("GET", "projects/ml101/announcements", by="tess")
    assert [each["state"] for each in mine.body["announcements"]] == ["taken_back"]
    assert audited(lab)[-2:] == ["announcement.create", "announcement.end"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"text": " ", "level": "info", "for": "day"}, "text"),
        ({"text": "x" * 1001, "level": "info", "for": "day"}, "text"),
        ({"text": "a\x7fb", "level": "info", "for": "day"}, "text"),
        ({"text": "x", "level": "shout", "for": "day"}, "level"),
        ({"text": "x", "level": "info", "for": "year"}, "for an hour"),
    ],
)
async def test_a_message_that_cannot_be_is_refused(
    lab: ProjectLab, fields: dict[str, str], said: str
) -> None:
    answer = await lab.send("projects/ml101/messages/new", {**fields})
    assert answer.code == 400
    assert said in answer.body.decode()


async def test_a_message_has_lines_but_no_other_control_signs(lab: ProjectLab) -> None:
    path = "projects/ml101/announcements"
    good = await lab.rest("POST", path, {"text": " a\r\nb "}, by="tess")
    assert (good.status, good.body["text"]) == (201, "a\nb")
    assert (await lab.rest("POST", path, {"text": "a\x00b"}, by="tess")).status == 400


async def test_a_message_of_another_project_cannot_be_taken_back(lab: ProjectLab) -> None:
    lab.site.projects.create("other", {}, by=ROOT)
    sent = await lab.rest("POST", "projects/other/announcements", {"text": "x"}, by="root")
    path = f"projects/ml101/announcements/{sent.body['id']}"
    theirs = await lab.rest("DELETE", path, by="tess")
    missing = await lab.rest("DELETE", "projects/ml101/announcements/999", by="tess")
    assert (theirs.status, theirs.body) == (missing.status, missing.body) == (404, theirs.body)


def classroom(lab: ProjectLab) -> dict[str, str]:
    """Sessions of every kind, with one of a project below and one of another."""
    lab.site.projects.create("ml101-b", {"parent": "ml101"}, by=ROOT)
    lab.site.projects.create("other", {}, by=ROOT)
    with lab.site.database.transaction() as db:
        rows = {
            "runs": book(db, "gpu-1", {0: 300}, user="ann", project="ml101"),
            "below": book(db, "gpu-1", {0: 300}, user="bob", project="ml101-b"),
            "own": book(db, "gpu-1", {0: 300}, user="tess", project="ml101"),
            "starts": book(db, "gpu-1", {1: 300}, user="cleo", project="ml101", status="STARTING"),
            "other": book(db, "gpu-1", {1: 300}, user="dora", project="other"),
            "waits": add_session(db, "ml101", "ann"),
        }
        return {name: row.id for name, row in rows.items()}


def states(lab: ProjectLab, ids: dict[str, str]) -> dict[str, str]:
    """TERMINATED too while the hub still stops it: that takes as long as it takes."""
    found = {name: lab.site.store.get(key).status for name, key in ids.items()}
    stopping = {"TERMINATING": "TERMINATED"}
    return {name: stopping.get(status, status) for name, status in found.items()}


async def cull(lab: ProjectLab, site: Site | None = None) -> None:
    """A culler that has just started, as after a restart of the service."""
    culler = Culler(site or lab.site, Launcher(site or lab.site))
    await culler.activity.read()
    culler.once()
    culler.once()


async def test_the_class_ends_with_a_warning_and_leaves_others_alone(lab: ProjectLab) -> None:
    ids = classroom(lab)
    page = await lab.text("projects/ml101/stop")
    assert "3 sessions run" in page
    assert "1 is starting" in page
    assert "1 waits" in page
    fields = await lab.form("projects/ml101/stop", "stop-all")
    assert fields == {"when": "warning", "keep_own": "1"}
    for _ in range(2):
        answer = await lab.send("projects/ml101/stop/all", fields)
        assert answer.code == 303
    assert states(lab, ids) == {
        "runs": "RUNNING",
        "below": "RUNNING",
        "own": "RUNNING",
        "starts": "TERMINATED",
        "other": "RUNNING",
        "waits": "CANCELLED",
    }
    warned = {name: lab.site.store.get(key).notice_message for name, key in ids.items()}
    assert warned["runs"] == warned["below"] == "tess ends all sessions of project ml101."
    assert warned["own"] == warned["other"] == ""
    first = lab.site.store.get(ids["runs"]).stops_at
    assert first is not None
    assert first - time.time() == pytest.approx(lab.site.policy.ending_warning_s, abs=60)
    await cull(lab)
    assert lab.site.store.get(ids["runs"]).stops_at == first, "a restart loses no warning"
    assert audited(lab)[-1] == "project.end_sessions"
    with lab.site.database.transaction() as db:
        for name in ("runs", "below"):
            row = db.get_one(SessionRow, ids[name])
            row.stops_at = row.ends_at = time.time() - 1
    await cull(lab)
    ended = states(lab, ids)
    assert (ended["runs"], ended["below"], ended["own"]) == (
        "TERMINATED",
        "TERMINATED",
        "RUNNING",
    )
    history = [step.message for step in lab.site.store.history(ids["runs"])]
    assert "tess ends all sessions of project ml101." in history[-1]


async def test_now_means_now(lab: ProjectLab) -> None:
    ids = classroom(lab)
    assert (await lab.send("projects/ml101/stop/all", {"when": "now"})).code == 303
    found = states(lab, ids)
    assert {found[name] for name in ("runs", "below", "own", "starts")} == {"TERMINATED"}
    assert (found["waits"], found["other"]) == ("CANCELLED", "RUNNING")
    nothing = await lab.rest("POST", "projects/ml101/stop-sessions", {}, by="tess")
    assert nothing.body == {"warned": 0, "stopped": 0, "cancelled": 0, "stops_at": None}


async def test_the_end_can_be_called_off_until_it_comes(lab: ProjectLab) -> None:
    ids = classroom(lab)
    asked = await lab.rest("POST", "projects/ml101/stop-sessions", {}, by="tess")
    assert (asked.body["warned"], asked.body["cancelled"]) == (3, 1)
    assert "Let them run on" in await lab.text("projects/ml101")
    assert (await lab.send("projects/ml101/stop/call-off")).code == 303
    row = lab.site.store.get(ids["runs"])
    assert (row.stops_at, row.ends_at, row.notice_code) == (None, None, "")
    await cull(lab)
    assert states(lab, ids)["runs"] == "RUNNING"
    again = await lab.rest("DELETE", "projects/ml101/stop-sessions", by="tess")
    assert again.body == {"kept": 0}


async def test_a_sooner_warning_stays_and_the_class_ends_all_the_same(lab: ProjectLab) -> None:
    ids = classroom(lab)
    soon = time.time() + 30
    with lab.site.database.transaction() as db:
        db.get_one(SessionRow, ids["runs"]).lifetime_s = 1
    warn(lab.site.store, ids["runs"], Notice("lifetime", "Its lifetime is over.", soon))
    await lab.rest("POST", "projects/ml101/stop-sessions", {}, by="tess")
    assert lab.site.store.get(ids["runs"]).notice_code == "lifetime"
    with lab.site.database.transaction() as db:
        db.get_one(SessionRow, ids["runs"]).lifetime_s = None
    await cull(lab)
    row = lab.site.store.get(ids["runs"])
    assert (row.notice_code, row.stops_at) == ("asked", row.ends_at), "the lifetime was extended"


async def test_what_is_reclaimed_after_the_class_does_not_come_back(lab: ProjectLab) -> None:
    ids = classroom(lab)
    store = lab.site.store
    warn(store, ids["runs"], Notice("reclaim", "For others.", time.time() + 900, ids["waits"]))
    await lab.rest("POST", "projects/ml101/stop-sessions", {}, by="tess")
    assert store.get(ids["runs"]).notice_code == "reclaim"
    store.transition(ids["runs"], Status.PREEMPTED, Why(), by="scheduler")
    launcher = Launcher(lab.site)
    launcher.end(ids["runs"], Status.TERMINATED, Why(), by="service")
    assert store.get(ids["runs"]).status == "TERMINATED"


@pytest.mark.parametrize("warning_s", [-1, 601, float("inf"), "now"])
async def test_a_warning_that_cannot_be_is_refused(lab: ProjectLab, warning_s: object) -> None:
    path = "projects/ml101/stop-sessions"
    answer = await lab.rest("POST", path, {"warning_s": warning_s}, by="tess")
    assert answer.status == 400


async def test_the_report_counts_what_each_member_used_in_the_term(lab: ProjectLab) -> None:
    now = time.time()
    since = now - 30 * 86400
    lab.site.projects.change("ml101", {"valid_from": since, "budget_gpu_h": 50.0}, by=ROOT)
    lab.site.projects.create("ml101-b", {"parent": "ml101"}, by=ROOT)
    lab.site.projects.roster.add("ml101", "=cmd|calc", Role.MEMBER, {}, by=ROOT)
    with lab.site.database.transaction() as db:
        for user, project, begin, length, gpu_milli, waited in (
            ("ann", "ml101", now - 10 * HOUR, 4 * HOUR, 500, 60.0),
            ("ann", "ml101-b", now - 5 * HOUR, 1 * HOUR, 1000, 180.0),
            ("bob", "ml101", since - 2 * HOUR, 3 * HOUR, 1000, 5.0),
            ("guest", "ml101", now - HOUR, HOUR / 2, 0, 1.0),
        ):
            asked = begin - waited
            row = add_session(db, project, user, status="TERMINATED", submitted_at=asked)
            run = RunRow(session_id=row.id, user=user, project=project, gpu_milli=gpu_milli)
            run.cpu_milli, run.memory_mib = 1000, 1024
            run.started_at, run.ended_at = begin, begin + length
            db.add(run)
        add_session(db, "ml101", "bob", submitted_at=now - 20)
    found = (await lab.rest("GET", "projects/ml101/report", by="tess")).body
    users = {user["user"]: user for user in found["users"]}
    assert set(users) == {"=cmd|calc", "ann", "bob", "guest", "tess"}
    assert (users["ann"]["sessions"], users["ann"]["waited_s"]) == (2, pytest.approx(120.0))
    assert users["ann"]["fgpu_h"] == pytest.approx(3.0)
    assert users["ann"]["last_seen"] == pytest.approx(now - 4 * HOUR, abs=1)
    assert users["bob"]["fgpu_h"] == pytest.approx(1.0), "what is before the term does not count"
    assert users["bob"]["sessions"] == 1
    assert (users["guest"]["role"], users["guest"]["fgpu_h"]) == (None, 0.0)
    assert users["tess"]["last_seen"] is None
    assert found["fgpu_h"] == pytest.approx(4.0)
    assert (found["sessions"], found["active_users"]) == (4, 3)
    page = await lab.text("projects/ml101/report")
    assert 'data-user="=cmd|calc"' in page
    assert "4 of 50" in page


async def test_no_cell_of_the_csv_is_a_formula(lab: ProjectLab) -> None:
    for user in ("=cmd|calc", "+1", "-1", "@x", "plain"):
        lab.site.projects.roster.add("ml101", user, Role.MEMBER, {}, by=ROOT)
    for path in ("projects/ml101/report.csv", "api/v1/projects/ml101/report?format=csv"):
        answer = await lab.page(path)
        assert answer.headers["Content-Type"].startswith("text/csv")
        lines = list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))
        assert lines[0][0] == "user"
        users = {line[0] for line in lines[1:]}
        assert {"'=cmd|calc", "'+1", "'-1", "'@x", "plain"} <= users
    accepted = await lab.page("api/v1/projects/ml101/report", Accept="text/csv")
    assert accepted.headers["Content-Type"].startswith("text/csv")
    members = await lab.text("projects/ml101/members.csv")
    assert "'=cmd|calc,member" in members
    assert (await lab.page("api/v1/projects/ml101/report?format=pdf")).code == 400


async def test_gpu_hours_are_fgpu_hours_in_the_report(lab: ProjectLab) -> None:
    unit = replace(lab.site.policy.unit, per_gpu=2)
    lab.site.policy = replace(lab.site.policy, unit=unit)
    now = time.time()
    with lab.site.database.transaction() as db:
        row = add_session(db, "ml101", "ann", status="TERMINATED", submitted_at=now - 2 * HOUR)
        run = RunRow(session_id=row.id, user="ann", project="ml101", gpu_milli=1000)
        run.cpu_milli, run.memory_mib = 1000, 1024
        run.started_at, run.ended_at = now - 2 * HOUR, now - HOUR
        db.add(run)
        project = db.get_one(ProjectRow, "ml101")
        project.created_at = now - 3 * HOUR
    found = (await lab.rest("GET", "projects/ml101/report", by="tess")).body
    assert found["fgpu_h"] == pytest.approx(2.0)


async def test_others_are_served_while_the_sessions_of_a_class_are_ended(lab: ProjectLab) -> None:
    with lab.site.database.transaction() as db:
        for number in range(20):
            add_session(db, "ml101", f"user{number}", id=f"{number:032x}")
    ending = asyncio.ensure_future(
        class_over.end_all(
            lab.site, Launcher(lab.site), "ml101", by=ROOT, warning_s=0.0, spare=None
        )
    )
    served = 0
    while not ending.done():
        await asyncio.sleep(0)
        served += 1
    assert ending.result().cancelled >= 20
    assert served >= 20

"""Projects as the scheduler gets them from the database."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.models import DeviceRow, NodeRow
from hub_ext.hours import read_windows
from hub_ext.projects.shares import allowed, greatest_quota, scheduler_projects
from hub_ext.projects.tree import read_projects
from hub_ext.scheduling import model, schedule
from hub_ext.site import Policy
from tests.service.project_rows import HOUR, add_project, add_run, add_session

BERLIN = ZoneInfo("Europe/Berlin")
POLICY = Policy(timezone=BERLIN)
OFFICE = read_windows(
    [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "until": "18:00"}], "hours"
)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


FRIDAY_NOON = at("2026-11-20 12:00")
FRIDAY_EVENING = at("2026-11-20 19:00")


def seen(
    db: Session, now: float = FRIDAY_NOON, policy: Policy = POLICY
) -> dict[str, model.Project]:
    return {each.name: each for each in scheduler_projects(db, policy, now)}


def decide(db: Session, *sessions: model.Session, now: float = FRIDAY_NOON) -> model.Decisions:
    """One pass over a node with two GPUs."""
    node = model.Node("gpu-1", (model.Device(0, 8192), model.Device(1, 8192)), 64_000, 1 << 18)
    projects = scheduler_projects(db, POLICY, now)
    return schedule(model.Snapshot(now, (node,), projects, sessions))


def wants(id: str, project: str, gpu_milli: int = 1000, **more: Any) -> model.Session:
    return model.Session(id, "ann", project, model.Demand(gpu_milli, 1000, 1024), **more)


def started(decisions: model.Decisions) -> set[str]:
    return {start.session_id for start in decisions.starts}


def why(decisions: model.Decisions, id: str) -> str:
    return next(each.reason.message for each in decisions.waiting if each.session_id == id)


def test_a_new_site_has_one_project_that_everything_may_run_in(database: Database) -> None:
    with database.transaction() as db:
        assert list(seen(db)) == ["default"]
        assert started(decide(db, wants("a", "default"), wants("b", "default"))) == {"a", "b"}


def test_what_the_tables_say_is_what_the_scheduler_gets(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "dept")
        add_project(
            db,
            "ml101",
            parent="dept",
            priority=3,
            quota_gpu_milli=2000,
            quota_cpu_milli=8000,
            limit_gpu_milli=4000,
            limit_memory_mib=65536,
            weight_gpu=2.0,
            weight_memory=0.0,
            reclaim_min_runtime_s=600.0,
            preempt_min_runtime_s=60.0,
        )
        assert seen(db)["ml101"] == model.Project(
            "ml101",
            parent="dept",
            quota=model.Resources(2000, 8000, -1),
            limit=model.Resources(4000, -1, 65536),
            over_quota_weight=model.Weights(2.0, None, 0.0),
            priority=3,
            created_order=2,
            reclaim_min_runtime_s=600.0,
            preempt_min_runtime_s=60.0,
        )


def test_the_quota_of_the_hour_replaces_the_quota(database: Database) -> None:
    hours = read_windows(
        [{"from": "08:00", "until": "18:00", "gpu_milli": 1000}], "quota_hours", also=("gpu_milli",)
    )
    with database.transaction() as db:
        row = add_project(
            db, "ml101", quota_gpu_milli=2000, quota_cpu_milli=9000, quota_hours=hours
        )
        assert seen(db, FRIDAY_NOON)["ml101"].quota == model.Resources(1000, 9000, -1)
        assert seen(db, FRIDAY_EVENING)["ml101"].quota == model.Resources(2000, 9000, -1)
        assert greatest_quota(row) == model.Resources(2000, 9000, -1)
        asks = (wants("a", "ml101"), wants("b", "ml101"))
        assert len(started(decide(db, *asks, now=FRIDAY_NOON))) == 1
        assert len(started(decide(db, *asks, now=FRIDAY_EVENING))) == 2


def test_an_hour_without_a_quota_of_its_own_may_be_the_unlimited_one(database: Database) -> None:
    hours = read_windows(
        [{"from": "22:00", "until": "06:00", "gpu_milli": -1}], "quota_hours", also=("gpu_milli",)
    )
    with database.transaction() as db:
        row = add_project(db, "ml101", quota_gpu_milli=0, limit_gpu_milli=8000, quota_hours=hours)
        assert greatest_quota(row).gpu_milli == -1
        assert seen(db, at("2026-11-20 23:00"))["ml101"].quota.gpu_milli == -1


def test_a_quota_above_the_limit_counts_up_to_the_limit(database: Database) -> None:
    hours = [{"days": ["fri"], "from": "08:00", "until": "18:00", "gpu_milli": 9000}]
    with database.transaction() as db:
        add_project(
            db,
            "ml101",
            quota_cpu_milli=5000,
            limit_cpu_milli=4000,
            limit_gpu_milli=3000,
            quota_hours=hours,
        )
        assert seen(db)["ml101"].quota == model.Resources(3000, 4000, -1)
        decide(db)


def test_outside_its_hours_a_project_says_when_it_opens(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101", hours=OFFICE)
        assert started(decide(db, wants("a", "ml101"))) == {"a"}
        evening = decide(db, wants("a", "ml101"), now=FRIDAY_EVENING)
        assert not evening.starts
        assert why(evening, "a") == (
            "Project ml101 is open Mon-Fri 08:00-18:00; it opens again on Monday at 08:00."
        )


def test_a_closed_department_closes_its_courses(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "dept", hours=OFFICE)
        add_project(db, "ml101", parent="dept")
        evening = decide(db, wants("a", "ml101"), wants("b", "default"), now=FRIDAY_EVENING)
        assert started(evening) == {"b"}
        assert why(evening, "a").startswith("Project dept is open Mon-Fri")


@pytest.mark.parametrize(
    ("term", "sentence"),
    [
        ({"valid_until": at("2026-10-01 00:00")}, "The term of project x ended on 2026-09-30."),
        ({"valid_until": at("2026-09-30 23:59")}, "The term of project x ended on 2026-09-30."),
        ({"valid_from": at("2026-12-01 00:00")}, "The term of project x starts on 2026-12-01."),
        (
            {"valid_from": at("2026-11-20 13:30")},
            "The term of project x starts on 2026-11-20 at 13:30.",
        ),
        ({"valid_from": 253402300799.0}, "The term of project x starts on 9999-12-3"),
        ({"valid_from": FRIDAY_NOON, "valid_until": FRIDAY_NOON + 1}, ""),
        ({"archived_at": 5.0}, "Project x is archived."),
    ],
)
def test_a_project_without_a_term_today_is_closed(
    database: Database, term: dict[str, float], sentence: str
) -> None:
    with database.transaction() as db:
        add_project(db, "x", **term)
        add_session(db, "x")
        closed = seen(db)["x"].closed
    assert closed.startswith(sentence)
    assert bool(closed) == bool(sentence)


def test_archived_projects_are_seen_only_while_a_session_lives_there(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "old-dept", archived_at=1.0)
        add_project(db, "old", parent="old-dept", archived_at=1.0)
        assert "old" not in seen(db)
        session = add_session(db, "old", status="RUNNING")
        assert list(seen(db)) == ["default", "old-dept", "old"]
        decisions = decide(db, wants("a", "old"), wants("b", "default"))
        assert started(decisions) == {"b"}
        assert why(decisions, "a") == "Project old is archived."
        session.status, session.ended_at = "TERMINATED", 2.0
        db.flush()
        assert list(seen(db)) == ["default"]


def test_a_session_of_an_unknown_project_waits_and_harms_nobody(database: Database) -> None:
    with database.transaction() as db:
        add_session(db, "ghost")
        decisions = decide(db, wants("a", "ghost"), wants("b", "default"))
        assert started(decisions) == {"b"}
        assert why(decisions, "a") == "There is no project ghost now."


def test_what_runs_in_an_unknown_project_is_over_quota(database: Database) -> None:
    with database.transaction() as db:
        add_session(db, "ghost", status="RUNNING")
        place = (model.TaskPlacement("gpu-1", (model.Slice(0, 1000), model.Slice(1, 1000))),)
        lost = wants("a", "ghost", 2000, state="running", placements=place, preemptible=True)
        decisions = decide(db, lost, wants("b", "default"))
        assert [eviction.session_id for eviction in decisions.evictions] == ["a"]


def test_a_circle_of_parents_stops_those_in_it_and_nobody_else(database: Database) -> None:
    with database.transaction() as db:
        one, other = add_project(db, "one"), add_project(db, "other", parent="one")
        add_project(db, "below", parent="other")
        self_made = add_project(db, "self-made")
        one.parent, self_made.parent = "other", "self-made"
        db.flush()
        asks = [wants(name, name, 100) for name in ("one", "other", "self-made", "below")]
        assert started(decide(db, *asks, wants("b", "default", 100))) == {"b"}
        assert other.parent == "one"


def test_the_lists_of_those_above_narrow_what_is_allowed(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "dept", resource_groups=["a100", "old"])
        add_project(db, "ml101", parent="dept", resource_groups=["old", "cpu"])
        add_project(db, "nlp", parent="dept")
        rows = read_projects(db)
    assert allowed(rows, "ml101", "resource_groups") == {"old"}
    assert allowed(rows, "nlp", "resource_groups") == {"a100", "old"}
    assert allowed(rows, "default", "resource_groups") is None
    assert allowed(rows, "ml101", "images") is None


def test_past_use_counts_only_where_shares_look_back(database: Database) -> None:
    with database.transaction() as db:
        node = NodeRow(name="gpu-1", cpu_milli=1, memory_mib=1, labels={}, seen_at=0.0)
        node.devices = [DeviceRow(device=0, uuid="GPU-0", model="test", memory_mib=8192)]
        db.add(node)
        add_project(db, "ml101")
        add_run(db, "ml101", FRIDAY_NOON - 1e6 * HOUR, None, gpu_milli=500)
        assert seen(db)["ml101"].usage == 0.0
        aware = replace(POLICY, time_aware_k=1.0)
        assert seen(db, policy=aware)["ml101"].usage == pytest.approx(0.5)
        assert seen(db, policy=aware)["default"].usage == 0.0


def test_past_use_lowers_what_a_project_gets_beyond_its_quota(database: Database) -> None:
    with database.transaction() as db:
        node = NodeRow(name="gpu-1", cpu_milli=1, memory_mib=1, labels={}, seen_at=0.0)
        node.devices = [
            DeviceRow(device=n, uuid=f"GPU-{n}", model="test", memory_mib=8192) for n in (0, 1)
        ]
        db.add(node)
        for name in ("greedy", "modest"):
            add_project(db, name, quota_gpu_milli=0, weight_gpu=1.0)
        add_run(db, "greedy", FRIDAY_NOON - 1e6 * HOUR, None, gpu_milli=2000)
        aware = replace(POLICY, time_aware_k=1.0)
        projects = scheduler_projects(db, aware, FRIDAY_NOON)
    place = model.Node("gpu-1", (model.Device(0, 8192), model.Device(1, 8192)), 64_000, 1 << 18)
    asks = tuple(
        wants(f"{name}-{n}", name, preemptible=True)
        for name in ("greedy", "modest")
        for n in (0, 1)
    )
    looking_back = model.Snapshot(FRIDAY_NOON, (place,), projects, asks, time_aware_k=1.0)
    forgetful = replace(looking_back, time_aware_k=0.0)
    shares = [schedule(each).fair_share["modest"].gpu_milli for each in (looking_back, forgetful)]
    assert shares == [2000, 1000]

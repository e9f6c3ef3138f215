"""Pending sessions that a member's limit or a budget holds back."""

from __future__ import annotations

from dataclasses import replace
from time import time

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.models import SessionRow
from hub_ext.fgpu import FgpuUnit
from hub_ext.projects.held import held_reasons
from hub_ext.projects.shares import scheduler_projects
from hub_ext.scheduling import model, schedule
from hub_ext.site import Policy
from tests.service.project_rows import HOUR, add_member, add_project, add_run, add_session

POLICY = Policy()


def held(db: Session, *rows: SessionRow, policy: Policy = POLICY) -> dict[str, model.Reason]:
    return held_reasons(db, policy, time(), rows)


def one_pass(db: Session, *rows: SessionRow) -> model.Decisions:
    """What the scheduler makes of these pending sessions on an empty node of 8 GPUs."""
    reasons, now = held(db, *rows), time()
    sessions = tuple(
        model.Session(
            row.id,
            row.user,
            row.project,
            model.Demand(row.gpu_milli, row.cpu_milli, row.memory_mib),
            priority=row.priority,
            order=row.order,
            held=reasons.get(row.id),
        )
        for row in rows
    )
    node = model.Node("n", tuple(model.Device(n, 8192) for n in range(8)), 64_000, 1 << 18)
    return schedule(model.Snapshot(now, (node,), scheduler_projects(db, POLICY, now), sessions))


def test_nobody_is_held_without_a_limit(database: Database) -> None:
    with database.transaction() as db:
        rows = [add_session(db, "default") for _ in range(3)]
        add_session(db, "default", status="RUNNING")
        assert held(db, *rows) == {}
        assert held(db) == {}


def test_third_session_waits_until_one_ends(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101", member_limits={"max_sessions": 2})
        running = [add_session(db, "ml101", status="RUNNING") for _ in range(2)]
        third = add_session(db, "ml101")
        reason = held(db, third)[third.id]
        assert reason.code == "member_limit"
        assert reason.message == (
            "ann has 2 running of at most 2 sessions at once in project ml101."
        )
        running[0].status, running[0].ended_at = "TERMINATED", 1.0
        db.flush()
        assert held(db, third) == {}


def test_as_many_start_as_the_limit_leaves_the_first_in_line_first(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101", member_limits={"max_sessions": 3})
        add_session(db, "ml101", status="STARTING")
        rows = [add_session(db, "ml101", priority=priority) for priority in (0, 0, 0, 5)]
        decisions = one_pass(db, *rows)
        assert {start.session_id for start in decisions.starts} == {rows[0].id, rows[3].id}
        waiting = {each.session_id: each.reason for each in decisions.waiting}
        assert waiting[rows[1].id].message == (
            "ann has 1 running of at most 3 sessions at once in project ml101,"
            " and 2 that wait ahead of this one."
        )


@pytest.mark.parametrize("status", ["SCHEDULED", "PREPARING", "RUNNING", "TERMINATING"])
def test_whatever_holds_a_booking_counts(database: Database, status: str) -> None:
    with database.transaction() as db:
        add_project(db, "ml101", member_limits={"max_sessions": 1})
        add_session(db, "ml101", status=status)
        assert list(held(db, add_session(db, "ml101")))


def test_limits_are_of_a_member_in_a_project(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101", member_limits={"max_sessions": 1})
        add_session(db, "ml101", status="RUNNING")
        rows = [
            add_session(db, "ml101"),
            add_session(db, "ml101", user="bob"),
            add_session(db, "default"),
        ]
        assert set(held(db, *rows)) == {rows[0].id}


def test_a_members_own_limit_goes_before_the_projects(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101", member_limits={"max_sessions": 1})
        add_member(db, "ml101", "ann", max_sessions=2)
        add_member(db, "ml101", "bob")
        add_project(db, "nlp")
        add_member(db, "nlp", "cem", max_sessions=0)
        rows = [
            add_session(db, project, user=user)
            for project, user in (("ml101", "ann"), ("ml101", "bob"), ("nlp", "cem"))
            for _ in range(2)
        ]
        assert set(held(db, *rows)) == {rows[3].id, rows[4].id, rows[5].id}


def test_a_session_that_is_not_stored_yet_is_judged_like_the_others(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101", member_limits={"max_sessions": 1})
        waiting = add_session(db, "ml101")
        new = SessionRow(
            id="dry-run", user="ann", project="ml101", gpu_milli=0, priority=0, order=99
        )
        assert set(held(db, waiting, new)) == {"dry-run"}


def test_a_spent_budget_holds_sessions_with_a_gpu(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101", budget_gpu_h=10.0)
        add_run(db, "ml101", time() - 6 * HOUR, None, gpu_milli=2000)
        rows = [add_session(db, "ml101"), add_session(db, "ml101", gpu_milli=0)]
        decisions = one_pass(db, *rows)
        assert {start.session_id for start in decisions.starts} == {rows[1].id}
        reason = decisions.waiting[0].reason
        assert reason.code == "budget"
        assert reason.message == ("Project ml101 has used 12.0 of its budget of 10.0 fGPU-hours.")
        halves = replace(POLICY, unit=FgpuUnit(2, 100))
        assert "24.0 of its budget of 20.0" in held(db, *rows, policy=halves)[rows[0].id].message


def test_a_budget_that_is_not_used_up_holds_nobody(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101", budget_gpu_h=10.0, valid_from=time() - 4 * HOUR)
        add_run(db, "ml101", time() - 20 * HOUR, None, gpu_milli=2000)
        assert held(db, add_session(db, "ml101")) == {}


def test_the_spent_budget_of_a_department_holds_its_courses(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "dept", budget_gpu_h=1.0)
        for name in ("ml101", "nlp"):
            add_project(db, name, parent="dept", budget_gpu_h=100.0)
        add_run(db, "nlp", time() - 3 * HOUR, time() - HOUR)
        row = add_session(db, "ml101")
        assert held(db, row)[row.id].message.startswith("Project dept has used 2.0")


def test_a_session_without_budget_takes_no_place_of_one_that_may_start(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101", budget_gpu_h=0.0, member_limits={"max_sessions": 1})
        rows = [add_session(db, "ml101", gpu_milli=500), add_session(db, "ml101", gpu_milli=0)]
        assert {id: reason.code for id, reason in held(db, *rows).items()} == {rows[0].id: "budget"}


def test_a_session_of_an_unknown_project_is_none_of_its_business(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101", budget_gpu_h=0.0, member_limits={"max_sessions": 1})
        assert held(db, add_session(db, "ghost")) == {}


def test_many_sessions_cost_no_more_questions_than_few(database: Database) -> None:
    asked: list[str] = []
    with database.transaction() as db:
        rows = []
        for number in range(5):
            add_project(db, f"p{number}", budget_gpu_h=9.0, member_limits={"max_sessions": 1})
            rows += [add_session(db, f"p{number}", user=f"u{n}") for n in range(4)]

        def note(_connection: object, _cursor: object, sql: str, *_rest: object) -> None:
            asked.append(sql)

        event.listen(database.engine, "before_cursor_execute", note)
        held(db, rows[0])
        few = len(asked)
        held(db, *rows)
    assert len(asked) == 2 * few

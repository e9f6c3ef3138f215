"""GPU time that projects have used, added up at once or from minute to minute."""

from __future__ import annotations

import math

import pytest
from sqlalchemy import event

from hub_ext.db.connection import Database
from hub_ext.db.models import DeviceRow, NodeRow, RunRow
from hub_ext.projects.tree import read_projects
from hub_ext.projects.usage import UsageHistory, gpu_hours
from tests.service.project_rows import HOUR, add_project, add_run

NOW = 1_000_000.0
DAY = 24 * HOUR


def add_gpus(db: object, count: int) -> None:
    node = NodeRow(name="gpu-1", cpu_milli=64_000, memory_mib=1 << 18, labels={}, seen_at=NOW)
    node.devices = [
        DeviceRow(device=n, uuid=f"GPU-{n}", model="test", memory_mib=8192) for n in range(count)
    ]
    db.add(node)  # type: ignore[attr-defined]


def test_what_runs_now_counts_until_now(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101")
        add_run(db, "ml101", NOW - 10 * HOUR, NOW - 8 * HOUR, gpu_milli=500)
        running = add_run(db, "ml101", NOW - 3 * HOUR, None, gpu_milli=2000)
        assert gpu_hours(db, ["ml101"], NOW) == {"ml101": pytest.approx(1 + 6)}
        running.ended_at = NOW - 2 * HOUR
        db.flush()
        assert gpu_hours(db, ["ml101"], NOW) == {"ml101": pytest.approx(1 + 2)}


def test_only_the_term_counts(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101", valid_from=NOW - 5 * HOUR)
        add_run(db, "ml101", NOW - 9 * HOUR, NOW - 7 * HOUR)
        add_run(db, "ml101", NOW - 6 * HOUR, NOW - 4 * HOUR)
        assert gpu_hours(db, ["ml101"], NOW) == {"ml101": pytest.approx(1)}


def test_a_department_has_used_what_its_courses_have_used(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "dept", valid_from=NOW - 2 * HOUR)
        add_project(db, "ml101", parent="dept")
        add_project(db, "lab", parent="ml101", archived_at=NOW)
        add_project(db, "other")
        add_run(db, "lab", NOW - 4 * HOUR, NOW)
        add_run(db, "ml101", NOW - HOUR, None)
        add_run(db, "other", NOW - HOUR, None)
        used = gpu_hours(db, ["dept", "ml101", "nobody"], NOW)
    assert used == {"dept": pytest.approx(3), "ml101": pytest.approx(5), "nobody": 0.0}


def test_the_history_says_the_same_as_a_fresh_look(database: Database) -> None:
    history = UsageHistory()
    with database.transaction() as db:
        add_project(db, "ml101", budget_gpu_h=100.0)
        add_project(db, "free")
        add_run(db, "ml101", NOW - 5 * HOUR, NOW - HOUR)
        open_run = add_run(db, "ml101", NOW - 2 * HOUR, None)
        for later in (0.0, 30.0, 59.0, 61.0, 200.0, 3600.0):
            now = NOW + later
            if later == 59.0:
                open_run.ended_at = now
                db.flush()
            rows = read_projects(db).values()
            assert history.budgets(db, rows, now) == {
                "ml101": pytest.approx(gpu_hours(db, ["ml101"], now)["ml101"])
            }


def test_the_history_notices_a_new_term_at_once(database: Database) -> None:
    history = UsageHistory()
    with database.transaction() as db:
        row = add_project(db, "ml101", budget_gpu_h=100.0)
        add_run(db, "ml101", NOW - 5 * HOUR, NOW - HOUR)
        assert history.budgets(db, [row], NOW) == {"ml101": pytest.approx(4)}
        row.valid_from = NOW - 2 * HOUR
        db.flush()
        assert history.budgets(db, [row], NOW + 1) == {"ml101": pytest.approx(1)}


def test_a_cluster_held_for_ever_is_a_use_of_one(database: Database) -> None:
    with database.transaction() as db:
        add_gpus(db, 2)
        add_project(db, "dept")
        add_project(db, "ml101", parent="dept")
        add_run(db, "ml101", NOW - 1000 * DAY, None, gpu_milli=1000)
        add_run(db, "dept", NOW - 1000 * DAY, None, gpu_milli=1000)
        shares = UsageHistory().shares(db, read_projects(db), NOW, 7 * DAY)
    assert shares == {"ml101": pytest.approx(0.5), "dept": pytest.approx(1.0)}


def test_use_fades_by_half_in_each_half_life(database: Database) -> None:
    with database.transaction() as db:
        add_gpus(db, 4)
        add_project(db, "ml101")
        add_run(db, "ml101", NOW - 1000 * DAY, NOW, gpu_milli=4000)
        rows, history = read_projects(db), UsageHistory()
        for half_lives in (0, 1, 2, 5):
            now = NOW + half_lives * 7 * DAY
            part = history.shares(db, rows, now, 7 * DAY)["ml101"]
            assert part == pytest.approx(0.5**half_lives)


def test_use_added_up_by_and_by_is_use_added_up_at_once(database: Database) -> None:
    by_and_by, half_life = UsageHistory(), 2 * HOUR
    with database.transaction() as db:
        add_gpus(db, 1)
        add_project(db, "ml101")
        for minute in range(0, 600, 7):
            now = NOW + minute * 60
            if minute % 3 == 0:
                add_run(db, "ml101", now - 60 * (minute % 50), now - 30, gpu_milli=300)
            if minute % 10 == 0:
                add_run(db, "ml101", now, None, gpu_milli=100)
            if minute % 25 == 0:
                for run in db.query(RunRow).filter(RunRow.ended_at.is_(None)).limit(2):
                    run.ended_at = now
            db.flush()
            rows = read_projects(db)
            at_once = UsageHistory().shares(db, rows, now, half_life)
            assert by_and_by.shares(db, rows, now, half_life) == pytest.approx(at_once, abs=2e-4)


def test_a_clock_that_was_put_back_does_no_harm(database: Database) -> None:
    history = UsageHistory()
    with database.transaction() as db:
        add_gpus(db, 1)
        row = add_project(db, "ml101", budget_gpu_h=1.0)
        add_run(db, "ml101", NOW - 2 * HOUR, NOW - HOUR)
        rows = read_projects(db)
        history.shares(db, rows, NOW, HOUR)
        history.budgets(db, [row], NOW)
        before = NOW - 1.5 * HOUR
        fresh = UsageHistory().shares(db, rows, before, HOUR)
        assert history.shares(db, rows, before, HOUR) == pytest.approx(fresh)
        assert math.isfinite(history.budgets(db, [row], before)["ml101"])


def test_a_site_without_gpus_has_no_shares_of_them(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101")
        add_run(db, "ml101", NOW - HOUR, None)
        assert UsageHistory().shares(db, read_projects(db), NOW, HOUR) == {}


def test_asking_again_does_not_read_all_runs_again(database: Database) -> None:
    history = UsageHistory()
    read: list[str] = []
    with database.transaction() as db:
        add_gpus(db, 1)
        row = add_project(db, "ml101", budget_gpu_h=1.0)
        for number in range(20):
            add_run(db, "ml101", NOW - (5 + number) * HOUR, NOW - (4 + number) * HOUR)
        rows = read_projects(db)
        history.shares(db, rows, NOW, DAY)
        history.budgets(db, [row], NOW)

        def note(_c: object, _cursor: object, sql: str, *_rest: object) -> None:
            read.append(sql)

        event.listen(database.engine, "before_cursor_execute", note)
        history.shares(db, rows, NOW + 1, DAY)
        history.budgets(db, [row], NOW + 1)
    assert len([sql for sql in read if "runs" in sql]) == 2

"""What projects held, step by step: exact, whatever is cut off by steps and by now."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from hub_ext.db.connection import Database
from hub_ext.db.models import SessionRow
from hub_ext.projects.periods import NAMED, Period, latest
from hub_ext.projects.tree import read_projects
from hub_ext.projects.use_cache import UseCache
from hub_ext.projects.use_over_time import CPU, MEMORY, gpu_hours_by_user, use_over_time
from hub_ext.sessions.waiting_times import WaitingTimes, Waits
from tests.service.project_rows import HOUR, add_project, add_run

NOW = 1_760_000_000.0
"""A time of day: sums of such numbers must not lose their seconds."""


def day(steps: int = 24) -> Period:
    return Period(NOW - 24 * HOUR, NOW, steps)


def test_a_run_counts_in_each_step_by_its_part_of_it(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101")
        add_run(db, "ml101", NOW - 3.5 * HOUR, NOW - 1.75 * HOUR, gpu_milli=2000)
        use = use_over_time(db, Period(NOW - 4 * HOUR, NOW, 4), NOW)
    assert use.mean("ml101") == pytest.approx([1.0, 2.0, 0.5, 0.0])
    assert use.total("ml101") == pytest.approx(3.5)
    assert use.mean("nobody") == [0.0] * 4


def test_what_runs_now_counts_until_now_and_the_future_is_unknown(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101")
        add_run(db, "ml101", NOW - 30 * HOUR, None, gpu_milli=500)
        use = use_over_time(db, Period(NOW - HOUR, NOW + 2.5 * HOUR, 7), NOW + HOUR / 4)
    assert use.mean("ml101") == [pytest.approx(0.5)] * 3 + [None] * 4
    assert use.total("ml101") == pytest.approx(0.5 * 1.25)


def test_the_edges_of_steps_are_nobodys_loss(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101")
        add_run(db, "ml101", NOW - 3 * HOUR, NOW - 2 * HOUR)
        add_run(db, "ml101", NOW - 2 * HOUR, NOW - 2 * HOUR)
        add_run(db, "ml101", NOW - 9 * HOUR, NOW - 4 * HOUR)
        add_run(db, "ml101", NOW - HOUR, NOW)
        use = use_over_time(db, Period(NOW - 4 * HOUR, NOW, 4), NOW)
    assert use.mean("ml101") == pytest.approx([0.0, 1.0, 0.0, 1.0])


def test_any_runs_add_up_as_if_every_second_were_looked_at(database: Database) -> None:
    chance = random.Random(7)
    period = day(steps=13)
    runs = []
    with database.transaction() as db:
        add_project(db, "ml101")
        for _ in range(60):
            begin = NOW - chance.uniform(-1, 30) * HOUR
            end = None if chance.random() < 0.2 else begin + chance.expovariate(1 / (5 * HOUR))
            milli = chance.choice([0, 100, 500, 1000, 3000])
            runs.append((begin, end, milli))
            add_run(db, "ml101", begin, end, gpu_milli=milli)
        use = use_over_time(db, period, NOW)
    for step, begin in enumerate(period.times):
        end = begin + period.step_s
        held = sum(
            milli
            / 1000
            * max(0.0, min(end, NOW if last is None else min(last, NOW)) - max(begin, first))
            for first, last, milli in runs
        )
        assert use.mean("ml101")[step] == pytest.approx(held / period.step_s, abs=1e-6)


def test_those_below_count_for_a_department_if_asked(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "dept")
        add_project(db, "ml101", parent="dept")
        add_run(db, "ml101", NOW - HOUR, NOW, gpu_milli=500)
        add_run(db, "dept", NOW - HOUR, NOW, gpu_milli=1000)
        own = use_over_time(db, Period(NOW - HOUR, NOW, 1), NOW)
        with_below = own.with_below(read_projects(db))
        only = use_over_time(db, Period(NOW - HOUR, NOW, 1), NOW, projects=["ml101"])
    assert (own.total("dept"), own.total("ml101")) == (pytest.approx(1), pytest.approx(0.5))
    assert (with_below.total("dept"), with_below.total("ml101")) == (1.5, 0.5)
    assert only.projects == ["ml101"]


def test_cores_and_memory_are_added_up_too(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101")
        run = add_run(db, "ml101", NOW - HOUR, NOW)
        run.cpu_milli, run.memory_mib = 2500, 3 * 1024
        db.flush()
        period = Period(NOW - 2 * HOUR, NOW, 2)
        cores, memory = (use_over_time(db, period, NOW, each) for each in (CPU, MEMORY))
    assert cores.mean("ml101") == pytest.approx([0, 2.5])
    assert memory.mean("ml101") == pytest.approx([0, 3])


def test_users_are_told_apart(database: Database) -> None:
    with database.transaction() as db:
        add_project(db, "ml101")
        add_project(db, "other")
        add_run(db, "ml101", NOW - 3 * HOUR, NOW - HOUR, gpu_milli=500).user = "bob"
        add_run(db, "ml101", NOW - 2 * HOUR, None)
        add_run(db, "other", NOW - 2 * HOUR, None)
        db.flush()
        hours = gpu_hours_by_user(db, NOW - 2 * HOUR, NOW + HOUR, NOW, ["ml101"])
    assert hours == {("ml101", "bob"): pytest.approx(0.5), ("ml101", "ann"): pytest.approx(2)}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Asia/Kolkata"), ZoneInfo("Asia/Tokyo")])
def test_a_period_ends_with_the_step_under_way_at_round_local_times(
    name: str, zone: ZoneInfo
) -> None:
    period = latest(name, NOW, zone)
    assert period.end - period.step_s <= NOW < period.end
    assert (period.steps, period.step_s) == NAMED[name]
    later = latest(name, period.end - 1, zone)
    assert later == period
    offset = datetime.fromtimestamp(NOW, zone).utcoffset()
    assert offset is not None
    since_midnight = [(time + offset.total_seconds()) % (24 * HOUR) for time in period.times]
    assert not any(seconds % min(period.step_s, 24 * HOUR) for seconds in since_midnight)


def test_a_period_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="no 0 steps"):
        Period(0.0, 1.0, 0)
    with pytest.raises(ValueError, match="no 3 steps"):
        Period(1.0, 1.0, 3)


def test_what_is_kept_is_renewed_when_it_is_old(database: Database) -> None:
    cache = UseCache()
    with database.transaction() as db:
        add_project(db, "ml101")
        add_run(db, "ml101", NOW - HOUR, None)
        before = cache.latest(db, "day", NOW, UTC)
        assert cache.latest(db, "day", NOW + 10, UTC) is before
        after = cache.latest(db, "day", NOW + 300, UTC)
    assert after.total("ml101") == pytest.approx(before.total("ml101") + 300 / HOUR)


def test_waits_are_from_submission_or_the_wished_start_to_the_first_run(
    database: Database,
) -> None:
    waits = WaitingTimes()
    period = Period(NOW - 4 * HOUR, NOW, 2)
    with database.transaction() as db:
        add_project(db, "ml101")
        for waited, begin in ((60.0, NOW - 3 * HOUR), (100.0, NOW - 3 * HOUR), (600.0, NOW - HOUR)):
            run = add_run(db, "ml101", begin, begin + 60)
            session = db.get(SessionRow, run.session_id)
            assert session is not None
            session.submitted_at = begin - waited
            if waited == 600.0:  # of which it wished to wait 500 s
                session.not_before = begin - 100.0
                again = add_run(db, "ml101", begin + 120, None)
                again.session_id = session.id
        add_run(db, "ml101", NOW - 9 * HOUR, NOW - 8 * HOUR)
        db.flush()
        whole, steps = waits.over(db, period, NOW)
    assert steps[0] == Waits(2, pytest.approx(80.0), pytest.approx(98.0))  # type: ignore[arg-type]
    assert steps[1].median_s == pytest.approx(100.0)
    assert (whole.count, whole.median_s) == (3, pytest.approx(100.0))


def test_waits_that_were_read_are_added_to(database: Database) -> None:
    waits = WaitingTimes()
    period = Period(NOW - HOUR, NOW, 1)
    with database.transaction() as db:
        add_project(db, "ml101")
        assert waits.over(db, period, NOW)[0] == Waits(0, None, None)
        add_run(db, "ml101", NOW - 60, None)
        assert waits.over(db, period, NOW)[0].count == 1
        add_run(db, "ml101", NOW - 30, None)
        assert waits.over(db, period, NOW)[0].count == 2

"""Streams of sessions that come before a waiting one in queue order do not starve it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_site import NOW, carry_out, node, project, running, session, snapshot, started, why
from starvation import MOST_PASSES, STEP_S, Patience, share_is_free

from hub_ext.scheduling import schedule
from hub_ext.scheduling.model import Session, Snapshot

HOUR = 3600.0
NODES = (node("gpu-2", 2), node("gpu-4", 4))
PROJECTS = (project("a", quota=4000), project("b", quota=2000, created_order=1))


def small(number: int, now: float) -> Session:
    """One of a stream within its project's quota: half a device for one to two hours."""
    return session(
        f"small{number:03}",
        500,
        project="b",
        preemptible=False,
        submitted_at=now,
        order=number,
        time_limit_s=HOUR * (1 + number % 3 / 2),
    )


def half_an_hour_later(site: Snapshot, turn: int) -> Snapshot:
    """Those whose time is over go, two more come."""
    now = site.now + STEP_S
    left = tuple(
        s
        for s in site.sessions
        if s.state == "pending"
        or s.running_since is None
        or s.time_limit_s is None
        or s.running_since + s.time_limit_s > now
    )
    more = (small(2 * turn, now), small(2 * turn + 1, now))
    return replace(site, now=now, sessions=(*left, *more))


@pytest.mark.parametrize("policy", ["fragmentation", "pack", "spread"])
def test_a_big_session_runs_though_small_ones_keep_coming(policy: str) -> None:
    site = snapshot(*(small(i, NOW) for i in range(6)), nodes=NODES, projects=PROJECTS)
    site = carry_out(site, schedule(site, "spread"))
    big = session("big", 4000, project="a", submitted_at=NOW + 1, order=99)
    site = replace(site, sessions=(*site.sessions, big))
    assert "big" in share_is_free(site)
    patience = Patience()

    for turn in range(3, MOST_PASSES):
        decisions = schedule(site, policy)
        assert patience.note(site, started(decisions)) == []
        if "big" in started(decisions):
            return
        site = half_an_hour_later(carry_out(site, decisions), turn)

    raise AssertionError("the big session never runs")


def test_one_that_has_waited_an_hour_goes_before_the_project_that_is_emptier() -> None:
    site = snapshot(
        running("a1", [(0, 1000)], project="a"),
        session("old", project="a", submitted_at=NOW - 2 * HOUR, order=1),
        session("new", project="b", order=2),
        nodes=[node("gpu-1", 2)],
        projects=(project("a", quota=2000), project("b", quota=1000, created_order=1)),
    )
    fresh = replace(
        site,
        sessions=(
            *site.sessions[:1],
            replace(site.sessions[1], submitted_at=NOW - 60),
            site.sessions[2],
        ),
    )

    assert started(schedule(site)) == {"old"}
    assert started(schedule(fresh)) == {"new"}


def test_one_beyond_its_share_does_not_go_first_however_long_it_waits() -> None:
    site = snapshot(
        running("a1", [(0, 1000)], project="a"),
        session("old", project="a", submitted_at=NOW - 99 * HOUR, order=1),
        session("new", project="b", order=2),
        nodes=[node("gpu-1", 2)],
        projects=(project("a", quota=1000), project("b", quota=1000, created_order=1)),
    )

    decisions = schedule(site)

    assert started(decisions) == {"new"}
    assert why(decisions, "old").position == 1


def test_priority_inside_a_project_counts_more_than_waiting() -> None:
    site = snapshot(
        session("old", project="a", submitted_at=NOW - 99 * HOUR, order=1),
        session("urgent", project="a", priority=5, order=2),
        nodes=[node("gpu-1", 1)],
        projects=(project("a", quota=2000),),
    )

    assert started(schedule(site)) == {"urgent"}

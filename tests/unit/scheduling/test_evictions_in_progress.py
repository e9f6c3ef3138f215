"""Between a warning and the end of a session there are many passes: they change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from small_site import (
    NOW,
    carry_out,
    evicted,
    node,
    project,
    requeued,
    running,
    session,
    settle,
    snapshot,
    started,
    why,
)

from hub_ext.scheduling import schedule
from hub_ext.scheduling.invariants import violations
from hub_ext.scheduling.model import Reason, Session, Slice, Snapshot, TaskPlacement

HALVES = (project("a", quota=1000), project("b", quota=1000, created_order=1))
HELD = Reason("member_limit", "You run 1 of 1 sessions.")


def warned() -> Snapshot:
    """Project b takes its GPU back: "young" of project a has been warned, "mine" waits."""
    site = snapshot(
        running("old", [(0, 1000)], project="a", submitted_at=NOW - 100),
        running("young", [(1, 1000)], project="a", submitted_at=NOW - 50),
        session("mine", project="b"),
        projects=HALVES,
    )
    site = carry_out(site, schedule(site))
    assert {s.id for s in site.sessions if s.ending} == {"young"}
    return site


def with_session(site: Snapshot, *more: Session) -> Snapshot:
    return replace(site, sessions=(*site.sessions, *more))


def without(site: Snapshot, name: str) -> Snapshot:
    return replace(site, sessions=tuple(s for s in site.sessions if s.id != name))


def changed(site: Snapshot, change: Callable[[Session], Session]) -> Snapshot:
    return replace(site, sessions=tuple(change(s) for s in site.sessions))


def gone(site: Snapshot) -> Snapshot:
    """The containers of those that were warned have stopped."""
    return changed(site, lambda s: requeued(s) if s.ending else s)


def test_one_that_is_ending_keeps_its_place_from_others() -> None:
    site = with_session(warned(), session("small", 100, project="b", order=9))

    decisions = schedule(site)

    assert started(decisions) == set()
    assert violations(carry_out(site, decisions)) == []


def test_promises_hold_over_many_passes_and_nobody_else_is_stopped() -> None:
    site = warned()
    place = {"mine": (TaskPlacement("gpu-1", (Slice(1, 1000),)),)}
    for minute in range(1, 6):
        older = session(f"older{minute}", project="a", submitted_at=NOW - 999)
        site = with_session(replace(site, now=NOW + 60 * minute), older)
        decisions = schedule(site)
        assert decisions.evictions == ()
        assert decisions.reservations == place
        assert started(decisions) == set()
        assert why(decisions, "mine").reason.code == "being_freed"
        site = carry_out(site, decisions)

    assert started(schedule(gone(site))) == {"mine"}


def test_nobody_else_is_stopped_for_it_when_the_promise_is_forgotten() -> None:
    site = changed(warned(), lambda s: replace(s, reserved=()))

    decisions = schedule(site)

    assert decisions.evictions == ()
    assert set(decisions.reservations) == {"mine"}


def test_one_that_is_only_moved_keeps_its_new_place_while_it_ends() -> None:
    site = snapshot(
        running("guest", [(0, 500)], project="a"),
        running("fixed", [(0, 500)], where="gpu-2", project="a", preemptible=False),
        session("whole", project="b"),
        nodes=[node("gpu-1", 1), node("gpu-2", 1)],
        projects=(project("a", quota=500), project("b", quota=1000, created_order=1)),
    )
    site = carry_out(site, schedule(site))
    late = session("late", 500, project="b", order=9, priority=9)
    for _ in range(3):
        decisions = schedule(with_session(site, late))
        assert decisions.evictions == ()
        assert decisions.reservations["guest"] == (TaskPlacement("gpu-2", (Slice(0, 500),)),)
        site = carry_out(site, decisions)

    assert started(schedule(gone(with_session(site, late)))) == {"guest", "whole"}


def test_when_the_claimant_is_cancelled_the_place_goes_to_the_next_in_line() -> None:
    site = with_session(
        without(warned(), "mine"),
        session("next", project="b", order=5),
        session("later", project="b", order=6),
    )

    decisions = schedule(site)
    assert decisions.evictions == ()
    assert set(decisions.reservations) == {"next"}

    assert started(schedule(gone(carry_out(site, decisions)))) == {"next"}


def test_when_the_claimant_is_cancelled_and_nobody_waits_the_stopped_one_comes_back() -> None:
    site = gone(without(warned(), "mine"))

    assert started(schedule(site)) == {"young"}


def test_a_withdrawn_eviction_leaves_no_promise_behind() -> None:
    site = changed(without(warned(), "mine"), lambda s: replace(s, ending=False))

    decisions = schedule(site)

    assert (decisions.starts, decisions.evictions, decisions.reservations) == ((), (), {})


def test_a_promise_that_no_longer_fits_is_dropped_and_made_anew() -> None:
    site = changed(warned(), lambda s: replace(s, ending=False))

    decisions = schedule(site)

    assert evicted(decisions) == {"young"}
    assert set(decisions.reservations) == {"mine"}
    assert violations(carry_out(site, decisions)) == []


@pytest.mark.parametrize("order", [0, 9])
def test_a_promise_on_a_lost_node_is_dropped(order: int) -> None:
    elsewhere = (TaskPlacement("gpu-9", (Slice(0, 1000),)),)
    site = snapshot(session("s", reserved=elsewhere), session("other", order=order))

    decisions = schedule(site)

    assert started(decisions) == {"s", "other"}
    assert decisions.reservations == {}


def test_a_held_session_neither_starts_nor_takes_nor_reserves() -> None:
    site = snapshot(
        running("x", [(0, 1000)], project="a", time_limit_s=600.0, running_since=NOW),
        running("y", [(1, 1000)], project="a", submitted_at=NOW - 1),
        session("held", project="b", held=HELD, submitted_at=NOW - 99_999),
        projects=HALVES,
    )

    decisions = schedule(site)
    idle = schedule(without(without(site, "x"), "y"))

    for one in (decisions, idle):
        assert (one.starts, one.evictions, one.reservations) == ((), (), {})
        assert why(one, "held").reason == HELD


def test_a_session_that_is_held_meanwhile_loses_its_promise() -> None:
    site = changed(warned(), lambda s: replace(s, held=HELD) if s.id == "mine" else s)

    decisions = schedule(site)

    assert decisions.reservations == {}
    assert why(decisions, "mine").reason == HELD
    assert started(schedule(gone(site))) == {"young"}


def test_a_held_session_of_higher_rank_holds_up_nobody_behind_it() -> None:
    site = snapshot(
        session("held", 2000, held=HELD, priority=9, submitted_at=NOW - 99_999),
        session("free", order=1),
    )

    assert started(schedule(site)) == {"free"}


def test_held_sessions_claim_no_share() -> None:
    """What may not start asks for nothing: others may use and take back that share."""
    queue = [session(f"held{i}", project="a", held=HELD, order=i) for i in range(4)]
    site = snapshot(
        *queue,
        *(session(f"b{i}", project="b", order=9 + i) for i in range(4)),
        nodes=[node("gpu-1", 4)],
        projects=(project("a", quota=2000), project("b", quota=2000, created_order=1)),
    )

    shares = schedule(site).fair_share

    assert (shares["a"].gpu_milli, shares["b"].gpu_milli) == (0, 4000)


@pytest.mark.parametrize("limit", [0.0, 600.0])
def test_one_that_has_outlived_its_time_limit_is_no_trouble(limit: float) -> None:
    site = snapshot(
        running("late", [(0, 1000)], running_since=NOW - 9000, time_limit_s=limit),
        session("head", 2000, order=1, submitted_at=NOW - 100),
        session("small", 1000, order=2),
    )

    decisions = schedule(site)

    assert started(decisions) == set()
    assert why(decisions, "head").estimate_s == 0.0
    assert started(schedule(without(site, "late"))) == {"head"}


def test_a_site_full_of_warnings_comes_to_rest() -> None:
    crowd = [session(f"{p}{i}", 500, project=p, order=i) for i in range(6) for p in "ab"]
    site = with_session(warned(), *crowd)

    assert violations(settle(site)) == []

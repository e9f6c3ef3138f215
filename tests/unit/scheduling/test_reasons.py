"""A waiting session is told what blocks it, in the users' unit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_site import NOW, node, project, running, session, snapshot, why

from hub_ext.scheduling import dry_run, schedule
from hub_ext.scheduling.amounts import in_line
from hub_ext.scheduling.model import Device, Reason, Resources, Slice, TaskPlacement


def test_two_of_06_do_not_share_a_device_although_the_total_is_free() -> None:
    site = snapshot(
        running("a", [(0, 600)]),
        running("b", [(1, 600)]),
        session("c", 600),
        nodes=[node("gpu-1", 2)],
    )

    reason = why(schedule(site), "c").reason

    assert reason.code == "no_slice"
    assert reason.message == (
        "Needs 0.6 fGPU on one device; the largest free slice is 0.4 fGPU (node gpu-1),"
        " although 0.8 fGPU are free in all."
    )
    assert reason.help == "Ask for at most 0.4 fGPU to start now."


def test_numbers_are_in_the_users_unit() -> None:
    site = snapshot(
        running("a", [(0, 500)], where="gpu-1"),
        running("b", [(0, 250)], where="gpu-2"),
        session("c", 1000),
        nodes=[node("gpu-1", 1), node("gpu-2", 1)],
        fgpu_per_gpu=2,
    )

    assert why(schedule(site), "c").reason.message == (
        "Needs 2.0 fGPU on one device; the largest free slice is 1.5 fGPU (node gpu-2),"
        " although 2.5 fGPU are free in all."
    )


def test_a_project_at_its_limit_is_named_with_both_numbers() -> None:
    site = snapshot(
        running("a", [(0, 1000), (1, 1000)]),
        session("b", 1000),
        nodes=[node("gpu-1", 4)],
        projects=[project("ml101", limit=2000)],
    )

    reason = why(schedule(site), "b").reason

    assert reason.code == "project_limit"
    assert reason.message == "Project ml101 uses 2.0 of its limit of 2.0 fGPU."


def test_a_firm_session_beyond_quota_learns_that_reclaimable_ones_may_run() -> None:
    site = snapshot(
        running("a", [(0, 1000)], preemptible=False),
        session("b", 1000, preemptible=False),
        projects=[project("ml101", quota=1000)],
    )

    reason = why(schedule(site), "b").reason

    assert reason.code == "project_quota"
    assert "holds 1.0 of its quota of 1.0 fGPU" in reason.message
    assert "reclaimed" in reason.help
    offered = replace(site.sessions[1], preemptible=True)
    assert dry_run(site, offered).placements is not None


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"image": "torch:2"}, "no_image", "Image torch:2 is not on any node."),
        ({"resource_groups": frozenset({"night"})}, "no_node", "resource group night"),
        ({"node_labels": {"zone": "b"}}, "no_node", "label zone=b"),
        ({"not_before": NOW + 7200}, "not_before", "about 2 hours"),
        ({"held": Reason("member_limit", "You run 2 of 2.")}, "member_limit", "You run 2 of 2."),
        ({"gpu_milli": 3000}, "too_large", "the largest node has 2.0 fGPU"),
        ({"cpu": 128_000}, "too_large", "128 CPU cores"),
    ],
)
def test_what_blocks_this_very_request_is_said(
    change: dict[str, object], code: str, words: str
) -> None:
    machine = node("gpu-1", 2, images=frozenset({"base"}))
    waiting = session("a", **change)  # type: ignore[arg-type]

    reason = why(schedule(snapshot(waiting, nodes=[machine])), "a").reason

    assert reason.code == code
    assert words in reason.message


def test_a_drained_and_a_sick_node_take_nothing_and_say_so() -> None:
    drained = node("gpu-1", 2, schedulable=False, problem="drained by admin")
    sick = replace(node("gpu-2", 1), devices=(Device(0, 16384, healthy=False),))

    decisions = schedule(snapshot(session("a", 1000), nodes=[drained]))
    assert "gpu-1: drained by admin" in why(decisions, "a").reason.message
    decisions = schedule(snapshot(session("a", 1000), nodes=[drained, sick]))
    assert decisions.starts == ()


def test_a_closed_project_waits_and_shows_its_hours() -> None:
    hours = "Project ml101 is open from 9:00 to 17:00."
    site = snapshot(session("a"), projects=[project("ml101", closed=hours)])

    assert why(schedule(site), "a").reason == Reason("project_closed", hours)


def test_missing_memory_is_named_rather_than_the_gpu() -> None:
    site = snapshot(
        running("a", [(0, 500)], cpu=60_000),
        session("b", 500, cpu=8_000),
        nodes=[node("gpu-1", 1)],
    )

    reason = why(schedule(site), "b").reason

    assert reason.code == "no_cpu"
    assert reason.message == (
        "Needs 8 CPU cores on one node beside the GPU; the most free is 4 (node gpu-1)."
    )


def test_positions_follow_the_real_order_between_projects() -> None:
    site = snapshot(
        running("x", [(0, 1000), (1, 1000)], project="big", preemptible=False),
        session("b1", project="big", order=1),
        session("b2", project="big", order=2),
        session("a1", project="small", order=3),
        session("a2", project="small", order=4),
        projects=[project("big", quota=2000), project("small", quota=1000, created_order=1)],
    )

    line = [w.session_id for w in sorted(schedule(site).waiting, key=lambda w: w.position)]

    assert line == ["a1", "b1", "a2", "b2"]


def test_the_estimate_comes_from_time_limits_and_then_from_experience() -> None:
    site = snapshot(
        running("a", [(0, 1000)], running_since=NOW - 60, time_limit_s=660.0),
        running("b", [(1, 1000)], running_since=NOW - 60, expected_duration_s=3660.0),
        session("first", order=1, time_limit_s=600.0),
        session("second", order=2),
        session("third", order=3),
    )

    decisions = schedule(site)

    assert why(decisions, "first").estimate_s == 600.0
    assert why(decisions, "second").estimate_s == 1200.0
    assert why(decisions, "third").estimate_s == 3600.0


def test_nobody_guesses_when_nothing_is_known() -> None:
    site = snapshot(running("a", [(0, 1000)]), session("b"), nodes=[node("gpu-1", 1)])

    assert why(schedule(site), "b").estimate_s is None


def test_the_place_in_line_reads_like_a_sentence() -> None:
    assert in_line(3, 720.0) == "Third in line; about 12 minutes."
    assert in_line(22, None) == "22nd in line."
    assert in_line(113, 7200.0) == "113th in line; about 2 hours."


def test_a_dry_run_gives_the_very_place_that_a_pass_gives() -> None:
    site = snapshot(running("a", [(0, 400)]), session("b", 700))
    newcomer = session("c", 600, order=1)

    forecast = dry_run(site, newcomer)
    start = schedule(replace(site, sessions=(*site.sessions, newcomer)))

    assert forecast.placements == (TaskPlacement("gpu-1", (Slice(0, 600),)),)
    assert {s.session_id: s.placements for s in start.starts}["c"] == forecast.placements
    assert forecast.waiting is None


def test_the_dry_run_of_one_that_must_wait_gives_reason_and_position() -> None:
    site = snapshot(running("a", [(0, 1000), (1, 1000)]), session("b"))

    forecast = dry_run(site, session("c", order=1))

    assert forecast.placements is None
    assert forecast.waiting is not None
    assert forecast.waiting.position == 2
    assert forecast.waiting.reason.code == "no_slice"


def test_fair_shares_are_reported_in_all_three_resources() -> None:
    site = snapshot(running("a", [(0, 1000)]), session("b", 1000))

    assert schedule(site).fair_share["ml101"] == Resources(2000, 2000, 2048)

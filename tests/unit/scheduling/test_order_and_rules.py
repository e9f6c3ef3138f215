"""Who goes first, who may take what from whom, and what is never done."""

from __future__ import annotations

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

from hub_ext.scheduling import SnapshotError, schedule
from hub_ext.scheduling.invariants import violations
from hub_ext.scheduling.model import Demand, Resources, Slice, TaskPlacement, Weights

INFINITE = float("inf")
HALVES = (project("a", quota=1000), project("b", quota=1000, created_order=1))


def test_idle_gpus_do_not_idle() -> None:
    site = snapshot(*(session(f"s{i}", project="a", order=i) for i in range(4)), projects=HALVES)

    assert started(schedule(site)) == {"s0", "s1"}


def test_the_project_within_quota_goes_first() -> None:
    site = snapshot(
        running("x", [(0, 1000)], project="a"),
        session("more", project="a", order=1),
        session("first", project="b", order=2),
        projects=HALVES,
    )

    assert started(schedule(site)) == {"first"}


def test_a_project_under_its_share_takes_back_the_youngest() -> None:
    site = snapshot(
        running("old", [(0, 1000)], project="a", submitted_at=NOW - 100),
        running("young", [(1, 1000)], project="a", submitted_at=NOW - 50),
        session("mine", project="b"),
        projects=HALVES,
    )

    decisions = schedule(site)

    assert evicted(decisions) == {"young"}
    assert decisions.evictions[0].for_session == "mine"
    assert why(decisions, "mine").reason.code == "being_freed"
    assert decisions.reservations["mine"] == (TaskPlacement("gpu-1", (Slice(1, 1000),)),)


def test_freed_capacity_goes_to_the_one_it_was_freed_for() -> None:
    site = snapshot(
        running("old", [(0, 1000)], project="a", submitted_at=NOW - 100),
        running("young", [(1, 1000)], project="a", submitted_at=NOW - 50),
        session("mine", project="b"),
        projects=HALVES,
    )

    site = carry_out(site, schedule(site))
    waiting = schedule(site)
    assert not waiting.starts
    assert not waiting.evictions
    grabber = session("grabber", project="a", priority=99, submitted_at=NOW - 500)
    site = replace(site, sessions=(*site.sessions, grabber), now=NOW + 60)
    site = replace(site, sessions=tuple(requeued(s) if s.ending else s for s in site.sessions))

    assert started(schedule(site)) == {"mine"}


def test_a_firm_session_is_never_evicted() -> None:
    site = snapshot(
        running("x", [(0, 1000)], project="a", preemptible=False),
        running("y", [(1, 1000)], project="a", preemptible=False),
        session("mine", project="b"),
        projects=(project("a", quota=2000), HALVES[1]),
    )

    assert evicted(schedule(site)) == set()


def test_minimum_runtime_protects_the_young() -> None:
    young = running("young", [(1, 1000)], project="a", running_since=NOW - 100, order=1)
    site = snapshot(
        running("old", [(0, 1000)], project="a", running_since=NOW - 900),
        young,
        session("mine", project="b"),
        projects=(replace(HALVES[0], reclaim_min_runtime_s=600.0), HALVES[1]),
    )

    assert evicted(schedule(site)) == {"old"}
    assert evicted(schedule(replace(site, now=NOW + 500))) == {"young"}


def test_higher_priority_preempts_inside_a_project_only() -> None:
    projects = (project("a"), project("b", quota=0, over_quota_weight=0, created_order=1))
    inside = snapshot(
        running("low", [(0, 1000)], project="a", priority=1),
        session("high", project="a", priority=2),
        nodes=[node("gpu-1", 1)],
        projects=projects,
    )
    low = inside.sessions[0]
    across = replace(inside, sessions=(low, session("high", project="b", priority=2)))

    assert evicted(schedule(inside)) == {"low"}
    assert evicted(schedule(across)) == set()
    assert (
        evicted(
            schedule(
                replace(
                    inside, sessions=(inside.sessions[0], session("equal", project="a", priority=1))
                )
            )
        )
        == set()
    )


def test_nobody_is_evicted_for_one_who_could_not_run_even_then() -> None:
    site = snapshot(
        running("x", [(0, 1000)], project="a"),
        running("y", [(0, 1000)], where="gpu-2", project="a"),
        session("big", 2000, project="b"),
        nodes=[node("gpu-1", 1), node("gpu-2", 1)],
        projects=(project("a", quota=0), project("b", quota=2000)),
    )

    assert evicted(schedule(site)) == set()


def test_a_gang_starts_whole_or_not_at_all() -> None:
    nodes = [node("gpu-1", 1), node("gpu-2", 1)]
    pair = snapshot(session("pair", tasks=2), nodes=nodes)
    three = snapshot(session("three", tasks=3), nodes=nodes)

    assert {p.node for p in schedule(pair).starts[0].placements} == {"gpu-1", "gpu-2"}
    assert why(schedule(three), "three").reason.message == (
        "Needs 3 containers at once; 2 of them would fit now."
    )


def test_an_elastic_gang_starts_with_what_there_is() -> None:
    site = snapshot(session("s", tasks=4, min_available=2), nodes=[node("gpu-1", 3)])

    assert len(schedule(site).starts[0].placements) == 3


def test_the_limit_of_a_department_binds_its_courses() -> None:
    site = snapshot(
        session("a1", project="a", order=1),
        session("b1", project="b", order=2),
        projects=(
            project("department", limit=1000),
            project("a", parent="department"),
            project("b", parent="department", created_order=1),
        ),
    )

    decisions = schedule(site)

    assert started(decisions) == {"a1"}
    message = why(decisions, "b1").reason.message
    assert message.startswith("Project department uses 1.0 of its limit")


def test_an_ending_session_still_counts_against_the_limit() -> None:
    site = snapshot(
        running("x", [(0, 1000)], ending=True),
        session("y"),
        projects=[project("ml101", limit=1000)],
    )

    decisions = schedule(site)

    assert decisions.starts == ()
    assert why(decisions, "y").reason.code == "being_freed"


def test_the_head_of_the_line_is_not_delayed_by_those_who_pass_it() -> None:
    site = snapshot(
        running("x", [(0, 1000)], running_since=NOW, time_limit_s=600.0),
        session("head", 2000, order=1, submitted_at=NOW - 10),
        session("long", 1000, order=2, time_limit_s=900.0),
        session("endless", 1000, order=3),
        session("short", 1000, order=4, time_limit_s=500.0),
    )

    decisions = schedule(site)
    without = schedule(replace(site, sessions=site.sessions[:-1]))

    assert started(decisions) == {"short"}
    assert why(decisions, "head").estimate_s == 600.0
    assert started(without) == set()
    assert why(without, "long").reason.code == "reserved"


def test_small_sessions_pass_at_first_but_do_not_starve_a_big_one() -> None:
    site = snapshot(
        running("x", [(0, 1000)]),
        session("head", 2000, order=1),
        session("small", 500, order=2),
    )

    assert started(schedule(site)) == {"small"}
    assert started(schedule(replace(site, now=NOW + 1.5 * 3600))) == set()


def test_a_head_that_waits_for_an_endless_session_blocks_the_rest_only_in_turns() -> None:
    site = snapshot(
        running("endless", [(0, 1000)], project="firm", preemptible=False),
        running("loose", [(0, 1000)], where="gpu-2", project="guest"),
        session("head", 2000, project="a", order=1),
        session("small", 1000, project="a", order=2),
        nodes=[node("gpu-1", 2), node("gpu-2", 1)],
        projects=(project("a", quota=2000), project("firm"), project("guest", quota=0)),
    )

    second_hour = schedule(replace(site, now=NOW + 1.5 * 3600))
    third_hour = schedule(replace(site, now=NOW + 2.5 * 3600))

    assert started(second_hour) == set()
    assert why(second_hour, "small").reason.code == "reserved"
    assert second_hour.reservations == {}
    assert started(third_hour) == {"small"}


def test_an_impossible_session_at_the_head_blocks_nobody() -> None:
    site = snapshot(
        running("x", [(0, 1000)], time_limit_s=600.0, running_since=NOW),
        session("impossible", 8000, order=1, submitted_at=NOW - 99_999),
        session("small", 1000, order=2),
    )

    assert started(schedule(site)) == {"small"}


def test_cpu_only_sessions_stay_away_from_gpu_nodes() -> None:
    site = snapshot(
        session("s", demand=Demand(0, 1000, 1024)), nodes=[node("a-gpu", 2), node("z-cpu", 0)]
    )

    for policy in ("fragmentation", "pack", "spread"):
        assert schedule(site, policy).starts[0].placements[0].node == "z-cpu"


def test_a_request_by_gpu_memory_becomes_that_part_of_the_device() -> None:
    site = snapshot(session("s", demand=Demand(0, 1000, 1024, gpu_memory_mib=5000)))

    (slice_,) = schedule(site).starts[0].placements[0].slices

    assert slice_.milli == 400  # 5000 of 16384 MiB, rounded up to a tenth


def test_spread_uses_the_other_device_and_pack_the_same() -> None:
    site = snapshot(running("a", [(0, 300)]), session("b", 300))

    assert schedule(site, "spread").starts[0].placements[0].slices == (Slice(1, 300),)
    assert schedule(site, "pack").starts[0].placements[0].slices == (Slice(0, 300),)


def test_past_use_lowers_the_over_quota_share_only() -> None:
    heavy = project("a", quota=0, over_quota_weight=1, usage=0.5)
    light = project("b", quota=0, over_quota_weight=1, created_order=1)
    sessions = [session(f"{p}{i}", project=p) for p in "ab" for i in range(16)]
    site = snapshot(*sessions, nodes=[node("n", 16)], projects=(heavy, light), time_aware_k=1.0)

    shares = schedule(site).fair_share

    assert (shares["a"].gpu_milli, shares["b"].gpu_milli) == (5000, 11000)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"projects": (project("a", parent="b"), project("b", parent="a"))}, "parent"),
        ({"projects": (project("a", parent="nobody"),)}, "parent"),
        ({"projects": (project("a", parent="a"),)}, "parent"),
        ({"projects": (project("a", quota=2000, limit=1000),)}, "quota.gpu_milli"),
        ({"projects": (project("a", quota=-5),)}, "quota.gpu_milli"),
        ({"projects": (project("a", over_quota_weight=float("nan")),)}, "over_quota_weight"),
        ({"sessions": (session("s", project="nobody"),)}, "project"),
        ({"projects": (project("a", over_quota_weight=INFINITE),)}, "over_quota_weight"),
        (
            {"projects": (project("a", over_quota_weight=Weights(cpu=INFINITE)),)},
            "over_quota_weight.cpu",
        ),
        ({"projects": (project("a", usage=INFINITE),)}, "usage"),
        ({"projects": (project("a", priority=INFINITE),)}, "priority"),
        ({"projects": (project("a", reclaim_min_runtime_s=INFINITE),)}, "reclaim_min_runtime_s"),
        ({"now": INFINITE}, "now"),
        ({"time_aware_k": INFINITE}, "time_aware_k"),
        ({"request_types": ((Demand(1000), INFINITE),)}, "request_types"),
        ({"request_types": ((Demand(-1000), 1.0),)}, "request_types.gpu_milli"),
        ({"nodes": (node("n", 1, memory_mib=INFINITE),)}, "memory_mib"),
        ({"sessions": (session("s", -100, project="a"),)}, "demand.gpu_milli"),
        ({"sessions": (session("s", project="a", cpu=INFINITE),)}, "demand.cpu_milli"),
        ({"sessions": (session("s", project="a", time_limit_s=INFINITE),)}, "time_limit_s"),
        ({"sessions": (session("s", project="a", submitted_at=INFINITE),)}, "submitted_at"),
        ({"sessions": (session("s", project="a", not_before=INFINITE),)}, "not_before"),
        ({"sessions": (session("s", project="a", priority=INFINITE),)}, "priority"),
        ({"sessions": (session("s", project="a", time_limit_s=float("nan")),)}, "time_limit_s"),
        ({"sessions": (session("s", project="a"),) * 2}, "sessions"),
        ({"nodes": (node("n", 1, cpu_milli=-1),)}, "cpu_milli"),
    ],
)
def test_input_that_cannot_be_right_is_refused_by_its_field(
    change: dict[str, object], field: str
) -> None:
    site = replace(snapshot(projects=(project("a"),)), **change)  # type: ignore[arg-type]

    with pytest.raises(SnapshotError) as refusal:
        schedule(site)

    assert refusal.value.field == field


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(SnapshotError, match="fragmentation, pack, spread"):
        schedule(snapshot(), "random")


def test_the_checker_sees_what_is_wrong() -> None:
    site = snapshot(
        running("a", [(0, 700)], preemptible=False),
        running("b", [(0, 700)], cpu=64_000),
        running("c", [(5, 100)], where="gone"),
        projects=[project("ml101", quota=500, limit=1000)],
    )

    found = "\n".join(violations(site))

    assert "Device 0 of gpu-1 is booked with 1400 of 1000 milli-GPU." in found
    assert "gpu-1 is booked with 65000 of 64000 milli-CPU." in found
    assert "unknown node gone" in found
    assert "over its limit of 1.0 fGPU" in found
    assert "over its quota of 0.5 fGPU" in found


def test_everything_settles_within_the_rules() -> None:
    sessions = [session(f"{p}{i}", 500, project=p, order=i) for p in "ab" for i in range(6)]
    site = settle(snapshot(*sessions, projects=HALVES))

    assert violations(site) == []
    held = {p: sum(s.state == "running" for s in site.sessions if s.project == p) for p in "ab"}
    assert held == {"a": 2, "b": 2}
    assert schedule(site).fair_share["a"] == Resources(1000, 6000, 6144)


def test_the_limit_of_a_department_lets_a_course_reclaim_though_gpus_are_idle() -> None:
    site = snapshot(
        running("a1", [(0, 500)], project="a", order=1),
        running("a2", [(1, 500)], project="a", order=2),
        session("b1", 1000, project="b", order=3),
        nodes=[node("gpu-1", 4)],
        projects=(
            project("department", quota=1000, limit=1000),
            project("a", quota=0, parent="department"),
            project("b", quota=1000, parent="department", created_order=1),
        ),
    )

    decisions = schedule(site)

    assert evicted(decisions) == {"a1", "a2"}
    assert violations(carry_out(site, decisions, at_once=True)) == []


def test_a_slice_on_each_of_two_devices() -> None:
    site = snapshot(
        running("x", [(0, 700)]),
        session("pair", demand=Demand(500, 1000, 1024, devices=2)),
        nodes=[node("gpu-1", 3)],
    )

    (placement,) = schedule(site).starts[0].placements

    assert placement.slices == (Slice(1, 500), Slice(2, 500))
    assert violations(carry_out(site, schedule(site))) == []


def test_one_by_gpu_memory_waits_behind_the_head_for_what_is_coming_free() -> None:
    site = snapshot(
        running("x", [(0, 1000)], ending=True),
        running("y", [(1, 1000)], running_since=NOW, time_limit_s=600.0),
        session("head", 2000, order=1),
        session("memory", demand=Demand(0, 1000, 1024, gpu_memory_mib=5000), order=2),
    )

    decisions = schedule(site)

    assert started(decisions) == set()
    assert decisions.reservations == {}


def test_a_gang_is_shrunk_to_its_minimum_before_it_is_stopped() -> None:
    elastic = replace(
        running("wide", [], project="a"),
        demand=Demand(1000, 1000, 1024),
        tasks=2,
        min_available=1,
        placements=(
            TaskPlacement("gpu-1", (Slice(0, 1000),)),
            TaskPlacement("gpu-1", (Slice(1, 1000),)),
        ),
    )
    site = snapshot(elastic, session("mine", project="b"), projects=HALVES)

    (eviction,) = schedule(site).evictions

    assert eviction.session_id == "wide"
    assert eviction.containers == (TaskPlacement("gpu-1", (Slice(1, 1000),)),)


def test_two_growing_gangs_share_what_is_left() -> None:
    gangs = [session(name, tasks=3, min_available=1, order=i) for i, name in enumerate("xy")]

    starts = schedule(snapshot(*gangs, nodes=[node("gpu-1", 4)])).starts

    assert sorted(len(start.placements) for start in starts) == [2, 2]

"""The order in which equal things are listed is nobody's advantage."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_site import NOW, carry_out, node, project, session, snapshot

from hub_ext.scheduling import schedule
from hub_ext.scheduling.invariants import violations
from hub_ext.scheduling.model import Decisions, Session, Snapshot

NODES = [node("gpu-1", 1), node("gpu-2", 2), node("gpu-3", 4, cpu_milli=8_000)]
PROJECTS = [
    project("science", quota=4000),
    project("a", quota=2000, parent="science"),
    project("b", quota=2000, parent="science"),
    project("c", quota=2000, limit=5000),
]

wishes = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from((0, 200, 500, 700, 1000, 2000)),
        st.integers(0, 1),
        st.booleans(),
        st.sampled_from((None, 600.0)),
        st.integers(1, 2),
    ),
    min_size=1,
    max_size=16,
)


def site_of(wanted: list[tuple[str, int, int, bool, float | None, int]]) -> Snapshot:
    """Half of the sessions come first and run as far as they may, then the rest comes."""
    sessions: list[Session] = [
        session(
            f"s{i:02}",
            gpu,
            project=name,
            priority=priority,
            preemptible=preemptible,
            time_limit_s=limit,
            tasks=tasks,
        )
        for i, (name, gpu, priority, preemptible, limit, tasks) in enumerate(wanted)
    ]
    half = len(sessions) // 2
    site = snapshot(*sessions[:half], nodes=NODES, projects=PROJECTS)
    site = carry_out(site, schedule(site))
    return replace(site, sessions=(*site.sessions, *sessions[half:]), now=NOW + 60)


def told(decisions: Decisions) -> list[object]:
    """Everything that was decided, whatever the order it is told in."""
    return [
        sorted(decisions.starts, key=lambda s: s.session_id),
        sorted(decisions.evictions, key=lambda e: e.session_id),
        sorted(decisions.waiting, key=lambda w: w.session_id),
        decisions.fair_share,
        decisions.reservations,
    ]


@given(wanted=wishes, seed=st.integers(0, 1000))
@settings(max_examples=150, deadline=None)
def test_shuffling_what_is_listed_changes_no_decision(
    wanted: list[tuple[str, int, int, bool, float | None, int]], seed: int
) -> None:
    site = site_of(wanted)
    chance = random.Random(seed)
    sessions, projects, nodes = list(site.sessions), list(PROJECTS), list(NODES)
    for things in (sessions, projects, nodes):
        chance.shuffle(things)
    shuffled = replace(site, sessions=tuple(sessions), projects=tuple(projects), nodes=tuple(nodes))

    assert told(schedule(shuffled)) == told(schedule(site))


@given(wanted=wishes, policy=st.sampled_from(("fragmentation", "pack", "spread", "best-fit")))
@settings(max_examples=150, deadline=None)
def test_no_pass_breaks_a_rule(
    wanted: list[tuple[str, int, int, bool, float | None, int]], policy: str
) -> None:
    site = site_of(wanted)
    for _ in range(4):
        site = carry_out(site, schedule(site, policy))
        assert violations(site) == []


@pytest.mark.parametrize("seed", range(3))
def test_the_seed_alone_breaks_ties(seed: int) -> None:
    nodes = [node(f"gpu-{i}", 4) for i in range(8)]
    site = snapshot(session("s"), nodes=nodes, seed=seed)

    assert schedule(site) == schedule(site)

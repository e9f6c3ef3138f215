"""Ten thousand steps of a site's life: no rule is ever broken, nobody starves, no loops."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from small_site import NOW, carry_out, evicted, node, project, requeued, session, started
from starvation import LONGEST_LIMIT_S, MOST_PASSES, STEP_S, Patience

from hub_ext.scheduling import schedule
from hub_ext.scheduling.invariants import violations
from hub_ext.scheduling.model import Demand, Device, Reason, Resources, Session, Snapshot

NODES = tuple(node(f"gpu-{i}", gpus, cpu_milli=16_000) for i, gpus in enumerate((1, 2, 4)))
PROJECTS = (
    project("science", quota=5000, created_order=0),
    project("ml101", quota=1000, limit=4000, parent="science", created_order=1),
    project("vision", quota=2000, parent="science", created_order=2, over_quota_weight=0),
    project("arts", quota=2000, created_order=3, preempt_min_runtime_s=60.0),
)
HELD = Reason("member_limit", "You run 1 of 1 sessions.")
LIMITS_S = (600.0, LONGEST_LIMIT_S, 3000.0, LONGEST_LIMIT_S)
LONG_LINE = 10
CAPACITY = {"no_slice", "no_devices", "no_cpu", "no_memory", "gang"}
LEAVES = ("ml101", "vision", "arts")


def is_over(one: Session, now: float) -> bool:
    """Whether a running session has outlived its time limit."""
    if one.state != "running" or one.time_limit_s is None or one.running_since is None:
        return False
    return one.running_since + one.time_limit_s <= now


class LifeOfASite(RuleBasedStateMachine):
    """Submit, end, cancel, drain, lose nodes, change quotas, let time pass, and schedule."""

    @initialize(policy=st.sampled_from(("fragmentation", "pack", "spread")))
    def open_the_site(self, policy: str) -> None:
        self.policy = policy
        self.number = 0
        self.site = Snapshot(NOW, NODES, PROJECTS, ())
        self.patience = Patience()

    def _change(self, name: str, **values: object) -> None:
        self.site = replace(
            self.site,
            sessions=tuple(
                replace(s, **values) if s.id == name else s  # type: ignore[arg-type]
                for s in self.site.sessions
            ),
        )

    def _some(self, data: st.DataObject, state: str) -> Session | None:
        names = [s for s in self.site.sessions if s.state == state]
        return data.draw(st.sampled_from(names)) if names else None

    @rule(
        leaf=st.sampled_from(LEAVES),
        gpu=st.sampled_from((0, 100, 300, 500, 600, 1000, 1500, 2000, 4000)),
        cpu=st.sampled_from((500, 2000, 8000)),
        tasks=st.sampled_from((1, 1, 1, 2, 3)),
        priority=st.integers(0, 2),
        preemptible=st.booleans(),
        limit=st.sampled_from((None, 600.0, 7200.0)),
        by_memory=st.booleans(),
    )
    def submit(
        self,
        leaf: str,
        gpu: int,
        cpu: int,
        tasks: int,
        priority: int,
        preemptible: bool,
        limit: float | None,
        by_memory: bool,
    ) -> None:
        self.number += 1
        demand = Demand(gpu, cpu, 1024)
        if by_memory and 0 < gpu <= 1000:
            demand = Demand(0, cpu, 1024, gpu_memory_mib=gpu * 16)
        one = session(
            f"s{self.number}",
            project=leaf,
            demand=demand,
            tasks=tasks,
            priority=priority,
            preemptible=preemptible,
            submitted_at=self.site.now,
            order=self.number,
            time_limit_s=limit,
        )
        self.site = replace(self.site, sessions=(*self.site.sessions, one))

    @rule(leaf=st.sampled_from(LEAVES), gpu=st.sampled_from((500, 1000, 2000)))
    def a_burst_fills_the_site(self, leaf: str, gpu: int) -> None:
        """One project takes what is idle; whoever comes next has to take it back."""
        for _ in range(6):
            self.submit(leaf, gpu, 500, 1, 0, True, None, False)
        self.a_pass()

    @rule(
        leaf=st.sampled_from(LEAVES), gpu=st.sampled_from((300, 1000)), priority=st.integers(0, 2)
    )
    def one_within_quota_comes(self, leaf: str, gpu: int, priority: int) -> None:
        self.submit(leaf, gpu, 500, 1, priority, True, None, False)
        self.a_pass()

    @rule()
    def the_evicted_are_gone(self) -> None:
        """They wait again; the place goes to the one it was freed for, or to nobody worse."""
        self.site = replace(
            self.site,
            sessions=tuple(requeued(s) if s.ending else s for s in self.site.sessions),
        )
        self.a_pass()

    @rule(data=st.data())
    def one_ends(self, data: st.DataObject) -> None:
        one = self._some(data, "running")
        if one is None:
            return
        if one.ending and data.draw(st.booleans()):
            self._change(one.id, state="pending", placements=(), ending=False, running_since=None)
            return
        left = tuple(s for s in self.site.sessions if s.id != one.id)
        self.site = replace(self.site, sessions=left)

    @rule(data=st.data())
    def one_is_cancelled(self, data: st.DataObject) -> None:
        one = self._some(data, "pending")
        if one is not None:
            left = tuple(s for s in self.site.sessions if s.id != one.id)
            self.site = replace(self.site, sessions=left)

    @rule(data=st.data())
    def one_is_held_or_let_go(self, data: st.DataObject) -> None:
        one = self._some(data, "pending")
        if one is not None:
            self._change(one.id, held=None if one.held else HELD)

    @rule(data=st.data())
    def an_eviction_is_withdrawn(self, data: st.DataObject) -> None:
        one = self._some(data, "running")
        if one is not None and one.ending:
            self._change(one.id, ending=False)

    @rule()
    def the_promises_are_forgotten(self) -> None:
        """A restart: they were kept in memory only."""
        self.site = replace(
            self.site, sessions=tuple(replace(s, reserved=()) for s in self.site.sessions)
        )

    @rule(which=st.integers(0, 2), open_=st.booleans())
    def drain_or_resume(self, which: int, open_: bool) -> None:
        nodes = list(self.site.nodes)
        nodes[which] = replace(nodes[which], schedulable=open_)
        self.site = replace(self.site, nodes=tuple(nodes))

    @rule(which=st.integers(0, 2), healthy=st.booleans())
    def a_device_fails_or_recovers(self, which: int, healthy: bool) -> None:
        nodes = list(self.site.nodes)
        first = Device(0, 16_384, healthy=healthy)
        nodes[which] = replace(nodes[which], devices=(first, *nodes[which].devices[1:]))
        self.site = replace(self.site, nodes=tuple(nodes))

    @rule(which=st.integers(0, 2))
    def a_node_is_lost_with_its_sessions(self, which: int) -> None:
        name = self.site.nodes[which].name
        self.site = replace(
            self.site,
            sessions=tuple(
                requeued(s) if any(p.node == name for p in s.placements) else s
                for s in self.site.sessions
            ),
        )

    @rule(which=st.integers(1, 3), quota=st.sampled_from((0, 1000, 2000, 3000)))
    def a_quota_changes(self, which: int, quota: int) -> None:
        """Only as far down as what is held firmly: the page refuses the rest."""
        projects = list(self.site.projects)
        changed = replace(projects[which], quota=Resources(quota, -1, -1))
        projects[which] = changed
        site = replace(self.site, projects=tuple(projects))
        if not violations(site):
            self.site = site

    @rule(seconds=st.sampled_from((1.0, 300.0, 5000.0)))
    def time_passes(self, seconds: float) -> None:
        """Those whose time limit is over are stopped, as the live loop does."""
        now = self.site.now + seconds
        left = tuple(s for s in self.site.sessions if not is_over(s, now))
        self.site = replace(self.site, now=now, sessions=left)

    @rule(
        leaf=st.sampled_from(LEAVES),
        gpu=st.sampled_from((100, 300, 500)),
        priority=st.integers(0, 1),
        preemptible=st.booleans(),
    )
    def small_ones_keep_coming(self, leaf: str, gpu: int, priority: int, preemptible: bool) -> None:
        """Hour after hour, until nobody waits for a place that only time keeps from it."""
        for turn in range(MOST_PASSES + 2):
            waiting = sum(s.state == "pending" for s in self.site.sessions)
            for limit, _ in zip(itertools.cycle(LIMITS_S), range(waiting, LONG_LINE), strict=False):
                self.submit(leaf, gpu, 500, 1, priority, preemptible, limit, False)
            self.the_evicted_are_gone()
            if not self.patience.waits and turn:
                return
            self.time_passes(STEP_S)

    @rule()
    def a_pass(self) -> None:
        decisions = schedule(self.site, self.policy)
        pending = {s.id for s in self.site.sessions if s.state == "pending"}
        assert started(decisions) | {w.session_id for w in decisions.waiting} == pending
        assert sorted(w.position for w in decisions.waiting) == list(
            range(1, len(decisions.waiting) + 1)
        )
        assert all(w.reason.message for w in decisions.waiting)
        held = {s.id for s in self.site.sessions if s.held is not None}
        assert not held & (started(decisions) | set(decisions.reservations))
        assert not held & {e.for_session for e in decisions.evictions}
        firm = {s.id for s in self.site.sessions if not s.preemptible or s.ending}
        assert not firm & evicted(decisions)
        open_nodes = {n.name for n in self.site.nodes if n.schedulable}
        assert all(p.node in open_nodes for s in decisions.starts for p in s.placements)
        assert self.patience.note(self.site, started(decisions)) == []
        self.site = carry_out(self.site, decisions)

    @rule()
    def it_comes_to_rest(self) -> None:
        """With nothing new, starts and evictions run dry: no evict-and-admit loop."""
        site = self.site
        for _ in range(40):
            site = replace(
                site, sessions=tuple(requeued(s) if s.ending else s for s in site.sessions)
            )
            decisions = schedule(site, self.policy)
            if not decisions.starts and not decisions.evictions:
                codes = {w.reason.code for w in decisions.waiting}
                assert "reserved" not in codes or codes & CAPACITY
                assert "being_freed" not in codes
                return
            site = carry_out(site, decisions)
            assert violations(site) == []
        raise AssertionError("sessions are evicted and admitted in a loop")

    @invariant()
    def no_rule_is_broken(self) -> None:
        if hasattr(self, "site"):
            assert violations(self.site) == []


TestLifeOfASite = LifeOfASite.TestCase
TestLifeOfASite.settings = settings(
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

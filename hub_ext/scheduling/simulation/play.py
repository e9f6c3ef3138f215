"""Play a scenario to its fixed point with the very core that the live loop uses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hub_ext.scheduling.accounts import Accounts
from hub_ext.scheduling.fair_share import set_fair_shares
from hub_ext.scheduling.jobs import held_by
from hub_ext.scheduling.model import GPU, Decisions, Session, Snapshot
from hub_ext.scheduling.passes import schedule
from hub_ext.scheduling.simulation.scenario import NOW, QUANTUM_MILLI, Scenario

MOST_PASSES = 200


def play(scenario: Scenario, policy: str = "fragmentation", seed: int = 0) -> dict[str, Any]:
    """The result that ``apportion simulate`` prints for one scenario."""
    if scenario.pure_function:
        return _fair_share_only(scenario)
    table = _Table(scenario, policy, seed)
    if scenario.sequential:
        for session in sorted(_pending(scenario), key=lambda s: (s.order, s.id)):
            table.submit(session)
            table.settle()
    else:
        for session in _pending(scenario):
            table.submit(session)
    table.settle()
    return table.result()


def _pending(scenario: Scenario) -> list[Session]:
    return [s for s in scenario.sessions if s.state == "pending"]


def _fair_share_only(scenario: Scenario) -> dict[str, Any]:
    accounts = Accounts(scenario.projects)
    for name, milli in scenario.requests.items():
        accounts.request(name, (milli, 0, 0))
    total = sum(len(n.devices) for n in scenario.nodes) * GPU
    set_fair_shares(accounts, (total, 0, 0), scenario.k_value)
    return {
        "id": scenario.id,
        "jobs": {},
        "fair_share": {a.name: _gpus(a.fair_share[0]) for a in accounts.by_name.values()},
        "allocated": {a.name: 0 for a in accounts.by_name.values()},
    }


def _gpus(milli: int) -> float:
    return milli // GPU if milli % GPU == 0 else milli / GPU


class _Table:
    """The sessions on the table, moved by the decisions of one pass after another."""

    def __init__(self, scenario: Scenario, policy: str, seed: int) -> None:
        self._scenario = scenario
        self._policy = policy
        self._seed = seed
        self._sessions = {s.id: s for s in scenario.sessions if s.state == "running"}
        self._evicted: set[str] = set()
        self._last = Decisions()
        self._settled = True

    def submit(self, session: Session) -> None:
        self._sessions[session.id] = session

    def snapshot(self) -> Snapshot:
        return Snapshot(
            now=NOW,
            nodes=self._scenario.nodes,
            projects=self._scenario.projects,
            sessions=tuple(self._sessions.values()),
            fgpu_quantum_milli=QUANTUM_MILLI,
            time_aware_k=self._scenario.k_value,
            seed=self._seed,
        )

    def settle(self) -> None:
        """Pass after pass until nothing starts and nothing is evicted."""
        for _ in range(MOST_PASSES):
            self._last = schedule(self.snapshot(), self._policy)
            if not self._last.starts and not self._last.evictions:
                return
            self._apply(self._last)
        self._settled = False

    def _apply(self, decisions: Decisions) -> None:
        for start in decisions.starts:
            self._sessions[start.session_id] = replace(
                self._sessions[start.session_id],
                state="running",
                placements=start.placements,
                running_since=NOW,
                reserved=(),
            )
        for eviction in decisions.evictions:
            session = self._sessions[eviction.session_id]
            if eviction.containers and session.state == "running":
                left = list(session.placements)
                for placement in eviction.containers:
                    left.remove(placement)
                self._sessions[session.id] = replace(session, placements=tuple(left))
                continue
            self._evicted.add(eviction.session_id)
            self._sessions[eviction.session_id] = replace(
                session,
                state="pending",
                placements=(),
                running_since=None,
            )
        for name, session in self._sessions.items():
            if session.state == "pending":
                reserved = decisions.reservations.get(name, ())
                self._sessions[name] = replace(session, reserved=reserved)

    def result(self) -> dict[str, Any]:
        allocated = Accounts(self._scenario.projects)
        for session in self._sessions.values():
            held = held_by(session.placements, session)
            allocated.book(session.project, held, fixed=not session.preemptible)
        result: dict[str, Any] = {
            "id": self._scenario.id,
            "jobs": {s.id: self._job(self._sessions[s.id]) for s in self._scenario.sessions},
            "fair_share": {n: _gpus(r.gpu_milli) for n, r in self._last.fair_share.items()},
            "allocated": {n: _gpus(a.allocated[0]) for n, a in allocated.by_name.items()},
        }
        if not self._settled:
            result["settled"] = False
        return result

    def _job(self, session: Session) -> dict[str, Any]:
        if session.state == "pending":
            state = "preempted" if session.id in self._evicted else "pending"
            return {"state": state, "node": None, "devices": []}
        nodes = [p.node for p in session.placements]
        devices = [piece.device for p in session.placements for piece in p.slices]
        node: str | list[str] = nodes[0] if len(set(nodes)) == 1 else nodes
        return {"state": "running", "node": node, "devices": devices}

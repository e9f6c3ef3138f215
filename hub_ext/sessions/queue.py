"""The live loop: one snapshot, one decision, one write.

It runs when something has changed, and every few seconds as a net. All deciding is in
``hub_ext.scheduling``; this only carries it out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from hub_ext.db.models import DeviceRow
from hub_ext.errors import Conflict
from hub_ext.gpu.enforcers.choice import DeviceUse, read_device_uses
from hub_ext.scheduling import model, schedule
from hub_ext.sessions.changes import Change
from hub_ext.sessions.decisions import Grant, GrantedSlice, Wait, write_decisions
from hub_ext.sessions.notices import Notice
from hub_ext.sessions.passes import Outcome, Pass
from hub_ext.sessions.snapshot import read_snapshot, view_of
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why
from hub_ext.site import Site

log = logging.getLogger(__name__)

_TICK_S = 5.0
_PAUSE_S = 0.02
"""Changes that come together are looked at together."""


class Queue:
    """Grants PENDING sessions and tells the others why they wait."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._woken = asyncio.Event()
        self._rules = 0
        """Counts the changes of what sessions are placed by."""
        self._next_start: float | None = None
        """When the first of those who are set to start later may (Unix s)."""
        site.changes.listen(self._on_change)
        site.projects.listen(self.wake)
        site.changes.listen_to_nodes(self.wake)

    def wake(self) -> None:
        """Look at the queue soon: nodes, projects or limits have changed."""
        self._rules += 1
        self._woken.set()

    async def run(self) -> None:
        """For ever: wait for a change or a tick, then one pass."""
        while True:
            began = time.perf_counter()
            try:
                await self._pass()
            except Exception:
                log.exception("A scheduling pass failed; the next one starts afresh.")
                self._site.passes.tell(Pass(time.perf_counter() - began, Outcome.FAILED))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_next()):
                    await self._woken.wait()
            await asyncio.sleep(_PAUSE_S)
            self._woken.clear()

    def _until_next(self) -> float:
        """Seconds until the next look, if nothing changes before."""
        start, self._next_start = self._next_start, None
        return _TICK_S if start is None else min(_TICK_S, max(0.0, start - time.time()))

    async def _pass(self) -> None:
        """One pass that holds up nobody while it thinks.

        Sessions may change meanwhile: each decision is written only where it still holds.
        When the rules have changed (a quota, a drained node), nothing of it does.
        """
        self._expire()
        rules, began = self._rules, time.perf_counter()
        snapshot = self._read()
        decisions = await asyncio.to_thread(schedule, snapshot, self._site.policy.placement)
        holds = rules == self._rules
        if holds:
            self._write(snapshot, decisions)
        outcome = Outcome.WRITTEN if holds else Outcome.STALE
        self._site.passes.tell(Pass(time.perf_counter() - began, outcome, decisions))

    def pass_once(self) -> model.Decisions:
        """One pass, from reading to writing; one that thinks meanwhile is dropped."""
        self._rules += 1
        self._expire()
        snapshot = self._read()
        decisions = schedule(snapshot, self._site.policy.placement)
        self._write(snapshot, decisions)
        return decisions

    def _read(self) -> model.Snapshot:
        with self._site.database.transaction() as db:
            snapshot = read_snapshot(db, view_of(self._site))
        starts = (session.not_before for session in snapshot.sessions)
        later = (start for start in starts if start is not None and start > snapshot.now)
        self._next_start = min(later, default=None)
        return snapshot

    def _write(self, snapshot: model.Snapshot, decisions: model.Decisions) -> None:
        site = self._site
        site.reservations, site.fair_share = decisions.reservations, decisions.fair_share
        evictions = [(evict.session_id, self._notice(evict)) for evict in decisions.evictions]
        grants = self._grants(snapshot, decisions.starts)
        later = {session.id: session.not_before for session in snapshot.sessions}
        waits = [
            _wait(waiting, snapshot.now, later[waiting.session_id]) for waiting in decisions.waiting
        ]
        write_decisions(site.store, grants, evictions, waits)

    def _notice(self, evict: model.Evict) -> Notice:
        """The warning; what does not run yet has nothing to save and is stopped at once."""
        row = self._site.store.get(evict.session_id)
        message = f"{evict.reason.message} {evict.reason.help}".strip()
        if not row.requeue:
            message = f"{evict.reason.message} It does not start again by itself."
        warning_s = self._site.policy.reclaim_warning_s if row.status == Status.RUNNING else 0
        return Notice(evict.kind, message, time.time() + warning_s, evict.for_session)

    def _grants(self, snapshot: model.Snapshot, starts: Sequence[model.Start]) -> list[Grant]:
        if not starts:
            return []
        nodes = {start.placements[0].node for start in starts}
        with self._site.database.transaction() as db:
            devices = read_device_uses(db, self._site.policy, nodes)
        sessions = {session.id: session for session in snapshot.sessions}
        return [self._grant(start, sessions[start.session_id], devices) for start in starts]

    def _grant(
        self,
        start: model.Start,
        session: model.Session,
        devices: Mapping[tuple[str, int], tuple[DeviceRow, DeviceUse]],
    ) -> Grant:
        """The booked slices with their UUIDs, and the GPU memory that goes with them."""
        placement = start.placements[0]
        slices = []
        for part in placement.slices:
            row, use = devices[placement.node, part.device]
            memory_mib = self._site.policy.unit.memory_mib(part.milli, row.memory_mib)
            if use.serves == "instance":
                memory_mib = row.memory_mib
            identity = (part.device, row.uuid, part.milli, memory_mib)
            slices.append(GrantedSlice(*identity, row.simulated, use.enforcer))
        why = Why(f"Starts on node {placement.node}.", "granted")
        return Grant(session.id, placement.node, slices, session.preemptible, why)

    def _expire(self) -> None:
        """Give up on those who waited longer than the site allows (0: no limit)."""
        timeout_s = self._site.policy.pending_timeout_s
        if not timeout_s:
            return
        for row in self._site.store.find(statuses={Status.PENDING}):
            # one that was reclaimed waits anew, one that is set to start later from then on
            if time.time() - max(row.changed_at, row.not_before or 0.0) > timeout_s:
                why = Why(f"Waited longer than {timeout_s / 3600:g} hours.", "pending_timeout")
                try:
                    self._site.store.transition(row.id, Status.EXPIRED, why, by="scheduler")
                except Conflict:
                    continue

    def _on_change(self, change: Change) -> None:
        if change.of_status:
            self._woken.set()


def _wait(waiting: model.Waiting, now: float, not_before: float | None) -> Wait:
    reason = waiting.reason
    expected_at = None if waiting.estimate_s is None else now + waiting.estimate_s
    if expected_at is None and reason.code == "not_before":
        expected_at = not_before
    return Wait(
        waiting.session_id,
        Why(reason.message, reason.code, reason.help),
        waiting.position,
        expected_at,
    )

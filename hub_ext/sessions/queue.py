"""The live loop: one snapshot, one decision, one write.

It runs when something has changed, and every few seconds as a net. All deciding is in
``hub_ext.scheduling``; this only carries it out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from sqlalchemy import select

from hub_ext.db.models import DeviceRow
from hub_ext.errors import Conflict, NotFound
from hub_ext.scheduling import model, schedule
from hub_ext.sessions.changes import Change
from hub_ext.sessions.snapshot import read_snapshot
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import GrantedSlice, Wait, Why
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
        site.changes.listen(self._on_change)

    def wake(self) -> None:
        """Look at the queue soon."""
        self._woken.set()

    async def run(self) -> None:
        """For ever: wait for a change or a tick, then one pass."""
        while True:
            try:
                self.pass_once()
            except Exception:
                log.exception("A scheduling pass failed; the next one starts afresh.")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _TICK_S)
            await asyncio.sleep(_PAUSE_S)
            self._woken.clear()

    def pass_once(self) -> model.Decisions:
        """One pass. A session that was cancelled meanwhile keeps its cancellation."""
        self._expire()
        with self._site.database.transaction() as db:
            snapshot = read_snapshot(self._site, db)
        decisions = schedule(snapshot, self._site.policy.placement)
        self._site.reservations = decisions.reservations
        for start in decisions.starts:
            self._grant(start)
        self._site.store.explain([_wait(waiting, snapshot.now) for waiting in decisions.waiting])
        return decisions

    def _grant(self, start: model.Start) -> None:
        placement = start.placements[0]
        slices, memory_mib = self._devices(placement)
        where = f"Starts on node {placement.node}."
        try:
            self._site.store.grant(
                start.session_id, placement.node, slices, memory_mib, Why(where, "granted")
            )
        except (Conflict, NotFound) as gone:
            log.info("Session %s was not granted: %s", start.session_id, gone)

    def _devices(self, placement: model.TaskPlacement) -> tuple[list[GrantedSlice], int]:
        """The booked slices with their UUIDs, and the GPU memory that goes with them."""
        with self._site.database.transaction() as db:
            query = select(DeviceRow).where(DeviceRow.node == placement.node)
            devices = {row.device: row for row in db.scalars(query)}
        slices, memory_mib = [], 0
        for part in placement.slices:
            row = devices[part.device]
            slices.append(GrantedSlice(part.device, row.uuid, part.milli, row.simulated))
            memory_mib += self._site.policy.unit.memory_mib(part.milli, row.memory_mib)
        return slices, memory_mib

    def _expire(self) -> None:
        """Give up on those who waited longer than the site allows (0: no limit)."""
        timeout_s = self._site.policy.pending_timeout_s
        if not timeout_s:
            return
        for row in self._site.store.find(statuses={Status.PENDING}):
            if time.time() - row.submitted_at > timeout_s:
                why = Why(f"Waited longer than {timeout_s / 3600:g} hours.", "pending_timeout")
                try:
                    self._site.store.transition(row.id, Status.EXPIRED, why, by="scheduler")
                except Conflict:
                    continue

    def _on_change(self, change: Change) -> None:
        if change.of_status:
            self._woken.set()


def _wait(waiting: model.Waiting, now: float) -> Wait:
    reason = waiting.reason
    return Wait(
        waiting.session_id,
        Why(reason.message, reason.code, reason.help),
        waiting.position,
        None if waiting.estimate_s is None else now + waiting.estimate_s,
    )

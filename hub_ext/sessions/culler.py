"""Stops running sessions whose time is over, each after a warning (DESIGN 3 and 4.5).

Two kinds of warning end here: those of the scheduler, which takes a place for somebody
else, and those of a session's own end (``endings.py``). A warning whose cause has gone
is withdrawn. All of it is in the database: a restart forgets no warning.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from sqlalchemy import select

from hub_ext.db.models import SessionRow
from hub_ext.errors import Conflict, NotFound
from hub_ext.projects.tree import Rows, lineage, read_projects
from hub_ext.sessions.activity import Activity
from hub_ext.sessions.alerts import GPU_MEMORY
from hub_ext.sessions.endings import BeyondSlice, Ending, ending_of, stops_at
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.notices import EVICTIONS, Notice, warn, withdraw
from hub_ext.sessions.outlook import idle_limits
from hub_ext.sessions.status import GRANTED, Status
from hub_ext.sessions.store import Why
from hub_ext.site import Site

log = logging.getLogger(__name__)

_LONGEST_SLEEP_S = 5.0
_SHORTEST_SLEEP_S = 0.05
_LOOK_AHEAD_EVERY_S = 15.0
_DRIFT_S = 1.0
"""An end that moves by less is the same end."""

_GONE = {
    "lifetime": "its lifetime was extended.",
    "idle": "it is in use again.",
    "hours": "the hours of its project have changed.",
    "folder": "it may keep its folders.",
    "term": "the term of its project has changed.",
    "gpu_memory": "it keeps to its slice again.",
    "asked": "who asked for its end has called that off.",
}
"""What has happened when the cause of a warning has gone, by its code."""


class Culler:
    """Warns, withdraws, stops."""

    def __init__(self, site: Site, launcher: Launcher) -> None:
        self._site = site
        self._launcher = launcher
        self._looked_ahead_at = 0.0
        self._idle_is_limited = False
        self.activity = Activity(site.hub, lambda: self._idle_is_limited)
        self._woken = asyncio.Event()
        site.changes.listen(lambda change: self._woken.set() if change.of_status else None)
        site.projects.listen(self.look_again)

    async def run(self) -> None:
        """For ever: at every change, and when the next warned session is due."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.activity.run())
            group.create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                self.once()
            except Exception:
                log.exception("The culler failed; it tries again.")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._sleep_s()):
                    await self._woken.wait()
            self._woken.clear()

    def once(self) -> None:
        """Everything that is due now; no cause is taken for granted when it comes to the stop."""
        self._withdraw_evictions()
        now = time.time()
        if self._due(now) or now - self._looked_ahead_at >= _LOOK_AHEAD_EVERY_S:
            self._looked_ahead_at = now
            self._look_ahead()
        self._stop_due()

    def look_again(self) -> None:
        """Hours, terms, limits or who exceeds his slice have changed."""
        self._looked_ahead_at = 0.0
        self._woken.set()

    def _sleep_s(self) -> float:
        """Until the next stop, within bounds."""
        due = min((row.stops_at or 0.0 for row in self._warned()), default=None)
        if due is None:
            return _LONGEST_SLEEP_S
        return min(_LONGEST_SLEEP_S, max(_SHORTEST_SLEEP_S, due - time.time()))

    def _warned(self) -> Sequence[SessionRow]:
        query = select(SessionRow).where(
            SessionRow.stops_at.is_not(None), SessionRow.status.in_(GRANTED)
        )
        with self._site.database.transaction() as db:
            return db.scalars(query).all()

    def _due(self, now: float) -> list[SessionRow]:
        return [row for row in self._warned() if row.stops_at is not None and row.stops_at <= now]

    def _withdraw_evictions(self) -> None:
        """Who was to make room for a session that cannot take it any more may stay.

        The scheduler keeps the place for it from pass to pass, for as long as it can.
        """
        reservations = self._site.reservations
        evicted = [row for row in self._warned() if row.notice_code in EVICTIONS]
        if not evicted or reservations is None:
            return
        query = select(SessionRow.id, SessionRow.priority).where(
            SessionRow.id.in_({row.evicted_for for row in evicted}),
            SessionRow.status == Status.PENDING,
        )
        with self._site.database.transaction() as db:
            waiting = {row.id: row.priority for row in db.execute(query)}
        for row in evicted:
            if row.evicted_for not in waiting:
                message = "the session that needed its place no longer waits."
            elif row.evicted_for not in reservations:
                message = "the session that needed its place cannot start there now."
            elif row.notice_code == "preempt" and waiting[row.evicted_for] <= row.priority:
                message = "the session that needed its place has no higher priority any more."
            else:
                continue
            withdraw(self._site.store, row.id, message)

    def _stop_due(self) -> None:
        """Stop what was warned in time. Nobody is idle while the hub is silent."""
        for row in self._due(time.time()):
            eviction = row.notice_code in EVICTIONS
            if eviction and self._site.reservations is None:
                continue  # no pass yet since the start: it may say that nobody needs the place
            if not self._cause_is_known(row):
                continue
            try:
                if eviction:
                    self._launcher.preempt(row)
                else:
                    why = Why(row.notice_message, row.notice_code)
                    self._launcher.stop(row.id, why, by="service")
            except (Conflict, NotFound) as moved:
                log.info("Session %s was not stopped: %s", row.id, moved)

    def _look_ahead(self) -> None:
        """Warn of ends that come near; withdraw warnings of ends that have moved away."""
        with self._site.database.transaction() as db:
            projects = read_projects(db)
            rows = db.scalars(select(SessionRow).where(SessionRow.status == Status.RUNNING)).all()
            idle = idle_limits(db, projects, rows)
        self._idle_is_limited = bool(idle)
        now = time.time()
        for row in rows:
            if row.notice_code in EVICTIONS:
                continue
            try:
                ending = self._ending(row, projects, idle, now)
                if self._cause_is_known(row) or self._in_sight(ending, now):
                    self._renew(row, ending, now)
            except Exception:  # trouble with one holds up no other
                log.exception("The end of session %s cannot be told.", row.id)

    def _in_sight(self, ending: Ending | None, now: float) -> bool:
        """Whether it is time to warn of it; it then takes the place of a cause nobody can see."""
        if ending is None:
            return False
        return stops_at(ending, now, self._site.policy.ending_warning_s) is not None

    def _cause_is_known(self, row: SessionRow) -> bool:
        """Whether what its warning is about can be seen now."""
        if row.notice_code == "idle":
            return self.activity.known
        return row.notice_code != GPU_MEMORY or row.id in self._site.meter.judged

    def _ending(
        self, row: SessionRow, projects: Rows, idle: Mapping[tuple[str, str], int], now: float
    ) -> Ending | None:
        return ending_of(
            row,
            lineage(projects, row.project),
            idle_s=idle.get((row.project, row.user)),
            active_at=self.activity.of(row.user, row.server_name),
            beyond=self._beyond(row.id),
            now=now,
            timezone=self._site.policy.timezone,
        )

    def _beyond(self, session_id: str) -> BeyondSlice | None:
        """That a session holds too much GPU memory, where it is stopped for it."""
        meter, policy = self._site.meter, self._site.policy
        excess = meter.excess.get(session_id)
        if excess is None or session_id not in meter.judged or not policy.stop_over_gpu_memory:
            return None
        until = excess.since + policy.gpu_memory_grace_s
        return BeyondSlice(until, excess.used_mib, excess.slice_mib)

    def _renew(self, row: SessionRow, ending: Ending | None, now: float) -> None:
        """Make a session's warning fit its end."""
        at = None if ending is None else stops_at(ending, now, self._site.policy.ending_warning_s)
        if ending is None or at is None:
            if row.stops_at is not None:
                message = _GONE.get(row.notice_code, "its cause has gone.")
                withdraw(self._site.store, row.id, message)
            return
        if row.notice_code == ending.code and row.stops_at is not None:
            overdue = ending.at <= now  # it was warned late, and keeps that time
            if overdue or abs(row.stops_at - at) < _DRIFT_S:
                return
        warn(self._site.store, row.id, Notice(ending.code, ending.message, at))

"""Starts of granted sessions through the hub, and stops of running ones.

A session that a spawner waits for needs no start. One that nobody waits for (submitted
by page or API, or forgotten by a hub that was restarted) is started here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from hub_ext.db.models import SessionRow
from hub_ext.errors import Conflict, NotFound
from hub_ext.hub_client import HubRefused, HubUnavailable
from hub_ext.nodes.engine import EngineRefused, EngineUnavailable
from hub_ext.sessions.status import GRANTED, LAUNCHING, STOPPING, Status
from hub_ext.sessions.store import Why
from hub_ext.site import Site

log = logging.getLogger(__name__)

_ATTEMPTS = 5
_RETRY_AFTER_S = 20.0
"""How long a start that the hub accepted may take to reach the spawner."""
_TICK_S = 1.0


class Launcher:
    """Carries grants to the hub."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._asked: dict[str, float] = {}
        """When the hub was last asked to start a granted session (Unix s)."""
        self._in_vain: dict[str, int] = {}
        """How often it was asked since the grant."""
        self._stopping: set[tuple[str, str]] = set()
        """Servers that the hub is stopping for a session that has ended; no new start for them."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """For ever: start what was granted and nobody waits for."""
        woken = asyncio.Event()
        self._site.changes.listen(lambda change: woken.set() if change.of_status else None)
        while True:
            try:
                self._start_granted()
            except Exception:
                log.exception("The launcher failed; it tries again.")
            woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await woken.wait()

    def _start_granted(self) -> None:
        rows = self._site.store.find(statuses={Status.SCHEDULED})
        granted = {row.id for row in rows}
        self._asked = {key: at for key, at in self._asked.items() if key in granted}
        self._in_vain = {key: times for key, times in self._in_vain.items() if key in granted}
        for row in rows:
            asked = self._asked.get(row.id, 0.0)
            if (row.user, row.server_name) in self._stopping:
                continue
            if self._site.changes.attached(row.id) or time.time() - asked < _RETRY_AFTER_S:
                continue
            self._asked[row.id] = time.time()
            self._background(self._start(row))

    def handed_over(self, session_id: str) -> None:
        """A spawner has the grant; asking the hub for a second start would only disturb it.

        Should that spawner die, the start is asked for after a while all the same.
        """
        self._asked[session_id] = time.time()

    async def _start(self, row: SessionRow) -> None:
        try:
            await self._site.hub.start_server(row.user, row.server_name, row.name, row.options)
        except HubUnavailable:
            self._asked.pop(row.id, None)
        except HubRefused as refusal:
            log.warning("The hub did not start %s: %s", row.id, refusal)
            self._count(row, f"The hub did not start it: {refusal}", final=refusal.status == 404)
        else:
            self._count(row, "The hub accepted its start, but never began it.")

    def _count(self, row: SessionRow, what: str, *, final: bool = False) -> None:
        """A start was asked for; after a few in vain the session ends and says why."""
        self._in_vain[row.id] = self._in_vain.get(row.id, 0) + 1
        if self._in_vain[row.id] < _ATTEMPTS and not final:
            return
        why = Why(what, "hub_refused")
        try:
            self._site.store.transition(
                row.id, Status.ERROR, why, by="service", allowed={Status.SCHEDULED}
            )
        except (Conflict, NotFound):
            log.info("Session %s moved on meanwhile.", row.id)

    def stop(self, session_id: str, why: Why, *, by: str) -> SessionRow:
        """Cancel or stop a session, whatever it is doing. Raises NotFound, Conflict when ended.

        The answer comes at once; a running server is stopped in the background.
        """
        store = self._site.store
        for _ in range(3):
            row = store.get(session_id)
            status = Status(row.status)
            if status is Status.TERMINATING:
                return row
            if status is Status.PREEMPTED:
                return self._do_not_requeue(row, why, by)
            waits = status in {Status.PENDING, Status.SCHEDULED}
            to = Status.CANCELLED if waits else Status.TERMINATING
            try:
                row = store.transition(session_id, to, why, by=by, allowed={status})
            except Conflict:
                if row.ended_at is not None:
                    raise
                continue
            if status is not Status.PENDING:  # of a waiting one the hub has nothing to stop
                self._background(self._stop_server(row))
            return row
        raise Conflict("The session is changing right now; try again.")

    def _do_not_requeue(self, row: SessionRow, why: Why, by: str) -> SessionRow:
        """It is being stopped already; let it not come back. Raises Conflict."""
        if not row.requeue:
            return row
        return self._site.store.amend(row.id, why, by=by, allowed={Status.PREEMPTED}, requeue=False)

    def preempt(self, row: SessionRow) -> None:
        """Stop a warned session for others. Raises Conflict when it has moved on."""
        why = Why(row.notice_message, row.notice_code)
        row = self._site.store.transition(
            row.id, Status.PREEMPTED, why, by="scheduler", allowed=GRANTED
        )
        self._background(self._stop_server(row))

    async def _stop_server(self, row: SessionRow) -> None:
        """Tell the hub; once nothing runs there any more, make sure and end the session."""
        key = (row.user, row.server_name)
        self._stopping.add(key)
        try:
            under_way = await self._site.hub.stop_server(row.user, row.server_name)
        except (HubUnavailable, HubRefused) as error:
            log.warning("The hub could not stop %s: %s; the reconciler will.", row.id, error)
            return
        finally:
            self._stopping.discard(key)
        if under_way or row.status not in STOPPING:
            return
        try:
            await self.remove_container(row)
        except (EngineRefused, EngineUnavailable) as error:
            log.warning("The container of %s was not removed: %s", row.id, error)
            return
        why = Why(row.reason_message)
        self.end(row.id, Status.TERMINATED, why, by="service", run_id=row.run_id)

    async def finish_stop(self, row: SessionRow, *, stuck: bool) -> None:
        """Stop again what should be gone by now; ``stuck``: without the hub's help.

        Raises as hub and engine do.
        """
        if not stuck and await self._site.hub.stop_server(row.user, row.server_name):
            return
        await self.remove_container(row)
        why = Why(row.reason_message)
        self.end(row.id, Status.TERMINATED, why, by="service", run_id=row.run_id)

    async def remove_container(self, row: SessionRow) -> None:
        """Remove what still runs for a session. Raises EngineUnavailable, EngineRefused."""
        for container in await self._site.engine.containers():
            if container.session_id == row.id:
                await self._site.engine.remove(container.container_id)

    def end(
        self, session_id: str, to: Status, why: Why, *, by: str, run_id: int | None = None
    ) -> SessionRow:
        """End a session from wherever it is; one that was reclaimed goes back to the queue.

        One that has ended stays as it is, and so does one whose run ``run_id`` is over: it
        has been back in the queue since.
        """
        store = self._site.store
        row = store.get(session_id)
        if row.ended_at is not None or run_id not in {None, row.run_id}:
            return row
        status = Status(row.status)
        if status is Status.PREEMPTED:
            return self._end_preempted(row, by)
        if status in {Status.PENDING, Status.SCHEDULED} and to is Status.TERMINATED:
            to = Status.CANCELLED
        if status in LAUNCHING and to is not Status.ERROR:
            store.transition(session_id, Status.TERMINATING, why, by=by, allowed=LAUNCHING)
            to = Status.TERMINATED
        if status in {Status.RUNNING, Status.TERMINATING}:
            to = Status.TERMINATED
        kept = Why(row.reason_message) if status is Status.TERMINATING else why
        return store.transition(session_id, to, kept, by=by)

    def _end_preempted(self, row: SessionRow, by: str) -> SessionRow:
        """Nothing of it runs any more: back to its old place in the queue, or the end."""
        if row.requeue and row.ends_at is None:
            why = Why("It waits again, at its old place in the queue.", "requeued")
            return self._site.store.transition(row.id, Status.PENDING, why, by=by)
        why = Why(row.reason_message, row.reason_code)
        return self._site.store.transition(row.id, Status.TERMINATED, why, by=by)

    def _background(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("A background step failed", exc_info=task.exception())

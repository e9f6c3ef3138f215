"""Telling the service how far a start has come, off the path of the start itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from .grant import Placement, SessionView
from .queue_wait import SessionEnded
from .service_client import ServiceClient, ServiceUnavailable, SessionConflict, SessionGone

FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 5.0
#: How long a start waits for the service to note it before it goes on without.
ANNOUNCE_LIMIT_S = 3.0


class GrantTakenBack(Exception):
    """The slice was reclaimed before it was used; ``session`` goes back to the queue."""

    def __init__(self, session: SessionView) -> None:
        self.session = session
        why = session.setback or "The slice was taken back."
        super().__init__(f"{why} The session is back in the queue and starts by itself.")


class StatusReporter:
    """Reports the stages of one run of a session, each until the service has heard it."""

    def __init__(
        self,
        service: ServiceClient,
        placement: Placement,
        details: Callable[[], dict[str, str]],
        log: logging.Logger,
    ) -> None:
        self._service = service
        self._session_id = placement.session_id
        self._run_id = placement.run_id
        self._details = details
        self._log = log
        self._announced: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None

    async def confirm(self) -> None:
        """Report PREPARING: from now on a reclaim stops the start instead of undoing the grant.

        Raises GrantTakenBack or SessionEnded.
        """
        self._announce("PREPARING")
        await self.announced()

    def announce_start(self) -> None:
        """Report STARTING while the engine already works."""
        self._announce("STARTING")

    async def announced(self) -> None:
        """Raise GrantTakenBack or SessionEnded if the session may not start any more.

        A silent service is no reason to hold up a start: the slice is booked.
        """
        assert self._announced is not None
        await asyncio.wait([self._announced], timeout=ANNOUNCE_LIMIT_S)
        if self._announced.done():
            self._announced.result()

    def report_running(self) -> asyncio.Task[None]:
        """Report RUNNING in the background, after what was announced before."""
        self._running = asyncio.ensure_future(self._report_running())
        return self._running

    def _announce(self, status: str) -> None:
        if self._announced is not None:
            self._announced.cancel()  # the service fills in what it has not heard
        self._announced = asyncio.ensure_future(self._report(status))
        self._announced.add_done_callback(_heard)

    async def _report_running(self) -> None:
        if self._announced is not None:
            await asyncio.wait([self._announced])
        try:
            await self._report("RUNNING")
        except (SessionEnded, GrantTakenBack) as e:
            # whoever ended it stops the server through the hub
            self._log.info("Session %s runs, but: %s", self._session_id, e)

    async def _report(self, status: str) -> None:
        delay = FIRST_RETRY_S
        while True:
            try:
                await self._service.report_status(
                    self._session_id, status, run_id=self._run_id, **self._details()
                )
                return
            except SessionConflict:
                session = await self._service.wait(self._session_id, 0, 1)
                self._check_granted(session)
                return  # a repeated start: the service is further on than this hub
            except SessionGone:
                self._log.warning("The service does not know session %s", self._session_id)
                return
            except ServiceUnavailable as e:
                self._log.warning("Could not report %s of %s: %s", status, self._session_id, e)
            await asyncio.sleep(delay)
            delay = min(LONGEST_RETRY_S, delay * 2)

    def _check_granted(self, session: SessionView) -> None:
        if session.over:
            raise SessionEnded(session)
        if not session.granted or self._run_id not in {None, session.run_id}:
            raise GrantTakenBack(session)


def _heard(task: asyncio.Task[None]) -> None:
    """A refusal that nobody waits for any more is no forgotten error: the next one says it."""
    if not task.cancelled():
        task.exception()

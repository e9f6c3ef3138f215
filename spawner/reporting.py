"""Telling the service how far a start has come, off the path of the start itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from .queue_wait import SessionEnded
from .service_client import ServiceClient, ServiceUnavailable, SessionConflict, SessionGone

FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 5.0
#: How long a start waits for the service to note it before it goes on without.
ANNOUNCE_LIMIT_S = 3.0


class StatusReporter:
    """Reports the stages of one session in order, each until the service has heard it."""

    def __init__(
        self,
        service: ServiceClient,
        session_id: str,
        details: Callable[[], dict[str, str]],
        log: logging.Logger,
    ) -> None:
        self._service = service
        self._session_id = session_id
        self._details = details
        self._log = log
        self._announced: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None

    def announce_start(self) -> None:
        """Report STARTING while the engine already works; the service fills in PREPARING."""
        self._announced = asyncio.ensure_future(self._report("STARTING"))

    async def announced(self) -> None:
        """Raise SessionEnded if the session was ended meanwhile.

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

    async def _report_running(self) -> None:
        if self._announced is not None:
            await asyncio.wait([self._announced])
        try:
            await self._report("RUNNING")
        except SessionEnded as e:
            # whoever ended it stops the server through the hub
            self._log.info("Session %s runs, but: %s", self._session_id, e)

    async def _report(self, status: str) -> None:
        delay = FIRST_RETRY_S
        while True:
            try:
                await self._service.report_status(self._session_id, status, **self._details())
                return
            except SessionConflict:
                session = await self._service.wait(self._session_id, 0, 1)
                if not session.granted:
                    raise SessionEnded(session) from None
                return  # a repeated start: the service is further on than this hub
            except SessionGone:
                self._log.warning("The service does not know session %s", self._session_id)
                return
            except ServiceUnavailable as e:
                self._log.warning("Could not report %s of %s: %s", status, self._session_id, e)
            await asyncio.sleep(delay)
            delay = min(LONGEST_RETRY_S, delay * 2)

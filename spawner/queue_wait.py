"""From a request to a grant: ask, wait, and outlive restarts of the service."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .grant import SessionView
from .progress import queue_event, stage_event
from .service_client import (
    LONGEST_WAIT_S,
    Ending,
    RequestRefused,
    ServiceClient,
    ServiceDenied,
    ServiceError,
    ServiceUnavailable,
    SessionConflict,
    SessionGone,
)

SERVICE_RESTARTING = "The queue service is restarting; your place is kept."
SERVICE_STARTING = "The queue service does not answer yet; trying again."
STILL_ENDING = "Your previous session is still being stopped."

FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 5.0

Publish = Callable[[dict[str, Any]], None]


class SessionEnded(Exception):
    """The session ended while it waited: cancelled, expired or failed, not by this spawner."""

    def __init__(self, session: SessionView) -> None:
        self.session = session
        super().__init__(_ending_sentence(session))


@dataclass(frozen=True)
class ServerRequest:
    """Whose server is to start, and with which launch options."""

    user: str
    server_name: str
    display_name: str
    options: Mapping[str, Any]


_NOTHING_STORED = (RequestRefused, SessionConflict, ServiceDenied)
"""Answers after which there is no session of ours to end."""


class QueueWait:
    """The wait of one spawn for its grant.

    ``session_id`` is known as soon as the service has stored the request, so that a cancel can
    name what it gives up.
    """

    def __init__(self, client: ServiceClient, request: ServerRequest, publish: Publish) -> None:
        self._client = client
        self._request = request
        self._publish = publish
        self._delays = _Backoff()
        self.session_id = ""
        self._asking: asyncio.Future[SessionView] | None = None

    async def granted(self) -> SessionView:
        """The session with its grant, however long that takes.

        Raises RequestRefused, ServiceDenied, ServiceError or SessionEnded.
        """
        session = await self._ask()
        while not session.granted:
            if session.ended:
                raise SessionEnded(session)
            if session.status == "TERMINATING":
                raise SessionEnded(session)
            self._publish(queue_event(session))
            session = await self._next(session)
        return session

    @contextlib.asynccontextmanager
    async def attached(self) -> AsyncIterator[None]:
        """Keep a wait open, by which the service knows that a spawner has the session in hand."""
        staying = asyncio.ensure_future(self._stay())
        try:
            yield
        finally:
            staying.cancel()

    async def _stay(self) -> None:
        since = 0
        while True:
            try:
                session = await self._client.wait(self.session_id, since, LONGEST_WAIT_S)
                if session.ended or session.status == "TERMINATING":
                    return  # answered at once from now on: the turn will find it out
                since = session.version
            except ServiceUnavailable:
                await asyncio.sleep(LONGEST_RETRY_S)
            except ServiceError:
                return

    async def give_up(self, ending: Ending) -> None:
        """End what was asked for, also when the answer had not arrived yet."""
        if self._asking is None:
            return
        await asyncio.wait([self._asking])
        if self.session_id:
            await self._client.end(self.session_id, ending)
        elif not isinstance(self._asking.exception(), _NOTHING_STORED):
            await self._client.end_by_server(self._request.user, self._request.server_name, ending)

    async def _ask(self) -> SessionView:
        return await self._patiently(self._ask_once)

    async def _ask_once(self) -> SessionView:
        request = self._request
        self._asking = asyncio.ensure_future(
            self._client.request_session(
                request.user, request.server_name, request.display_name, request.options
            )
        )
        self._asking.add_done_callback(self._note_id)
        # shielded: a cancel must not lose the id of a session that the service has just stored
        return await asyncio.shield(self._asking)

    def _note_id(self, asked: asyncio.Future[SessionView]) -> None:
        if not asked.cancelled() and asked.exception() is None:
            self.session_id = asked.result().id

    async def _next(self, session: SessionView) -> SessionView:
        try:
            answer = await self._patiently(
                lambda: self._client.wait(session.id, session.version, LONGEST_WAIT_S)
            )
        except SessionGone:
            return await self._ask()
        self._delays.reset()
        return answer

    async def _patiently(self, call: Callable[[], Awaitable[SessionView]]) -> SessionView:
        while True:
            try:
                return await call()
            except ServiceUnavailable:
                self._publish(self._trouble())
            except SessionConflict:
                self._publish(stage_event(0, STILL_ENDING, "PENDING"))
            await self._delays.sleep()

    def _trouble(self) -> dict[str, Any]:
        if self.session_id:
            return stage_event(5, SERVICE_RESTARTING, "PENDING", self.session_id)
        return stage_event(0, SERVICE_STARTING, "PENDING")


class _Backoff:
    """Growing waits with full jitter (so that a class of thirty does not return in step)."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._delay = FIRST_RETRY_S

    async def sleep(self) -> None:
        await asyncio.sleep(random.uniform(FIRST_RETRY_S / 2, self._delay))
        self._delay = min(LONGEST_RETRY_S, self._delay * 2)


def _ending_sentence(session: SessionView) -> str:
    reason = session.reason.message if session.reason else ""
    words = {
        "CANCELLED": "The session was cancelled",
        "EXPIRED": "The session waited too long and was removed from the queue",
        "TERMINATING": "The session was stopped",
        "TERMINATED": "The session was stopped",
        "ERROR": "The session failed",
    }
    sentence = words.get(session.status, f"The session ended ({session.status})")
    return f"{sentence}: {reason}" if reason else f"{sentence}."

"""From a request to a grant: ask, wait, and outlive restarts of the service."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .grant import SessionView
from .progress import queue_event, stage_event
from .service_client import (
    LONGEST_WAIT_S,
    Account,
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
TAKEN_BACK = "Its slice was taken back before it ran."

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
    """Whose server is to start, and with which launch options. ``joins``: the id of the session
    that it is for; else a new one is queued where there is none."""

    account: Account
    server_name: str
    display_name: str
    options: Mapping[str, Any]
    joins: str = ""


async def session_to_join(client: ServiceClient, user: str, server_name: str) -> str:
    """The id of the session that the service asks a start for.

    Queueing a new one would raise a ghost when the user has cancelled in between. Raises
    SessionGone or SessionEnded.
    """
    session = SessionView.model_validate(await client.lookup(user, server_name))
    if session.over:
        raise SessionEnded(session)
    return session.id


_NOTHING_STORED = (RequestRefused, SessionConflict, ServiceDenied)
"""Answers after which there is no session of ours to end."""


class QueueWait:
    """The wait of one spawn for its grant.

    ``session_id`` is known as soon as the service has stored the request, so that a cancel can
    name what it gives up; likewise the run, so that it gives up no later one.
    """

    def __init__(self, client: ServiceClient, request: ServerRequest, publish: Publish) -> None:
        self._client = client
        self._request = request
        self._publish = publish
        self._delays = _Backoff()
        self.session_id = ""
        self._last: SessionView | None = None
        self._setback = ""
        self._asking: asyncio.Future[SessionView] | None = None

    async def granted(self) -> SessionView:
        """The session with its grant, however long that takes.

        Called again after the grant was taken back, it goes on waiting. Raises RequestRefused,
        ServiceDenied, ServiceError or SessionEnded.
        """
        session = self._last or await self._ask()
        while not session.granted:
            if session.over:
                raise SessionEnded(session)
            self._publish(queue_event(session, self._setback))
            session = await self._next(session)
        return session

    def note(self, session: SessionView) -> None:
        """Remember where it stands, and why it has lost a slice that it had."""
        lost = self._last is not None and self._last.granted and not session.granted
        self._setback = session.setback or (TAKEN_BACK if lost else self._setback)
        self.session_id, self._last = session.id, session

    def tell(self, session: SessionView) -> None:
        """Note it, and publish that it waits."""
        self.note(session)
        self._publish(queue_event(session, self._setback))

    async def while_granted(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do ``work`` with a wait open, by which the service knows who has the session in hand.

        False when the grant was taken back or the session ended first; ``work`` is then cancelled.
        """
        tasks = [asyncio.ensure_future(work)]
        try:
            await asyncio.wait(tasks, timeout=0)
            if not tasks[0].done():  # most need not wait for a turn, nor for the service to say so
                tasks.append(asyncio.ensure_future(self._until_lost()))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                tasks[0].result()
            return tasks[0].done()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_lost(self) -> None:
        granted = self._last
        assert granted is not None
        since = granted.version
        while True:
            try:
                session = await self._client.wait(self.session_id, since, LONGEST_WAIT_S)
            except ServiceUnavailable:
                await asyncio.sleep(LONGEST_RETRY_S)
                continue
            except ServiceError:
                self._last = None  # asking again tells what has become of it
                return
            if not session.granted or session.run_id != granted.run_id:
                self.note(session)
                return
            since = session.version

    async def give_up(self, ending: Ending) -> None:
        """End what was asked for, also when the answer had not arrived yet.

        Who has used no run gives up the one that was seen last, or the place in the queue.
        """
        if self._asking is None:
            return
        await asyncio.wait([self._asking])
        user, server_name = self._request.account.name, self._request.server_name
        if self.session_id:
            if ending.run_id is None and self._last is not None:
                ending = replace(ending, run_id=self._last.run_id)
            await self._client.end(self.session_id, ending)
        elif not isinstance(self._asking.exception(), _NOTHING_STORED):
            await self._client.end_by_server(user, server_name, ending)

    async def _ask(self) -> SessionView:
        return await self._patiently(self._ask_once)

    async def _ask_once(self) -> SessionView:
        request = self._request
        self._asking = asyncio.ensure_future(
            self._client.request_session(
                request.account,
                request.server_name,
                request.display_name,
                request.options,
                joins=request.joins,
            )
        )
        self._asking.add_done_callback(self._note_answer)
        # shielded: a cancel must not lose the id of a session that the service has just stored
        return await asyncio.shield(self._asking)

    def _note_answer(self, asked: asyncio.Future[SessionView]) -> None:
        if not asked.cancelled() and asked.exception() is None:
            self.note(asked.result())

    async def _next(self, session: SessionView) -> SessionView:
        try:
            answer = await self._patiently(
                lambda: self._client.wait(session.id, session.version, LONGEST_WAIT_S)
            )
        except SessionGone:
            return await self._ask()
        self._delays.reset()
        self.note(answer)
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

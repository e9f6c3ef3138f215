"""How sessions stand, asked of the service once for all whose pages are open.

Hundreds of JupyterLabs ask the hub every few seconds. The service is asked every two seconds
at most, about all of them together, so that its cost grows with the sessions and not with the
requests.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from .service_client import ServiceClient, ServiceError, SessionGone

FRESH_S = 2.0
WATCHED_S = 15.0
"""A session is asked about so long after its page has last asked."""
MOST = 1000
"""Sessions of one question."""


class Glances:
    """Of one hub."""

    def __init__(self, service: ServiceClient) -> None:
        self._service = service
        self._wanted: dict[str, float] = {}
        """When each session's page last asked."""
        self._known: dict[str, dict[str, Any] | None] = {}
        """By id; None: the service knows no such session."""
        self._error: ServiceError | None = None
        self._asked_at = float("-inf")
        self._asking: asyncio.Future[None] | None = None

    async def of(self, session_id: str) -> tuple[dict[str, Any], float]:
        """The session and how old that is, in seconds. Raises ServiceError, SessionGone."""
        self._wanted[session_id] = time.monotonic()
        while self._due(session_id):
            if self._asking is None:
                self._asking = asyncio.ensure_future(self._ask())
            await asyncio.shield(self._asking)  # others wait for the same answer
        if self._error is not None:
            raise self._error
        found = self._known[session_id]
        if found is None:
            raise SessionGone("the queue service knows no such session")
        return found, time.monotonic() - self._asked_at

    def forget(self) -> None:
        """Something has changed: ask anew."""
        self._asked_at = float("-inf")

    def _due(self, session_id: str) -> bool:
        if time.monotonic() - self._asked_at > FRESH_S:
            return True
        return self._error is None and session_id not in self._known

    async def _ask(self) -> None:
        """About all when what is known is old, else about those that have just been opened."""
        now = time.monotonic()
        self._wanted = {key: at for key, at in self._wanted.items() if now - at < WATCHED_S}
        old = now - self._asked_at > FRESH_S
        ids = [key for key in self._wanted if old or key not in self._known]
        try:
            found: dict[str, dict[str, Any]] = {}
            for start in range(0, len(ids), MOST):
                found |= await self._service.glances(ids[start : start + MOST])
            known = {key: found.get(key) for key in ids}
            self._known = known if old else self._known | known
            self._error = None
        except ServiceError as error:
            self._known, self._error, old = {}, error, True
        finally:
            if old:
                self._asked_at = time.monotonic()
            self._asking = None

"""What the hub says of this session, for the pages in the browser."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from tornado.httpclient import AsyncHTTPClient

from apportion_lab.hub import hub_request

TIMEOUT_S = 4.0
FRESH_S = 2.0
"""However many pages ask: the hub is asked once in this time."""


class HubSession:
    """This session as APPORTION_SESSION_URL tells of it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._url = environ["APPORTION_SESSION_URL"]
        self._environ = environ
        self._session: dict[str, Any] | None = None
        self._asked_at = float("-inf")
        self._asking: asyncio.Future[None] | None = None

    async def answer(self) -> dict[str, Any]:
        """``{"state": "ok", "session": {...}}``, or "away" when the hub or the service is."""
        if self._asking is None and time.monotonic() - self._asked_at > FRESH_S:
            self._asking = asyncio.ensure_future(self._ask())
        if self._asking is not None:
            await asyncio.shield(self._asking)  # others wait for the same answer
        if self._session is None:
            return {"state": "away"}
        age_s = time.monotonic() - self._asked_at
        return {"state": "ok", "session": _aged(self._session, age_s)}

    async def _ask(self) -> None:
        request = hub_request(self._url, self._environ, method="GET", timeout_s=TIMEOUT_S)
        try:
            response = await AsyncHTTPClient().fetch(request)
            self._session = _aged(json.loads(response.body), 0)
        except Exception:  # whatever it is: pages ask again, and its text may name addresses
            self._session = None
        finally:
            self._asked_at = time.monotonic()
            self._asking = None


def _aged(session: dict[str, Any], age_s: float) -> dict[str, Any]:
    """``session`` with its time left ``age_s`` seconds later; raises if it is none."""
    notice = session["notice"]
    if notice is None:
        return session
    left_s = max(0.0, float(notice["seconds_left"]) - age_s)
    return {**session, "notice": {**notice, "seconds_left": left_s}}

"""What the hub says of this session, for the pages in the browser, and what its user does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from tornado.httpclient import AsyncHTTPClient

from apportion_lab.hub import AWAY, REFUSED, hub_request, own_address, read_answer

TIMEOUT_S = 4.0
ACTION_TIMEOUT_S = 15.0
IMAGE_TIMEOUT_S = 70.0
"""The engine looks at every file of the session before the answer."""
FRESH_S = 2.0
"""However many pages ask: the hub is asked once in this time."""
REFUSED_AFTER_S = 20.0
"""A hub that has just been started refuses for a moment, until it has found its servers again."""
MOST_LANGUAGES = 4

_LESS = frozenset({"seconds_left", "left_s"})
_MORE = frozenset({"ago_s", "running_s", "idle_s"})


class HubSession:
    """This session as the hub tells of it at APPORTION_SESSION_URL and beside it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._refused_since: float | None = None

    async def session(self, language: str = "") -> dict[str, Any]:
        """``{"state": "ok", "session": {...}}``, "away" or "refused"."""
        return await self._look("session", language)

    async def panel(self, language: str = "") -> dict[str, Any]:
        """``{"state": "ok", "panel": {...}}``, "away" or "refused"."""
        return await self._look("panel", language)

    async def act(
        self, method: str, action: str, values: Mapping[str, Any], language: str = ""
    ) -> dict[str, Any]:
        """Do something: extend, in-use, stop, share, image-request.

        ``{"state": "ok", "answer": {...}}``, "failed" with an error, "away" or "refused".
        """
        timeout_s = IMAGE_TIMEOUT_S if action == "image-request" else ACTION_TIMEOUT_S
        address = own_address(self._environ, f"do/{action}")
        told = await self.fetch(
            address, method=method, timeout_s=timeout_s, values=values, language=language
        )
        self._kept.clear()
        if told["state"] == "ok":
            told["answer"] = _aged(told["answer"])
        return told

    async def fetch(self, address: str, **options: Any) -> dict[str, Any]:
        """As ``read_answer`` has it; never raises, for a page asks again."""
        request = hub_request(address, self._environ, **options)
        try:
            told = read_answer(await AsyncHTTPClient().fetch(request, raise_error=False))
        except Exception:  # whatever it is, and its text may name addresses
            return AWAY
        if told["state"] != "refused":
            self._refused_since = None
            return told
        now = time.monotonic()
        since = self._refused_since = self._refused_since or now
        return REFUSED if now - since >= REFUSED_AFTER_S else AWAY

    async def _look(self, what: str, language: str) -> dict[str, Any]:
        key = (what, language)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= 2 * MOST_LANGUAGES:
                self._kept.clear()
            kept = self._kept[key] = _Kept(self, what, language)
        return await kept.answer()

    def address(self, what: str) -> str:
        """Where the hub answers that."""
        return own_address(self._environ, what)


class _Kept:
    """One question, asked once however many pages ask it, and its answer for a while."""

    def __init__(self, session: HubSession, what: str, language: str) -> None:
        self._session = session
        self._what = what
        self._language = language
        self._told: dict[str, Any] = AWAY
        self._asked_at = float("-inf")
        self._asking: asyncio.Future[None] | None = None

    async def answer(self) -> dict[str, Any]:
        """With its times as of now."""
        if self._asking is None and time.monotonic() - self._asked_at > FRESH_S:
            self._asking = asyncio.ensure_future(self._ask())
        if self._asking is not None:
            await asyncio.shield(self._asking)  # others wait for the same answer
        if self._told["state"] != "ok":
            return self._told
        age_s = time.monotonic() - self._asked_at
        return {"state": "ok", self._what: _aged(self._told["answer"], age_s)}

    async def _ask(self) -> None:
        try:
            told = await self._session.fetch(
                self._session.address(self._what),
                method="GET",
                timeout_s=TIMEOUT_S,
                language=self._language,
            )
            known = told["state"] != "ok" or isinstance(told["answer"].get("id"), str)
            self._told = told if known else AWAY
        finally:
            self._asked_at = time.monotonic()
            self._asking = None


def _aged(answer: dict[str, Any], age_s: float = 0.0) -> dict[str, Any]:
    """``answer`` as it is ``age_s`` seconds later, beside the ``age_s`` that it had already."""
    age_s += _seconds(answer.get("age_s"))
    return {name: _later(name, value, age_s) for name, value in answer.items() if name != "age_s"}


def _later(name: str, value: Any, age_s: float) -> Any:
    if isinstance(value, dict):
        return {inner: _later(inner, each, age_s) for inner, each in value.items()}
    if isinstance(value, list):
        return [_later("", each, age_s) for each in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if name in _LESS:
        return max(0.0, value - age_s)
    return value + age_s if name in _MORE else value


def _seconds(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return max(0.0, float(value)) if number else 0.0

"""An open page, as far as the service sees it: what ``static/live.js`` and htmx would ask for.

It gets the page with its cookies, opens one event stream for the page's topics, and asks for
the live parts again: for all of them when the stream opens, and for those that show a topic
when it has changed. Like the script it asks at once, then at most once in ``data-pause``
(700 ms), and always after the last change; like htmx it waits for the answer under way and
keeps one more request for a part at most. Polls (``every 60s``) and throttles are kept, and
the headers that a browser sends, so that the service checks what it checks of a browser.
It draws nothing: what a browser needs to show the answer comes on top.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, unquote

from tornado.httpclient import AsyncHTTPClient

PAUSE_S = 0.7
RETRY_S = 3.0
_BROWSER = {"Sec-Fetch-Site": "same-origin", "Accept-Language": "en", "Accept-Encoding": "gzip"}


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer: when it was asked for and had arrived (monotonic s), and sessions in it."""

    asked: float
    arrived: float
    statuses: dict[str, str]


@dataclass(slots=True)
class Part:
    """A live part of the page."""

    url: str
    topics: frozenset[str]
    pause_s: float
    throttle_s: float
    every_s: float | None
    asked: float = -1e9
    triggered: float = -1e9
    due: bool = False
    busy: bool = False
    again: bool = False


class _Reader(HTMLParser):
    """Takes from a page what the scripts take from it."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[Part] = []
        self.main: dict[str, str] = {}
        self.statuses: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Live parts, the main element, rows of sessions."""
        found = {name: value or "" for name, value in attrs}
        if found.get("id") == "main":
            self.main = found
        if "data-session" in found:
            self.statuses[found["data-session"]] = found.get("data-status", "")
        if "data-live" in found and "hx-get" in found:
            self.parts.append(_part(found))


def _part(found: dict[str, str]) -> Part:
    trigger = found.get("hx-trigger", "")
    every = re.search(r"every (\d+)s", trigger)
    throttle = re.search(r"live throttle:(\d+)(ms|s)", trigger)
    scale = 0.001 if throttle and throttle[2] == "ms" else 1.0
    return Part(
        url=found["hx-get"],
        topics=frozenset(found["data-live"].split()),
        pause_s=float(found["data-pause"]) / 1000 if "data-pause" in found else PAUSE_S,
        throttle_s=scale * float(throttle[1]) if throttle else 0.0,
        every_s=float(every[1]) if every else None,
    )


@dataclass
class LivePage:
    """One page in one browser."""

    base: str
    path: str
    user: str
    cookies: str
    seen: list[Seen] = field(default_factory=list)
    requests: int = 0
    received: int = 0
    """Bytes."""
    failures: list[str] = field(default_factory=list)
    _parts: list[Part] = field(default_factory=list)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _buffer: str = ""

    async def open(self, opened: Callable[[], None]) -> None:
        """Load the page, then listen until it is closed; ``opened`` when the stream is there."""
        navigate = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        page = await self._get(self.path, navigate)
        if page is None:
            raise SystemExit(f"{self.user} cannot open {self.path}: {self.failures[-1]}")
        self._parts, main = page.parts, page.main
        xsrf = re.search(r"_xsrf=([^&]+)", main["data-live-url"])
        self._xsrf = unquote(xsrf[1]) if xsrf else ""
        for part in self._parts:
            if part.every_s:
                self._spawn(self._poll(part, part.every_s))
        stream = f"{main['data-live-url']}&topics={quote(main['data-topics'], safe='')}"
        while True:
            await self._listen(stream, opened)
            await asyncio.sleep(RETRY_S)

    async def _listen(self, url: str, opened: Callable[[], None]) -> None:
        """One event stream, until it breaks."""

        def header(line: str) -> None:
            if line.startswith("HTTP/") and " 200 " in line:
                opened()
                self._refresh(None)

        headers = {"Cookie": self.cookies, "Sec-Fetch-Mode": "cors", **_BROWSER}
        headers["Accept"] = "text/event-stream"
        del headers["Accept-Encoding"]
        answer = await AsyncHTTPClient().fetch(
            self.base + url,
            headers=headers,
            header_callback=header,
            streaming_callback=self._events,
            request_timeout=0,
            raise_error=False,
        )
        self.failures.append(f"the stream ended: {answer.code}")

    def _events(self, chunk: bytes) -> None:
        self._buffer += chunk.decode()
        *events, self._buffer = self._buffer.split("\n\n")
        for event in events:
            if event.startswith("event: changed"):
                self._refresh(json.loads(event.partition("data: ")[2]))

    def _refresh(self, topics: Sequence[str] | None) -> None:
        for part in self._parts:
            if topics is None or part.topics.intersection(topics):
                self._ask(part)

    def _ask(self, part: Part) -> None:
        """As ``ask`` of live.js."""
        if part.due:
            return
        part.due = True
        wait_s = max(0.0, part.pause_s - (time.monotonic() - part.asked))
        asyncio.get_running_loop().call_later(wait_s, self._trigger, part)

    def _trigger(self, part: Part) -> None:
        now = time.monotonic()
        part.due, part.asked = False, now
        if now - part.triggered < part.throttle_s:
            return  # htmx forgets it
        part.triggered = now
        self._fetch(part)

    def _fetch(self, part: Part) -> None:
        """As htmx: while one is under way, the last of those that come is kept."""
        if part.busy:
            part.again = True
        else:
            self._spawn(self._renew(part))

    async def _renew(self, part: Part) -> None:
        part.busy = True
        headers = {"HX-Request": "true", "X-XSRFToken": self._xsrf, "Sec-Fetch-Mode": "cors"}
        asked = time.monotonic()
        answer = await self._get(part.url, headers)
        if answer is not None:
            self.seen.append(Seen(asked, time.monotonic(), answer.statuses))
        part.busy = False
        if part.again:
            part.again = False
            self._fetch(part)

    async def _poll(self, part: Part, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            self._fetch(part)

    async def _get(self, url: str, headers: dict[str, str]) -> _Reader | None:
        """None when it failed; 204 is no news."""
        answer = await AsyncHTTPClient().fetch(
            self.base + url,
            headers={"Cookie": self.cookies, **_BROWSER, **headers},
            request_timeout=60,
            raise_error=False,
        )
        self.requests += 1
        self.received += len(answer.body or b"")
        if answer.code not in {200, 204}:
            self.failures.append(f"{answer.code} {url}")
            return None
        reader = _Reader()
        reader.feed((answer.body or b"").decode())
        return reader

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

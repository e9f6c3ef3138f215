"""``/api/v1/live``: tells an open page which of its topics have changed."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from tornado.iostream import StreamClosedError

from hub_ext.errors import BadValue, Forbidden
from hub_ext.projects.permissions import Action, may
from hub_ext.web.base import ApiHandler
from hub_ext.web.live import SESSIONS, TOPICS, Subscription

_HEARTBEAT_S = 20.0
_GATHER_S = 0.2
_FOR_ADMINS = frozenset({"nodes", "audit", f"{SESSIONS}:*"})


class LiveHandler(ApiHandler):
    """Server-sent events: ``changed``, whose data is a JSON list of topics."""

    _subscription: Subscription | None = None

    async def get(self) -> None:
        """``topics``: separated by commas. Ends when the browser leaves."""
        topics = self._topics()
        self._subscription = self.parts.live.subscribe(topics, self.caller.name)
        self._gone = False
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        with suppress(StreamClosedError):
            self.write("retry: 2000\n\n")
            await self.flush()
            while not self._gone:
                self.write(await self._next(self._subscription))
                await self.flush()

    async def _next(self, subscription: Subscription) -> str:
        try:
            async with asyncio.timeout(_HEARTBEAT_S):
                changed = await subscription.changed(_GATHER_S)
        except TimeoutError:
            return ": still here\n\n"
        return f"event: changed\ndata: {json.dumps(changed)}\n\n"

    def _topics(self) -> list[str]:
        """Raises BadValue, Forbidden."""
        topics = [topic for topic in self.get_query_argument("topics", "").split(",") if topic]
        if not topics or len(topics) > 20:
            raise BadValue("'topics' names 1 to 20 topics, separated by commas.", field="topics")
        for topic in topics:
            self._check(topic)
        return topics

    def _check(self, topic: str) -> None:
        kind, _, project = topic.partition(":")
        if kind != SESSIONS and topic not in TOPICS:
            known = ", ".join([SESSIONS, *TOPICS])
            raise BadValue(f"There is no topic '{topic[:64]}'; there are: {known}.", field="topics")
        if self.caller.admin:
            return
        theirs = not project or may(self.roles().get(project), Action.ROSTER)
        if topic in _FOR_ADMINS or not theirs:
            raise Forbidden("You may not see that.", field="topics")

    def on_connection_close(self) -> None:
        """The browser has gone: let the stream end."""
        self._gone = True
        self.on_finish()

    def on_finish(self) -> None:
        """Stop listening."""
        if self._subscription is not None:
            self._subscription.close()

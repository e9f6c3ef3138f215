"""What a waiting user is told, and how each browser tab follows it.

The hub's pending page appends every event to its log, so an event is published only when what it
says has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from .grant import SessionView

#: A tab opened late is shown this much of what happened before.
MAX_EVENTS = 50


class ProgressJournal:
    """The events of one spawn, readable by any number of tabs, each at its own pace."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._dropped = 0
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def latest(self) -> dict[str, Any] | None:
        return self._events[-1] if self._events else None

    @property
    def used(self) -> bool:
        """Something was said, or nothing more will be: a new spawn needs a new journal."""
        return self._closed or bool(self._events)

    def publish(self, event: dict[str, Any]) -> None:
        """Add an event unless it repeats the one before it."""
        if self._closed or event == self.latest:
            return
        self._events.append(event)
        if len(self._events) > MAX_EVENTS:
            del self._events[0]
            self._dropped += 1
        self._wake()

    def close(self) -> None:
        """No more events: every follower ends once it has read the rest."""
        self._closed = True
        self._wake()

    async def follow(self) -> AsyncIterator[dict[str, Any]]:
        """All events so far, then each new one, until the journal is closed."""
        seen = 0
        while True:
            changed = self._changed
            seen = max(seen, self._dropped)
            for event in self._events[seen - self._dropped :]:
                seen += 1
                yield dict(event)
            if changed is not self._changed:
                continue
            if self._closed:
                return
            await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def queue_event(session: SessionView, setback: str = "") -> dict[str, Any]:
    """The event of a session that waits in the queue.

    setback: why it has lost a slice that it already had.
    """
    reason = session.reason
    back = f"{setback.rstrip('.')}; back in the queue" if setback else ""
    why = reason.message if reason and not (setback and reason.message.startswith(setback)) else ""
    return {
        "progress": 5,
        "message": _queue_sentence(session, back, why),
        "queue": {
            "session_id": session.id,
            "status": session.status,
            "position": session.position,
            "setback": f"{back}." if back else "",
            "reason": why,
            "help": (reason.help or "") if reason else "",
            "estimate_s": rounded_estimate(session.estimate_s),
        },
    }


def stage_event(progress: int, message: str, status: str, session_id: str = "") -> dict[str, Any]:
    """The event of a step after the queue; ``progress`` is out of 100."""
    queue = {"session_id": session_id, "status": status, "position": None}
    return {"progress": progress, "message": message, "queue": queue}


def rounded_estimate(seconds: float | None) -> int | None:
    """Seconds to a step that a person would use, so that a ticking clock is no change."""
    if seconds is None:
        return None
    if seconds < 60:
        return 60
    step = 60 if seconds < 3600 else 600
    return round(seconds / step) * step


def human_estimate(seconds: float | None) -> str:
    """A wait in words: "less than a minute", "about 12 minutes", "about 2.5 hours"."""
    rounded = rounded_estimate(seconds)
    if rounded is None:
        return "time unknown"
    if rounded <= 60:
        return "less than a minute" if (seconds or 0) < 60 else "about a minute"
    if rounded < 3600:
        return f"about {rounded // 60} minutes"
    hours = round(rounded / 1800) / 2
    return "about an hour" if hours == 1 else f"about {hours:g} hours"


def _queue_sentence(session: SessionView, back: str, why: str) -> str:
    if session.position is None:
        place = "" if back else "Waiting in the queue"
    else:
        place = f"number {session.position}" if back else f"Number {session.position} in the queue"
    estimate = "" if session.estimate_s is None else human_estimate(session.estimate_s)
    here = ", ".join(filter(None, (place, estimate)))
    parts = [part for part in (back, here, why) if part]
    sentence = ": ".join(parts)
    return sentence if sentence.endswith(".") else f"{sentence}."

"""Tells listeners of each scheduling pass: how long it took, and what was decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from hub_ext.scheduling.model import Decisions


class Outcome(StrEnum):
    """written; stale: the rules had changed meanwhile; failed: see the log."""

    WRITTEN = "written"
    STALE = "stale"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass: seconds from reading to writing, and its decisions (of one that failed, none)."""

    seconds: float
    outcome: Outcome
    decisions: Decisions | None = None


class Passes:
    """Held by the site; the queue tells."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Pass], None]] = []

    def listen(self, callback: Callable[[Pass], None]) -> None:
        """Call it after each pass."""
        self._listeners.append(callback)

    def tell(self, done: Pass) -> None:
        """A pass is over."""
        for callback in self._listeners:
            callback(done)

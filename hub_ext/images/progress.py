"""What a build tells whoever watches it: a terminal, a log, or `apportion up`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class BuildEvent:
    """One step of one image; ``step`` counts from 1 to ``steps`` over the whole build.

    ``detail`` is the latest line of a running step's output, for a display that can
    replace it. ``seconds`` is set when a step is done.
    """

    image: str
    step: int
    steps: int
    state: Literal["running", "done", "skipped"]
    message: str
    detail: str = ""
    seconds: float = 0.0


Report = Callable[[BuildEvent], None]


def ignore(event: BuildEvent) -> None:
    """A report for callers who do not watch."""

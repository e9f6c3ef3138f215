"""Stretches of time cut into equal steps, and those that pages and the API show by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, tzinfo

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_MONDAY_S = 4 * _DAY_S
"""Unix time began on a Thursday."""

NAMED = {
    "hour": (60, _MINUTE_S),
    "day": (48, _HOUR_S // 2),
    "week": (84, 2 * _HOUR_S),
    "month": (60, _DAY_S // 2),
    "year": (53, 7 * _DAY_S),
}
"""How many steps a period has, and how many s each."""


@dataclass(frozen=True, slots=True)
class Period:
    """``steps`` equal steps from ``begin`` to ``end`` (Unix s). Raises ValueError without any."""

    begin: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1 or self.end <= self.begin:
            raise ValueError(f"From {self.begin:g} to {self.end:g} are no {self.steps} steps.")

    @property
    def step_s(self) -> float:
        """Length of a step."""
        return (self.end - self.begin) / self.steps

    @property
    def times(self) -> list[float]:
        """When each step begins."""
        return [self.begin + step * self.step_s for step in range(self.steps)]


def latest(name: str, now: float, tz: tzinfo, step_s: int | None = None) -> Period:
    """The last hour, day, week, month or year; its last step is the one under way.

    Steps begin at round local times, so that they stay the same while time goes on.
    ``step_s``: another length of the steps. Raises KeyError for a name that is none.
    """
    steps, usual_s = NAMED[name]
    if step_s is not None:
        steps, usual_s = math.ceil(steps * usual_s / step_s), step_s
    offset = datetime.fromtimestamp(now, tz).utcoffset()
    shift = (offset.total_seconds() if offset else 0.0) - _MONDAY_S
    end = (math.floor((now + shift) / usual_s) + 1) * usual_s - shift
    return Period(end - steps * usual_s, end, steps)

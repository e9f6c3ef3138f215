"""The use of the named periods, kept for a while: a page asks for it again and again."""

from __future__ import annotations

from datetime import tzinfo

from sqlalchemy.orm import Session

from hub_ext.projects.periods import latest
from hub_ext.projects.use_over_time import GPU, Use, use_over_time

_FRESHEST_S, _OLDEST_S = 5.0, 300.0
_STEPS = 20
"""A plot is at most so old, as a part of its step: 90 s of half an hour."""


class UseCache:
    """Of all projects, each without those below it."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int | None], Use] = {}

    def latest(
        self,
        db: Session,
        name: str,
        now: float,
        tz: tzinfo,
        *,
        resource: str = GPU,
        step_s: int | None = None,
    ) -> Use:
        """Use in the last hour, day ...; ``step_s`` as in ``periods.latest``."""
        key, period = (name, resource, step_s), latest(name, now, tz, step_s)
        known = self._known.get(key)
        if (
            known is None
            or known.period != period
            or not 0 <= now - known.now < _age(period.step_s)
        ):
            known = use_over_time(db, period, now, resource)
            self._known = {other: use for other, use in self._known.items() if other[2] is None}
            self._known[key] = known
        return known


def _age(step_s: float) -> float:
    return min(_OLDEST_S, max(_FRESHEST_S, step_s / _STEPS))

"""Use of sessions as rows: minutes for a day, quarters of an hour for a month, hours for a year.

A minute is written when it is over; longer spans are made from shorter ones when those are
complete, once: a crash loses the minute that it falls into, and counts nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Integer, case, cast, delete, func, insert, literal, select
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.usage_models import SessionUseRow
from hub_ext.metering.samples import Sample

MINUTE_S, QUARTER_S, HOUR_S = 60, 900, 3600
_DAY_S = 86400
KEPT_S = {MINUTE_S: _DAY_S, QUARTER_S: 31 * _DAY_S, HOUR_S: 400 * _DAY_S}
"""How long spans of each length are kept."""
_FROM = {QUARTER_S: MINUTE_S, HOUR_S: QUARTER_S}


class MinuteStore:
    """Gathers samples and hands out the means of each minute that is over."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._minute = int(clock()) // MINUTE_S
        self._samples: dict[int, list[Sample]] = {}
        self._measured_s: dict[int, float] = {}
        self._finished: tuple[int, dict[int, float]] = (0, {})

    def add(self, found: Mapping[int, Sample], interval_s: float) -> dict[int, Sample] | None:
        """One look, by order of session. The means of the minute before when a new one begins."""
        minute, full = int(self._clock()) // MINUTE_S, None
        if minute != self._minute:
            full = {order: mean(samples) for order, samples in self._samples.items()}
            self._finished = (self._minute, dict(self._measured_s))
            self._minute, self._samples, self._measured_s = minute, {}, {}
        for order, sample in found.items():
            self._samples.setdefault(order, []).append(sample)
            self._measured_s[order] = self._measured_s.get(order, 0.0) + interval_s
        return full

    def write(self, means: Mapping[int, Sample], now: float) -> None:
        """The minute that ``add`` has handed out, and longer spans that are over with it."""
        minute, measured_s = self._finished
        rows = [
            {
                "session_order": order,
                "span_s": MINUTE_S,
                "at": minute,
                "measured_s": min(MINUTE_S, round(measured_s[order])),
                "gpu_memory_mib": sample.gpu_memory_mib,
                "gpu_permille": None if sample.gpu is None else round(sample.gpu * 1000),
                "cpu_milli": sample.cpu_milli,
                "memory_mib": sample.memory_mib,
            }
            for order, sample in means.items()
        ]
        with self._database.transaction() as db:
            if rows:
                db.execute(insert(SessionUseRow), rows)
            roll_up(db, now)
            prune(db, now)


def mean(samples: Sequence[Sample]) -> Sample:
    """Of each value, over those samples that have it."""

    def of(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    def whole(values: Sequence[float | None]) -> int | None:
        found = of(values)
        return None if found is None else round(found)

    return Sample(
        samples[-1].at,
        whole([each.gpu_memory_mib for each in samples]),
        of([each.gpu for each in samples]),
        whole([each.cpu_milli for each in samples]),
        whole([each.memory_mib for each in samples]),
    )


def roll_up(db: Session, now: float) -> None:
    """Make the spans that are over and not made yet from the shorter ones."""
    row = SessionUseRow
    for span_s, source_s in _FROM.items():
        each = span_s // source_s
        end = int(now) // span_s
        made = db.scalar(select(func.max(row.at)).where(row.span_s == span_s))
        begin = (end - KEPT_S[source_s] // span_s) if made is None else made + 1
        if begin >= end:
            continue
        bucket = row.at / each if db.get_bind().dialect.name == "sqlite" else func.div(row.at, each)
        bucket = cast(bucket, Integer)
        means = [
            cast(func.round(func.sum(value * row.measured_s) * 1.0 / _weight(value)), Integer)
            for value in (row.gpu_memory_mib, row.gpu_permille, row.cpu_milli, row.memory_mib)
        ]
        spans = (
            select(row.session_order, literal(span_s), bucket, func.sum(row.measured_s), *means)
            .where(row.span_s == source_s, row.at >= begin * each, row.at < end * each)
            .group_by(row.session_order, bucket)
        )
        names = (
            *("session_order", "span_s", "at", "measured_s"),
            *("gpu_memory_mib", "gpu_permille", "cpu_milli", "memory_mib"),
        )
        db.execute(insert(row).from_select(names, spans))


def _weight(value: Any) -> Any:
    """Seconds over which a value was measured; null where it never was."""
    return func.nullif(func.sum(case((value.is_not(None), SessionUseRow.measured_s), else_=0)), 0)


def prune(db: Session, now: float) -> None:
    """Drop spans that are older than their kind is kept."""
    row = SessionUseRow
    for span_s, kept_s in KEPT_S.items():
        oldest = (int(now) - kept_s) // span_s
        db.execute(delete(row).where(row.span_s == span_s, row.at < oldest))

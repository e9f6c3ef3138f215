"""What a session used over a period, as the API and its page tell it."""

from __future__ import annotations

import time
from typing import Any

from hub_ext.db.models import SessionRow
from hub_ext.errors import BadValue
from hub_ext.metering.queries import PERIODS, use_of_session
from hub_ext.metering.samples import Sample
from hub_ext.site import Site

MINUTES = "minutes"
"""The last ten, from memory."""
NAMES = (MINUTES, *PERIODS)


def use_json(site: Site, row: SessionRow, period: str) -> dict[str, Any]:
    """Lists of the same length, one value a step; null: not measured.

    times: Unix s, when each step began; gpu: part of the slice that computed, 0 to 1. What the
    values are of stands in ``slice``. Raises BadValue for an unknown period.
    """
    if period not in NAMES:
        raise BadValue(f"'period' is one of {', '.join(NAMES)}.", field="period")
    step_s, samples = _samples(site, row, period)
    return {
        "period": period,
        "step_s": step_s,
        "times": [round(sample.at, 1) for sample in samples],
        "gpu_memory_mib": [sample.gpu_memory_mib for sample in samples],
        "gpu": [None if each.gpu is None else round(each.gpu, 3) for each in samples],
        "cpu_milli": [sample.cpu_milli for sample in samples],
        "memory_mib": [sample.memory_mib for sample in samples],
        "slice": {
            "gpu_milli": row.gpu_milli,
            "gpu_memory_mib": row.gpu_memory_mib,
            "cpu_milli": row.cpu_milli,
            "memory_mib": row.memory_mib,
        },
    }


def _samples(site: Site, row: SessionRow, period: str) -> tuple[float, list[Sample]]:
    if period == MINUTES:
        return site.policy.meter_interval_s, site.meter.recent(row.id, 600)
    with site.database.transaction() as db:
        use = use_of_session(db, row.order, period, time.time())
    return use.step_s, use.samples

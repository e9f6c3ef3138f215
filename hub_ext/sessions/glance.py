"""A session in a few lines, as the status bar of its JupyterLab asks for it every few seconds.

Read for many sessions at once: the hub asks once for all whose pages are open. All times are
durations as of now, since a browser's clock may be wrong.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from sqlalchemy import select

from hub_ext.db.models import SessionRow
from hub_ext.metering.samples import Sample
from hub_ext.sessions.activity import Activity
from hub_ext.sessions.endings import Ending
from hub_ext.sessions.outlook import outlook
from hub_ext.site import Site


def glances(site: Site, activity: Activity, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """By id; of those that are there."""
    query = select(SessionRow).where(SessionRow.id.in_(ids))
    with site.database.transaction() as db:
        rows = db.scalars(query).all()
        endings = outlook(db, site.policy, activity, rows)
        now = time.time()
        return {
            row.id: glance(site, row, endings.get(row.id), site.meter.latest(row.id), now)
            for row in rows
        }


def glance(
    site: Site, row: SessionRow, ending: Ending | None, used: Sample | None, now: float
) -> dict[str, Any]:
    """One session. ``ending``: the first end in sight of one that runs."""
    return {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "project": row.project,
        "fgpu": site.policy.unit.fgpu(row.gpu_milli),
        "gpu_memory_mib": row.gpu_memory_mib,
        "cpu_milli": row.cpu_milli,
        "memory_mib": row.memory_mib,
        "simulated": any(part.simulated for part in row.slices),
        "preemptible": row.preemptible,
        "requeue": row.requeue,
        "notice": _notice(row, now),
        "alerts": [
            {
                "code": alert["code"],
                "message": alert["message"],
                "ago_s": max(0.0, now - alert["at"]),
            }
            for alert in row.alerts
        ],
        "use": use_json(used),
        "time": {
            "seconds_left": None if ending is None else max(0.0, ending.at - now),
            "code": None if ending is None else ending.code,
        },
    }


def use_json(used: Sample | None) -> dict[str, Any]:
    """What it uses now: MiB, the part of its slice that is busy (0 to 1), milli-CPU."""
    return {
        "gpu_memory_mib": None if used is None else used.gpu_memory_mib,
        "gpu": None if used is None else used.gpu,
        "cpu_milli": None if used is None else used.cpu_milli,
        "memory_mib": None if used is None else used.memory_mib,
    }


def _notice(row: SessionRow, now: float) -> dict[str, Any] | None:
    if row.stops_at is None:
        return None
    return {
        "code": row.notice_code,
        "message": row.notice_message,
        "seconds_left": max(0.0, row.stops_at - now),
    }

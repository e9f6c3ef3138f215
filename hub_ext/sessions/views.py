"""Rows as JSON: what the API, the pages and the spawners see."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from hub_ext.db.models import HistoryRow, SessionRow
from hub_ext.scheduling import model
from hub_ext.sessions.status import Status
from hub_ext.site import Site


def session_json(site: Site, row: SessionRow) -> dict[str, Any]:
    """One session. Times are Unix seconds, ``estimate_s`` counts from now."""
    reason = None
    if row.reason_message:
        reason = {
            "code": row.reason_code,
            "message": row.reason_message,
            "help": row.reason_help,
        }
    estimate_s = None
    if row.expected_at is not None:
        estimate_s = max(0.0, row.expected_at - time.time())
    return {
        "id": row.id,
        "user": row.user,
        "name": row.name,
        "server_name": row.server_name,
        "project": row.project,
        "kind": row.kind,
        "status": row.status,
        "reason": reason,
        "position": row.position,
        "estimate_s": estimate_s,
        "image": row.image,
        "image_title": row.image_title,
        "preset": row.preset,
        "fgpu": site.policy.unit.fgpu(row.gpu_milli),
        "gpu_milli": row.gpu_milli,
        "gpu_memory_mib": row.gpu_memory_mib,
        "cpu_milli": row.cpu_milli,
        "memory_mib": row.memory_mib,
        "lifetime_s": row.lifetime_s,
        "node": row.node,
        "slices": [
            {
                "device": part.device,
                "uuid": part.uuid,
                "milli": part.milli,
                "simulated": part.simulated,
            }
            for part in row.slices
        ],
        "folders": [
            {"name": mount["name"], "target": mount["target"], "mode": mount["mode"]}
            for mount in row.mounts
        ],
        "priority": row.priority,
        "preemptible": row.preemptible,
        "requeue": row.requeue,
        "run_id": row.run_id,
        "notice": notice_json(row),
        "alerts": row.alerts,
        "submitted_at": row.submitted_at,
        "not_before": row.not_before,
        "scheduled_at": row.scheduled_at,
        "running_at": row.running_at,
        "ended_at": row.ended_at,
        "url": server_path(row) if row.status == Status.RUNNING else None,
        "version": row.version,
    }


def notice_json(row: SessionRow) -> dict[str, Any] | None:
    """The warning that the session will be stopped, if there is one."""
    if row.stops_at is None:
        return None
    return {
        "code": row.notice_code,
        "message": row.notice_message,
        "stops_at": row.stops_at,
        "seconds_left": max(0.0, row.stops_at - time.time()),
    }


def server_path(row: SessionRow) -> str:
    """Path of the session's server below the hub's public URL."""
    return f"/user/{quote(row.user, safe='@~')}/" + (
        f"{row.server_name}/" if row.server_name else ""
    )


def history_json(row: HistoryRow) -> dict[str, Any]:
    """One transition."""
    return {
        "at": row.at,
        "from": row.from_status or None,
        "to": row.to_status,
        "code": row.code,
        "message": row.message,
        "by": row.by,
    }


def forecast_json(forecasts: list[model.Forecast]) -> dict[str, Any]:
    """The dry run's answer, with one sentence for people. Of several it tells of the last."""
    forecast = forecasts[-1]
    starting = sum(each.placements is not None for each in forecasts)
    if forecast.placements is not None:
        node = forecast.placements[0].node
        return {
            "starts_now": True,
            "node": node,
            "sentence": f"{_all(len(forecasts))} now on {node}.",
            "position": None,
            "estimate_s": 0.0,
            "reason": None,
        }
    waiting = forecast.waiting
    assert waiting is not None
    when = f", in {about(waiting.estimate_s)}" if waiting.estimate_s is not None else ""
    reason = waiting.reason
    place = f"{_who(starting, len(forecasts))} {ordinal(waiting.position)} in line{when}: "
    return {
        "starts_now": False,
        "node": None,
        # of who waits by his own wish nobody need know the place
        "sentence": ("" if reason.code == "not_before" else place) + reason.message,
        "position": waiting.position,
        "estimate_s": waiting.estimate_s,
        "reason": {"code": reason.code, "message": reason.message, "help": reason.help},
    }


def _all(count: int) -> str:
    return "Starts" if count == 1 else f"All {count} start"


def _who(starting: int, count: int) -> str:
    """Whom the sentence is about, and what becomes of the others."""
    if count == 1:
        return "About"
    if not starting:
        return f"All {count} wait; the last is about"
    verb = "starts" if starting == 1 else "start"
    return f"{starting} of {count} {verb} now; the last is about"


def about(seconds: float) -> str:
    """A duration as people say it: "about 12 minutes"."""
    if seconds < 90:
        return "about a minute"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} minutes"
    if seconds < 36 * 3600:
        return f"about {round(seconds / 3600)} hours"
    return f"about {round(seconds / 86400)} days"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th ..."""
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"

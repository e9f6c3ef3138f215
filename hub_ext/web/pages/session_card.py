"""One session as the pages show it: its JSON, and what the reader may do with it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import DeviceRow, SessionRow
from hub_ext.sessions.endings import Ending
from hub_ext.sessions.notices import EVICTIONS
from hub_ext.sessions.outlook import outlook
from hub_ext.sessions.status import GRANTED, STOPPING, Status
from hub_ext.sessions.views import server_path, session_json
from hub_ext.web.pages.page import Page
from hub_ext.web.pages.session_words import badge, ending_word, span
from hub_ext.web.templating import BASE_URL

Card = dict[str, Any]

_CANCELLABLE = frozenset({Status.PENDING, Status.SCHEDULED})


def cards(page: Page, db: Session, rows: Sequence[SessionRow]) -> list[Card]:
    """Sessions in their order, in the caller's transaction."""
    endings = outlook(db, page.site.policy, page.parts.activity, rows)
    devices = _devices(db, rows)
    return [_card(page, row, endings.get(row.id), devices) for row in rows]


def card(page: Page, row: SessionRow) -> Card:
    """One session."""
    with page.site.database.transaction() as db:
        return cards(page, db, [row])[0]


def _card(
    page: Page, row: SessionRow, ending: Ending | None, devices: dict[str, DeviceRow]
) -> Card:
    status, now = Status(row.status), time.time()
    own = row.user == page.caller.name
    running = status is Status.RUNNING
    return session_json(page.site, row) | {
        "own": own,
        "badge": badge(row.status),
        "path": BASE_URL.rstrip("/") + server_path(row),
        "apps": _apps(page, row) if own and running else [],
        "parts": [_part(part, devices.get(part.uuid)) for part in row.slices],
        "simulated": any(part.simulated for part in row.slices),
        "age": span((row.ended_at or now) - row.submitted_at),
        "left": None if ending is None else _left(ending, now),
        "live": row.ended_at is None,
        "cancellable": status in _CANCELLABLE,
        "stoppable": status in GRANTED - _CANCELLABLE,
        "stays_away": status in STOPPING and row.preemptible and row.requeue,
        "pending": status is Status.PENDING,
        "running": running,
        "extendable": row.lifetime_s is not None and status in GRANTED | {Status.PENDING},
        "keepable": running and row.notice_code == "idle",
        "evicted": row.notice_code in EVICTIONS,
        "batch": row.kind == "batch",
    }


def _apps(page: Page, row: SessionRow) -> list[dict[str, str]]:
    """What the image declares, below the session's own address."""
    image = page.site.images.get(row.image)
    base = BASE_URL.rstrip("/") + server_path(row)
    declared = () if image is None or row.kind == "batch" else image.apps
    return [{"title": app.title, "path": base + app.path} for app in declared]


def _part(part: Any, device: DeviceRow | None) -> dict[str, Any]:
    """A slice; ``percent`` of its device, memory in MiB (0: not known)."""
    return {
        "device": part.device,
        "percent": part.milli / 10,
        "model": "" if device is None else device.model,
        "memory_mib": 0 if device is None else device.memory_mib * part.milli // 1000,
        "whole_mib": 0 if device is None else device.memory_mib,
        "simulated": part.simulated,
    }


def _devices(db: Session, rows: Sequence[SessionRow]) -> dict[str, DeviceRow]:
    """The devices of all their slices, by UUID."""
    uuids = {part.uuid for row in rows for part in row.slices}
    if not uuids:
        return {}
    return {row.uuid: row for row in db.scalars(select(DeviceRow).where(DeviceRow.uuid.in_(uuids)))}


def _left(ending: Ending, now: float) -> dict[str, Any]:
    return {
        "seconds": max(0.0, ending.at - now),
        "span": span(ending.at - now),
        "at": ending.at,
        "code": ending.code,
        "word": ending_word(ending.code),
        "message": ending.message,
    }


def is_stoppable(session: Card) -> bool:
    """Whether there is something to stop or cancel."""
    return bool(session["cancellable"] or session["stoppable"] or session["stays_away"])

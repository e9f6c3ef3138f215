"""Alerts: what the user of a session should know now and what stops nothing by itself.

A sick device, memory of the slice nearly full. One for each code; raised and cleared together
with a row in the session's history. A stop is announced by a notice instead.
"""

from __future__ import annotations

import time

from sqlalchemy.orm import Session

from hub_ext.db.models import SessionRow
from hub_ext.errors import Conflict, NotFound
from hub_ext.sessions.changes import Change
from hub_ext.sessions.status import GRANTED
from hub_ext.sessions.store import SessionStore, Why, amend, one_session

DEVICE = "device"
"""Its device is lost or sick."""
ENFORCEMENT = "enforcement"
"""What kept it inside its slice (an MPS daemon) has died."""
GPU_MEMORY = "gpu_memory"
"""It holds nearly all of its slice's memory, or more."""
FOLDER = "folder"
"""A folder that it writes to is full."""
STORAGE = "storage"
"""The storage of all folders is full."""


def raise_alert(store: SessionStore, session_id: str, code: str, message: str) -> bool:
    """Tell the session's user; False when that is told already, or it has moved on."""
    with store.database.transaction() as db:
        row = raise_alert_in(db, session_id, code, message)
    if row is not None:
        store.changes.announce(Change(row.id, row.user, row.project))
    return row is not None


def raise_alert_in(db: Session, session_id: str, code: str, message: str) -> SessionRow | None:
    """As ``raise_alert``, inside the caller's transaction, which then announces the change."""
    return _write(db, session_id, code, {"code": code, "message": message, "at": time.time()})


def clear_alert(store: SessionStore, session_id: str, code: str, message: str) -> bool:
    """Take it back, ``message`` saying why in the history; False when there was none."""
    with store.database.transaction() as db:
        row = clear_alert_in(db, session_id, code, message)
    if row is not None:
        store.changes.announce(Change(row.id, row.user, row.project))
    return row is not None


def clear_alert_in(db: Session, session_id: str, code: str, message: str) -> SessionRow | None:
    """As ``clear_alert``, inside the caller's transaction, which then announces the change."""
    return _write(db, session_id, code, None, message)


def _write(
    db: Session, session_id: str, code: str, alert: dict[str, object] | None, why: str = ""
) -> SessionRow | None:
    try:
        row = one_session(db, session_id)
        before = next((each for each in row.alerts if each["code"] == code), None)
        if (before or {}).get("message") == (alert or {}).get("message"):
            return None
        others = [each for each in row.alerts if each["code"] != code]
        if alert is None:
            reason = Why(why, "alert_cleared")
        else:
            reason = Why(str(alert["message"]), code)
            others.append(alert)
        return amend(db, session_id, reason, by="service", allowed=GRANTED, alerts=others)
    except (Conflict, NotFound):
        return None

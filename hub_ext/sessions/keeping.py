"""Saying that a session which was warned as idle is in use after all."""

from __future__ import annotations

from hub_ext.db.models import SessionRow
from hub_ext.errors import Conflict
from hub_ext.sessions.activity import Activity
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import NO_NOTICE, Why
from hub_ext.site import Site

KEPT = "kept"
"""Code of the step in its history."""


def use_now(site: Site, activity: Activity, session_id: str, *, by: str) -> SessionRow:
    """Count it as used from now on, warned or not. Raises NotFound, Conflict."""
    row = site.store.get(session_id)
    if row.notice_code == "idle":
        return keep(site, activity, session_id, by=by)
    if row.status != Status.RUNNING:
        raise Conflict(f"The session is {row.status}; it cannot be kept any more.")
    activity.in_use(row.user, row.server_name)
    return row


def keep(site: Site, activity: Activity, session_id: str, *, by: str) -> SessionRow:
    """Count it as used from now on, and take the warning back. Raises NotFound, Conflict.

    It has its whole idle time again, as after a click in it; other ends stay as they are.
    """
    row = site.store.get(session_id)
    if row.status != Status.RUNNING:
        raise Conflict(f"The session is {row.status}; it cannot be kept any more.")
    if row.notice_code != "idle":
        raise Conflict("The session is not about to be stopped for being idle.")
    activity.in_use(row.user, row.server_name)
    why = Why(f"Kept by {by}: it counts as used from now on.", KEPT)
    return site.store.amend(row.id, why, by=by, allowed={Status.RUNNING}, **NO_NOTICE)

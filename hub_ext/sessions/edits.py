"""What may be changed of a session that is there already."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from hub_ext.db.models import MemberRow, ProjectRow, SessionRow
from hub_ext.errors import BadValue, Conflict, OverLimit
from hub_ext.projects.admission import check_priority, check_quotas
from hub_ext.projects.bounds import most_for_members
from hub_ext.projects.limits import MemberLimits, limits_of
from hub_ext.projects.membership import roles_of
from hub_ext.projects.permissions import Action, may
from hub_ext.projects.tree import lineage, read_projects
from hub_ext.scheduling.amounts import exact_duration
from hub_ext.scheduling.model import Demand
from hub_ext.sessions.changes import Change
from hub_ext.sessions.launch import MAX_PRIORITY, bad_value
from hub_ext.sessions.status import GRANTED, LIVE, Status
from hub_ext.sessions.store import Why, amend, one_session
from hub_ext.sessions.submission import Submitter
from hub_ext.site import Site

MAX_LIFETIME_S = 366 * 24 * 3600
"""The longest lifetime that anybody gives, in seconds."""


class SessionChange(BaseModel):
    """Fields that are left out stay. lifetime_s: seconds from its start; null: no end.

    priority: while it waits; preemptible: whether it may be reclaimed; requeue: whether it
    then goes back to the queue.
    """

    model_config = ConfigDict(extra="forbid")

    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY, strict=True)] | None = None
    preemptible: Annotated[bool, Field(strict=True)] | None = None
    requeue: Annotated[bool, Field(strict=True)] | None = None
    lifetime_s: Annotated[int, Field(ge=60, le=MAX_LIFETIME_S, strict=True)] | None = None


def read_session_change(values: Any) -> SessionChange:
    """Validate what came in. Raises BadValue naming the first field at fault."""
    if not isinstance(values, dict) or not values:
        raise BadValue("Name what to change: priority, preemptible, requeue or lifetime_s.")
    try:
        change = SessionChange.model_validate(values)
    except ValidationError as error:
        raise bad_value(error) from None
    for field in change.model_fields_set - {"lifetime_s"}:
        if getattr(change, field) is None:
            raise BadValue(f"{field} cannot be null; leave it out to keep it.", field=field)
    return change


def apply_change(
    site: Site, editor: Submitter, session_id: str, change: SessionChange
) -> SessionRow:
    """Make the change, all of it or nothing. The caller has checked that he may see it.

    Raises NotFound, Conflict (its status does not allow it), OverLimit.
    """
    with site.database.transaction() as db:
        row = one_session(db, session_id)
        values = change.model_dump(exclude_unset=True)
        _check(db, site, editor, row, values)
        changed = {field: new for field, new in values.items() if getattr(row, field) != new}
        if not changed:
            return row
        parts = [_told(field, getattr(row, field), new) for field, new in changed.items()]
        why = Why(" ".join(f"Changed {told}." for told in parts), "changed")
        row = amend(db, session_id, why, by=editor.user, allowed=LIVE, **changed)
    site.changes.announce(Change(session_id, row.user, row.project))
    return row


def _told(field: str, old: Any, new: Any) -> str:
    """A change as the story of the session tells it."""
    if field == "preemptible":
        return f"that it may {'' if new else 'not '}be reclaimed"
    if field == "requeue":
        return f"that it {'goes back to the queue' if new else 'ends'} when it is reclaimed"
    if field == "lifetime_s":
        return f"its lifetime from {_hours(old)} to {_hours(new)}"
    return f"{field} from {old} to {new}"


def _hours(seconds: int | None) -> str:
    return "no end" if seconds is None else f"{seconds / 3600:.4g} h"


def _check(
    db: Session, site: Site, editor: Submitter, row: SessionRow, values: dict[str, Any]
) -> None:
    """Raise for the first field that may not become what it should."""
    if row.status not in LIVE:
        raise Conflict(f"The session is {row.status}; nothing can be changed any more.")
    role = roles_of(db, site.policy, editor.user, editor.groups, editor.admin).get(row.project)
    project = db.get(ProjectRow, row.project)
    limits = MemberLimits()
    if project is not None and not may(role, Action.PRIORITISE):
        limits = limits_of(project, db.get(MemberRow, (row.project, row.user)))
    if "priority" in values:
        if row.status != Status.PENDING:
            raise Conflict(
                f"The session is {row.status}; its priority counts only while it waits.",
                field="priority",
            )
        check_priority(row.project, role, limits, values["priority"])
    if "preemptible" in values:
        _check_preemptible(db, site, row, values["preemptible"])
    if "lifetime_s" in values:
        _check_lifetime(row, values["lifetime_s"], longest_lifetime(db, site, editor, row))


def longest_lifetime(db: Session, site: Site, editor: Submitter, row: SessionRow) -> int | None:
    """Seconds, from its start, that the editor may let a session last; None: no limit."""
    role = roles_of(db, site.policy, editor.user, editor.groups, editor.admin).get(row.project)
    project = db.get(ProjectRow, row.project)
    if project is None or may(role, Action.GOVERN):
        return None
    if may(role, Action.PRIORITISE):
        return most_for_members(project).max_lifetime_s
    return limits_of(project, db.get(MemberRow, (row.project, row.user))).max_lifetime_s


def _check_preemptible(db: Session, site: Site, row: SessionRow, preemptible: bool) -> None:
    """Others may rely on what runs over quota; while it waits, nothing has been given yet."""
    if preemptible or not row.preemptible:
        return
    if row.status != Status.PENDING:
        raise Conflict(
            f"The session is {row.status} as one that may be reclaimed, and stays so."
            " Stop it and launch it anew without that.",
            field="preemptible",
        )
    demand = Demand(row.gpu_milli, row.cpu_milli, row.memory_mib)
    check_quotas(site, lineage(read_projects(db), row.project), demand)


def _check_lifetime(row: SessionRow, lifetime_s: int | None, most: int | None) -> None:
    if row.status not in GRANTED | {Status.PENDING}:
        raise Conflict(f"The session is {row.status}; it cannot be extended.", field="lifetime_s")
    if most is not None and (lifetime_s is None or lifetime_s > most):
        raise OverLimit(too_long(row.project, most), field="lifetime_s")


def too_long(project: str, most_s: int) -> str:
    """Why a session gets no more time."""
    most = exact_duration(most_s)
    return f"In project {project} a member's session may last {most} at most."

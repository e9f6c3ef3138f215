"""When running sessions will end as things are, for those who look at them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import MemberRow, SessionRow
from hub_ext.projects.limits import limits_of
from hub_ext.projects.tree import Rows, lineage, read_lineages
from hub_ext.sessions.activity import Activity
from hub_ext.sessions.endings import Ending, ending_of
from hub_ext.sessions.status import Status
from hub_ext.site import Policy


def outlook(
    db: Session, policy: Policy, activity: Activity, rows: Sequence[SessionRow]
) -> dict[str, Ending]:
    """The first end in sight of each of the RUNNING ones that has one, by id.

    A warning that was given goes before everything else.
    """
    running = [row for row in rows if row.status == Status.RUNNING]
    if not running:
        return {}
    now, projects = time.time(), read_lineages(db, {row.project for row in running})
    idle = idle_limits(db, projects, running)
    found = {}
    for row in running:
        ending = ending_of(
            row,
            lineage(projects, row.project),
            idle_s=idle.get((row.project, row.user)),
            active_at=activity.of(row.user, row.server_name),
            now=now,
            timezone=policy.timezone,
        )
        if row.stops_at is not None:
            ending = Ending(row.stops_at, row.notice_code, row.notice_message)
        if ending is not None:
            found[row.id] = ending
    return found


def idle_limits(
    db: Session, projects: Rows, rows: Collection[SessionRow]
) -> dict[tuple[str, str], int]:
    """How long the sessions of a user in a project may idle, in seconds, where that is limited."""
    keys = {(row.project, row.user) for row in rows}
    query = select(MemberRow).where(
        MemberRow.user.in_({user for _, user in keys}),
        MemberRow.project.in_({project for project, _ in keys}),
    )
    members = {(row.project, row.user): row for row in db.scalars(query)}
    found = {}
    for key in keys:
        project = projects.get(key[0])
        idle_s = limits_of(project, members.get(key)).idle_s if project is not None else None
        if idle_s:
            found[key] = idle_s
    return found

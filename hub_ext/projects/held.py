"""Pending sessions that may not start whatever the capacity.

Their user was taken off the list, a budget is used up, or he runs as many as he may.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import String, cast, func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import MemberRow, ProjectRow, SessionRow
from hub_ext.projects.limits import limits_of
from hub_ext.projects.membership import listed_roles, role_in
from hub_ext.projects.permissions import Action, may
from hub_ext.projects.tree import Rows, lineage, read_projects
from hub_ext.projects.usage import UsageHistory
from hub_ext.scheduling.model import Reason
from hub_ext.sessions.status import BOOKED

if TYPE_CHECKING:  # the site holds the store of projects
    from hub_ext.site import Policy

_Membership = tuple[str, str]
"""Project, user."""


def held_reasons(
    db: Session,
    policy: Policy,
    now: float,
    rows: Sequence[SessionRow],
    history: UsageHistory | None = None,
) -> dict[str, Reason]:
    """Why some of the pending ``rows`` are held, by id.

    Codes: not_member, budget, member_limit. Of each member the first in line may start, as
    many as his limit leaves free. ``rows`` may have sessions that are not stored (a dry run).
    ``history``: as in the shares.
    """
    if not rows:
        return {}
    projects = read_projects(db)
    reasons = _over_budget(db, policy, now, projects, rows, history or UsageHistory())
    reasons |= _dismissed(db, projects, rows)
    free_to_start = [row for row in rows if row.id not in reasons and row.project in projects]
    return reasons | _over_member_limit(db, projects, free_to_start)


def budget_spent(row: ProjectRow, used_gpu_h: float, fgpu_per_gpu: int) -> str:
    """The sentence on a budget that is used up; "" while something is left."""
    if row.budget_gpu_h is None or used_gpu_h < row.budget_gpu_h:
        return ""
    used, budget = used_gpu_h * fgpu_per_gpu, row.budget_gpu_h * fgpu_per_gpu
    return f"Project {row.name} has used {used:.1f} of its budget of {budget:.1f} fGPU-hours"


def _dismissed(db: Session, projects: Rows, rows: Sequence[SessionRow]) -> dict[str, Reason]:
    """Marked when their user was taken off the list, and he has not come back since.

    What groups of the hub say is known only while he asks for something.
    """
    marked = [row for row in rows if row.dismissed]
    if not marked:
        return {}
    listed = listed_roles(db, {row.user for row in marked})
    return {
        row.id: _not_member(row)
        for row in marked
        if not may(role_in(lineage(projects, row.project), listed[row.user]), Action.LAUNCH)
    }


def _not_member(row: SessionRow) -> Reason:
    return Reason(
        "not_member",
        f"{row.user} was taken off the list of members of project {row.project}.",
        f"It starts from its place in line once an instructor adds {row.user} again; or cancel it"
        " and launch it anew where you are a member.",
    )


def _over_budget(
    db: Session,
    policy: Policy,
    now: float,
    projects: Rows,
    rows: Sequence[SessionRow],
    history: UsageHistory,
) -> dict[str, Reason]:
    """Sessions with a GPU, in or below a project that has used up its budget."""
    used = history.budgets(db, projects.values(), now)
    spent = {
        name: sentence
        for name, gpu_h in used.items()
        if (sentence := budget_spent(projects[name], gpu_h, policy.unit.per_gpu))
    }
    if not spent:
        return {}
    found = {}
    for row in rows:
        above = (each.name for each in lineage(projects, row.project))
        sentence = next((spent[name] for name in above if name in spent), "")
        if sentence and row.gpu_milli:
            found[row.id] = Reason(
                "budget", f"{sentence}.", "Ask for a larger budget, or launch without a GPU."
            )
    return found


def _over_member_limit(
    db: Session, projects: Rows, rows: Sequence[SessionRow]
) -> dict[str, Reason]:
    """Beyond what each member may run at once in a project."""
    lines: dict[_Membership, list[tuple[int, int, str]]] = {}
    for row in rows:
        place = (-row.priority, row.order, row.id)
        lines.setdefault((row.project, row.user), []).append(place)
    most = _most_sessions(db, projects, lines)
    running = _running(db) if most else {}
    found = {}
    for pair, limit in most.items():
        runs = running.get(pair, 0)
        first = max(0, limit - runs)
        for _, _, held in sorted(lines[pair])[first:]:
            found[held] = _member_limit(pair, limit, runs, first)
    return found


def _member_limit(pair: _Membership, most: int, runs: int, first: int) -> Reason:
    project, user = pair
    message = f"{user} has {runs} running of at most {most} session{'s' * (most != 1)} at once"
    message += f" in project {project}"
    if first:
        message += f", and {first} that wait{'s' * (first == 1)} ahead of this one"
    return Reason("member_limit", message + ".", "It starts when one of them has ended.")


def _most_sessions(
    db: Session, projects: Rows, waiting: Collection[_Membership]
) -> dict[_Membership, int]:
    """Sessions at once, of each member who waits for one and has such a limit."""
    own = select(MemberRow).where(cast(MemberRow.limits, String) != "{}")
    members = {(row.project, row.user): row for row in db.scalars(own)}
    of_all = {name: limits_of(projects[name], None) for name in {pair[0] for pair in waiting}}
    found = {}
    for pair in waiting:
        member = members.get(pair)
        limits = limits_of(projects[pair[0]], member) if member else of_all[pair[0]]
        if limits.max_sessions is not None:
            found[pair] = limits.max_sessions
    return found


def _running(db: Session) -> dict[_Membership, int]:
    """Sessions that hold a booking, those that are being stopped among them."""
    counts = (
        select(SessionRow.project, SessionRow.user, func.count())
        .where(SessionRow.status.in_(BOOKED))
        .group_by(SessionRow.project, SessionRow.user)
    )
    return {(project, user): count for project, user, count in db.execute(counts)}

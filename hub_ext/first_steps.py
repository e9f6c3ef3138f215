"""What the admin of a new site does first; each step is done once its result is there."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from hub_ext.db.models import MemberRow, ProjectRow, SessionRow
from hub_ext.hub_client import HubRefused, HubUnavailable
from hub_ext.projects.store import FIRST_PROJECT
from hub_ext.site import Site

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """``people``: others may come in; ``course``: there is one with a quota; ``session``: one
    has been launched."""

    people: bool
    course: bool
    session: bool

    @property
    def done(self) -> bool:
        """Nothing is left to tell."""
        return self.people and self.course and self.session


async def first_steps(site: Site, admin: str) -> FirstSteps:
    """How far this site is, as its ``admin`` looks at it."""
    with site.database.transaction() as db:
        steps = FirstSteps(_others_are_known(db, admin), _has_course(db), _has_session(db))
    if steps.people:
        return steps
    return FirstSteps(await _several_people(site), steps.course, steps.session)


def _others_are_known(db: Session, admin: str) -> bool:
    member = exists().where(MemberRow.user != admin)
    session = exists().where(SessionRow.user != admin)
    return bool(db.scalar(select(or_(member, session))))


def _has_course(db: Session) -> bool:
    quotas = (ProjectRow.quota_gpu_milli, ProjectRow.quota_cpu_milli, ProjectRow.quota_memory_mib)
    query = exists().where(
        ProjectRow.name != FIRST_PROJECT,  # made with the tables
        ProjectRow.archived_at.is_(None),
        or_(*(quota >= 0 for quota in quotas)),
    )
    return bool(db.scalar(select(query)))


def _has_session(db: Session) -> bool:
    return bool(db.scalar(select(exists().where(SessionRow.id.is_not(None)))))


async def _several_people(site: Site) -> bool:
    """Whether the hub knows more than its admin; no answer: not yet."""
    try:
        return await site.hub.has_several_users()
    except (HubRefused, HubUnavailable) as error:
        log.warning("The hub does not say who its users are: %s", error)
        return False

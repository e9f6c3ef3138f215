"""Announcements: an admin tells everybody something, an instructor the members of a project."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from hub_ext.db.announcement_models import AnnouncementRow, DismissalRow
from hub_ext.errors import BadValue, Conflict, NotFound
from hub_ext.projects import audit
from hub_ext.projects.limits import LARGEST

LONGEST = 1000
"""Characters of an announcement."""
_SHOWN = 5
"""As many are on a page, the newest."""
_LEVELS = ("info", "warning")
_DAY_S = 86400
_TWICE_S = 60.0
"""The same again within so many seconds is a form that was sent twice."""


class NewAnnouncement(BaseModel):
    """What is to be told. ``until``: Unix s, after which it is not shown; None: no end."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=LONGEST, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")
    level: str = "info"
    until: float | None = Field(default=None, ge=0, le=1e11, allow_inf_nan=False)

    @field_validator("text", mode="before")
    @classmethod
    def _stripped(cls, value: Any) -> Any:
        """Browsers send two signs at the end of a line."""
        return value.replace("\r\n", "\n").strip() if isinstance(value, str) else value

    @field_validator("level")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in _LEVELS:
            raise ValueError("'level' is info or warning")
        return value


def announce(db: Session, new: NewAnnouncement, project: str | None, by: str) -> AnnouncementRow:
    """Tell it to everybody (``project`` None) or to a project's members.

    The caller has checked that ``by`` may. What the same one has said just now is not said
    again. Raises BadValue when ``until`` is over already.
    """
    now = time.time()
    check_until(new, now)
    said = _just_said(db, new, project, by, now)
    if said is not None:
        return said
    forget_dismissals(db, now)
    row = AnnouncementRow(at=now, by=by, project=project, ended_at=None, **new.model_dump())
    db.add(row)
    db.flush()
    audit.note(db, by, "announcement.create", str(row.id), project, None, _state(row))
    return row


def check_until(new: NewAnnouncement, now: float) -> None:
    """Raises BadValue when nobody would see it any more at this time (Unix s)."""
    if new.until is not None and new.until <= now:
        raise BadValue("'until' is over already: nobody would see it.", field="until")


def _just_said(
    db: Session, new: NewAnnouncement, project: str | None, by: str, now: float
) -> AnnouncementRow | None:
    query = select(AnnouncementRow).where(
        AnnouncementRow.by == by,
        AnnouncementRow.project == project,
        AnnouncementRow.at > now - _TWICE_S,
        AnnouncementRow.ended_at.is_(None),
    )
    said = db.scalars(query.order_by(AnnouncementRow.id.desc())).all()
    return next((row for row in said if _state(row) == new.model_dump()), None)


def take_back(db: Session, row: AnnouncementRow, by: str) -> None:
    """Show it to nobody any more. Raises Conflict when it has been taken back before."""
    if row.ended_at is not None:
        raise Conflict("This announcement has been taken back already.")
    row.ended_at = time.time()
    audit.note(db, by, "announcement.end", str(row.id), row.project, _state(row), None)


def one(db: Session, announcement_id: int) -> AnnouncementRow:
    """One of them. Raises NotFound."""
    row = _find(db, announcement_id)
    if row is None:
        raise NotFound("There is no such announcement.")
    return row


def _find(db: Session, announcement_id: int) -> AnnouncementRow | None:
    """A number that no table holds is nobody's; PostgreSQL would refuse to look for it."""
    return db.get(AnnouncementRow, announcement_id) if announcement_id <= LARGEST else None


def all_of(db: Session, project: str | None, limit: int) -> Sequence[AnnouncementRow]:
    """Those to everybody (None), or to a project, the newest first, ended ones too."""
    query = select(AnnouncementRow).where(AnnouncementRow.project == project)
    return db.scalars(query.order_by(AnnouncementRow.id.desc()).limit(limit)).all()


def state_at(row: AnnouncementRow, now: float) -> str:
    """shown, expired or taken_back at this time (Unix s)."""
    if row.ended_at is not None:
        return "taken_back"
    return "expired" if row.until is not None and row.until <= now else "shown"


def shown_to(
    db: Session, user: str, projects: Collection[str], now: float
) -> Sequence[AnnouncementRow]:
    """What this user, a member of these projects, has not put away yet, the newest first."""
    dismissed = select(DismissalRow.announcement_id).where(DismissalRow.user == user)
    query = select(AnnouncementRow).where(
        AnnouncementRow.ended_at.is_(None),
        or_(AnnouncementRow.until.is_(None), AnnouncementRow.until > now),
        or_(AnnouncementRow.project.is_(None), AnnouncementRow.project.in_(projects)),
        AnnouncementRow.id.not_in(dismissed),
    )
    return db.scalars(query.order_by(AnnouncementRow.id.desc()).limit(_SHOWN)).all()


def ends_in_s(rows: Iterable[AnnouncementRow], now: float) -> int | None:
    """Seconds until the first of them is over; at most a day. None: none has an end."""
    ends = [row.until - now for row in rows if row.until is not None]
    return min(_DAY_S, max(1, math.ceil(min(ends)))) if ends else None


def dismiss(db: Session, announcement_id: int, user: str) -> None:
    """Put it away for this user; twice is once, and one that is gone is no error."""
    if _find(db, announcement_id) is None:
        return
    if db.get(DismissalRow, (announcement_id, user)) is None:
        db.add(DismissalRow(announcement_id=announcement_id, user=user))


def forget_dismissals(db: Session, before: float) -> None:
    """Of announcements that ended before ``before`` (Unix s): nobody sees them again."""
    over = select(AnnouncementRow.id).where(
        or_(AnnouncementRow.ended_at < before, AnnouncementRow.until < before)
    )
    db.execute(delete(DismissalRow).where(DismissalRow.announcement_id.in_(over)))


def _state(row: AnnouncementRow) -> dict[str, Any]:
    return {"text": row.text, "level": row.level, "until": row.until}

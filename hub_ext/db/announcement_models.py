"""Tables of announcements. Times are Unix seconds."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from hub_ext.db.models import Base


class AnnouncementRow(Base):
    """Something to tell everybody, or the members of one project."""

    __tablename__ = "announcements"
    __table_args__ = (Index("ix_announcements_project", "project"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    by: Mapped[str]
    project: Mapped[str | None] = mapped_column(ForeignKey("projects.name", ondelete="CASCADE"))
    """Whose members it is for; null: everybody."""
    level: Mapped[str]
    """info or warning."""
    text: Mapped[str]
    until: Mapped[float | None]
    """It is not shown any more from then on; null: until somebody takes it back."""
    ended_at: Mapped[float | None]
    """When it was taken back."""


class DismissalRow(Base):
    """A user has read an announcement and does not want to see it any more."""

    __tablename__ = "announcement_dismissals"

    announcement_id: Mapped[int] = mapped_column(
        ForeignKey("announcements.id", ondelete="CASCADE"), primary_key=True
    )
    user: Mapped[str] = mapped_column(primary_key=True)

"""Tables of images: those made from sessions, and the requests for them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from hub_ext.db.models import Base


class ImageRow(Base):
    """Who may see an image, where that is not everybody. Without a row: all.

    Its other facts are labels of the image itself.
    """

    __tablename__ = "images"

    reference: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str | None]
    """User whose session it was made from."""
    visibility: Mapped[str] = mapped_column(default="all")
    """user (the owner), project or all"""
    projects: Mapped[list[str]] = mapped_column(JSON)
    """Whose members see it, when ``visibility`` is project."""
    created_at: Mapped[float]
    changed_by: Mapped[str] = mapped_column(default="")
    deleted_at: Mapped[float | None]
    """Nobody sees it any more; the row goes when the image has left the engine."""


class ImageRequestRow(Base):
    """A session that somebody wants to keep as an image."""

    __tablename__ = "image_requests"
    __table_args__ = (
        Index("ix_image_requests_state", "state"),
        Index("ix_image_requests_user", "user"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[str]
    user: Mapped[str]
    project: Mapped[str]
    name: Mapped[str]
    """Of the image, as the user wrote it; checked."""
    description: Mapped[str] = mapped_column(default="")
    state: Mapped[str]
    """requested; approved, committing, cleaning, pushing; done, declined, failed, cancelled"""
    reason: Mapped[str] = mapped_column(default="")
    """Why it was declined or failed, or what is being done."""
    reference: Mapped[str | None]
    """Full name of the image, once it is there."""
    container_id: Mapped[str | None]
    parent_id: Mapped[str | None]
    """Id of the image that the session runs."""
    parent: Mapped[str] = mapped_column(default="")
    """Reference of it."""
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """What the session has written on top of its image."""
    diff: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """Counts and first paths of what was added, changed, deleted."""
    unsearched: Mapped[str] = mapped_column(default="")
    """Sentence that names packed files which were not searched for secrets; "" none."""
    progress: Mapped[float] = mapped_column(default=0.0)
    """0 to 1"""
    requested_at: Mapped[float]
    decided_at: Mapped[float | None]
    decided_by: Mapped[str | None]
    ended_at: Mapped[float | None]

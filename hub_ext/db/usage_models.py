"""What sessions have used over time, at falling resolution."""

from __future__ import annotations

from sqlalchemy import Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from hub_ext.db.models import Base


class SessionUseRow(Base):
    """Means of a session over one span of time; null: not measured.

    The rows are many and small: the session is named by its order, all numbers are whole.
    """

    __tablename__ = "session_use"
    __table_args__ = (
        Index("ix_session_use_span_s_at", "span_s", "at"),
        {"sqlite_with_rowid": False},
    )

    session_order: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    span_s: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """Length of the span in s: 60, 900 or 3600."""
    at: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """When it began, in units of its length since 1970."""
    measured_s: Mapped[int]
    """For how much of it the session ran and was measured."""
    gpu_memory_mib: Mapped[int | None]
    gpu_permille: Mapped[int | None]
    """How busy its slice was, of 1000."""
    cpu_milli: Mapped[int | None]
    memory_mib: Mapped[int | None]

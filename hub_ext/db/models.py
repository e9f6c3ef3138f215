"""Tables of the service. Times are Unix seconds, GPU in milli-GPU, memory in MiB."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, MetaData, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Declarative base with named constraints, so that migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class SessionRow(Base):
    """One session. At most one live row (``ended_at`` null) for a user's server name."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index(
            "uq_sessions_live_server",
            "user",
            "server_name",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_sessions_status", "status"),
        Index("ix_sessions_user_submitted_at", "user", "submitted_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    order: Mapped[int] = mapped_column(unique=True)
    """Place in the order of submission."""
    user: Mapped[str]
    server_name: Mapped[str]
    name: Mapped[str]
    project: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str]
    reason_code: Mapped[str] = mapped_column(default="")
    reason_message: Mapped[str] = mapped_column(default="")
    reason_help: Mapped[str] = mapped_column(default="")
    position: Mapped[int | None]
    expected_at: Mapped[float | None]
    """When it is expected to start."""
    image: Mapped[str]
    image_title: Mapped[str]
    preset: Mapped[str | None]
    gpu_milli: Mapped[int]
    gpu_memory_mib: Mapped[int] = mapped_column(default=0)
    """GPU memory that goes with its slices; 0 until it is granted."""
    cpu_milli: Mapped[int]
    memory_mib: Mapped[int]
    priority: Mapped[int] = mapped_column(default=0)
    preemptible: Mapped[bool] = mapped_column(default=False)
    lifetime_s: Mapped[int | None]
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The validated launch request."""
    mounts: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    submitted_at: Mapped[float]
    scheduled_at: Mapped[float | None]
    running_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    changed_at: Mapped[float]
    node: Mapped[str | None]
    container_id: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    """How often a start was asked of the hub for this grant."""
    version: Mapped[int] = mapped_column(default=1)

    slices: Mapped[list[SliceRow]] = relationship(
        back_populates="session", order_by="SliceRow.device", lazy="selectin"
    )


class SliceRow(Base):
    """A part of one device, held by a session. Gone as soon as the session has ended."""

    __tablename__ = "slices"
    __table_args__ = (UniqueConstraint("session_id", "node", "device"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    node: Mapped[str]
    device: Mapped[int]
    uuid: Mapped[str]
    milli: Mapped[int]
    simulated: Mapped[bool] = mapped_column(default=False)

    session: Mapped[SessionRow] = relationship(back_populates="slices")


class HistoryRow(Base):
    """One transition of a session: when, from, to, why, by whom."""

    __tablename__ = "session_history"
    __table_args__ = (Index("ix_session_history_session_id", "session_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    at: Mapped[float]
    from_status: Mapped[str]
    to_status: Mapped[str]
    code: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(default="")
    by: Mapped[str]


class NodeRow(Base):
    """A machine that runs containers, as last seen."""

    __tablename__ = "nodes"

    name: Mapped[str] = mapped_column(primary_key=True)
    cpu_milli: Mapped[int]
    memory_mib: Mapped[int]
    resource_group: Mapped[str] = mapped_column(default="default")
    drained: Mapped[bool] = mapped_column(default=False)
    problem: Mapped[str] = mapped_column(default="")
    """Why it may not take sessions now; "" when it may."""
    seen_at: Mapped[float]

    devices: Mapped[list[DeviceRow]] = relationship(
        back_populates="node_row", order_by="DeviceRow.device", lazy="selectin"
    )


class DeviceRow(Base):
    """A GPU of a node, as last seen."""

    __tablename__ = "devices"

    node: Mapped[str] = mapped_column(
        ForeignKey("nodes.name", ondelete="CASCADE"), primary_key=True
    )
    device: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    uuid: Mapped[str]
    model: Mapped[str]
    memory_mib: Mapped[int]
    simulated: Mapped[bool] = mapped_column(default=False)
    problem: Mapped[str] = mapped_column(default="")

    node_row: Mapped[NodeRow] = relationship(back_populates="devices")


class PresetRow(Base):
    """A named bundle of resources, shown in the launch form by ``rank``."""

    __tablename__ = "presets"

    name: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    gpu_milli: Mapped[int]
    cpu_milli: Mapped[int]
    memory_mib: Mapped[int]
    rank: Mapped[int] = mapped_column(default=0)


class FolderRow(Base):
    """A virtual folder; its directory is named by ``id``, never by ``name``."""

    __tablename__ = "folders"
    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    """"" is the owner's persistent home."""
    usage: Mapped[str] = mapped_column(default="general")
    created_at: Mapped[float]

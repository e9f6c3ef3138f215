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
        Index("ix_sessions_project_order", "project", "order"),
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
    """May be reclaimed: stopped, after a warning, for others who are due the capacity."""
    requeue: Mapped[bool] = mapped_column(default=True)
    """Goes back to the queue when it is reclaimed."""
    lifetime_s: Mapped[int | None]
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The validated launch request."""
    mounts: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    submitted_at: Mapped[float]
    not_before: Mapped[float | None]
    """It waits at least until then."""
    scheduled_at: Mapped[float | None]
    running_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    changed_at: Mapped[float]
    node: Mapped[str | None]
    container_id: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    """How often a start was asked of the hub for this grant."""
    run_id: Mapped[int | None]
    """The run (see RunRow) that a grant began; reports about an earlier run are stale."""
    notice_code: Mapped[str] = mapped_column(default="")
    """Why it will be stopped at ``stops_at``: reclaimed, preempted, lifetime ...; "": it will not.
    """
    notice_message: Mapped[str] = mapped_column(default="")
    stops_at: Mapped[float | None]
    evicted_for: Mapped[str | None]
    """Id of the session that it makes room for."""
    ends_at: Mapped[float | None]
    """Somebody has asked for it to be stopped then, as all sessions of a class when it is over."""
    ends_why: Mapped[str | None]
    """The sentence that its user reads."""
    dismissed: Mapped[bool] = mapped_column(default=False)
    """Its user was taken off the list of its project, and it starts only if he is back."""
    alerts: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    """What its user should know now and that stops nothing (see hub_ext.sessions.alerts)."""
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
    enforcer: Mapped[str] = mapped_column(default="")
    """What keeps the session inside it; "" of a simulated device."""
    memory_mib: Mapped[int] = mapped_column(default=0)
    """Memory of the device that goes with it; 0: granted before this was written down."""

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


class RunRow(Base):
    """One use of a booking: from a grant until its slices were free again."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_session_id", "session_id"),
        Index("ix_runs_project_ended_at", "project", "ended_at"),
        Index("ix_runs_started_at", "started_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    user: Mapped[str]
    project: Mapped[str]
    gpu_milli: Mapped[int]
    cpu_milli: Mapped[int]
    memory_mib: Mapped[int]
    started_at: Mapped[float]
    ended_at: Mapped[float | None]


class ProjectRow(Base):
    """A course, lab or team. Never deleted, only archived: past sessions name it.

    Quotas, limits: -1 is unlimited. Weights: null means that the quota is the weight.
    """

    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    parent: Mapped[str | None] = mapped_column(ForeignKey("projects.name"))
    created_at: Mapped[float]
    created_order: Mapped[int] = mapped_column(unique=True)
    """Seniority: the older project wins what is otherwise equal."""
    archived_at: Mapped[float | None]
    version: Mapped[int] = mapped_column(default=1)
    open_to_all: Mapped[bool] = mapped_column(default=False)
    """Everybody may launch in it, member or not."""
    priority: Mapped[int] = mapped_column(default=0)
    quota_gpu_milli: Mapped[int] = mapped_column(default=-1)
    quota_cpu_milli: Mapped[int] = mapped_column(default=-1)
    quota_memory_mib: Mapped[int] = mapped_column(default=-1)
    limit_gpu_milli: Mapped[int] = mapped_column(default=-1)
    limit_cpu_milli: Mapped[int] = mapped_column(default=-1)
    limit_memory_mib: Mapped[int] = mapped_column(default=-1)
    weight_gpu: Mapped[float | None]
    weight_cpu: Mapped[float | None]
    weight_memory: Mapped[float | None]
    reclaim_min_runtime_s: Mapped[float | None]
    preempt_min_runtime_s: Mapped[float | None]
    valid_from: Mapped[float | None]
    valid_until: Mapped[float | None]
    hours: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON)
    """When it is open (see hub_ext.hours); null: always."""
    stops_at_close: Mapped[bool] = mapped_column(default=False)
    """Its sessions are stopped, after a warning, when its hours end."""
    quota_hours: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON)
    """Windows with a quota of their own."""
    images: Mapped[list[str] | None] = mapped_column(JSON)
    presets: Mapped[list[str] | None] = mapped_column(JSON)
    resource_groups: Mapped[list[str] | None] = mapped_column(JSON)
    kinds: Mapped[list[str] | None] = mapped_column(JSON)
    """What its sessions may use; null: everything."""
    materials_folder_id: Mapped[str | None]
    """Folder of the project that is mounted, read-only, in every session of it; null: none."""
    budget_gpu_h: Mapped[float | None]
    """GPU-hours (of a physical device) that it may use in its term."""
    member_limits: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Limits of each member (see hub_ext.projects.limits)."""
    bounds: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """images, presets, member_limits as an admin last set them (see hub_ext.projects.bounds)."""


class MemberRow(Base):
    """A user in a project; ``role``: member or instructor."""

    __tablename__ = "project_members"

    project: Mapped[str] = mapped_column(
        ForeignKey("projects.name", ondelete="CASCADE"), primary_key=True
    )
    user: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    limits: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Limits of this member that differ from the project's ``member_limits``."""
    added_at: Mapped[float]
    added_by: Mapped[str]


class AuditRow(Base):
    """A change that somebody made: who, what, from, to."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_project", "project"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    by: Mapped[str]
    action: Mapped[str]
    """As in "project.change" or "node.drain"."""
    subject: Mapped[str]
    """Name or id of what was changed."""
    project: Mapped[str | None]
    """Whose instructors may read it."""
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class ResourceGroupRow(Base):
    """A named set of nodes; ``hours``: when it takes sessions, null: always."""

    __tablename__ = "resource_groups"

    name: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(default="")
    hours: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON)
    enforcer: Mapped[str | None]
    """Of its nodes that have none of their own; null: the site's."""


class NodeRow(Base):
    """A machine that runs containers, as last seen."""

    __tablename__ = "nodes"

    name: Mapped[str] = mapped_column(primary_key=True)
    cpu_milli: Mapped[int]
    memory_mib: Mapped[int]
    resource_group: Mapped[str] = mapped_column(default="default")
    labels: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    drained: Mapped[bool] = mapped_column(default=False)
    problem: Mapped[str] = mapped_column(default="")
    """Why it may not take sessions now; "" when it may."""
    seen_at: Mapped[float]
    enforcer: Mapped[str | None]
    """What keeps sessions inside their slices here; null: as its resource group says."""
    driver: Mapped[str] = mapped_column(default="")
    """Version of the NVIDIA driver; "" without one."""
    gpu_problem: Mapped[str] = mapped_column(default="")
    """Why sessions with a GPU may not go here now; those without one may."""

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
    capacity_milli: Mapped[int] = mapped_column(default=1000)
    """The largest request that it holds: 1000, or the part of the GPU that a MIG instance is."""
    mig_profile: Mapped[str] = mapped_column(default="")
    """As in "1g.10gb"; "" of a whole GPU."""
    parent_uuid: Mapped[str] = mapped_column(default="")
    """Of the GPU that a MIG instance is a part of."""

    node_row: Mapped[NodeRow] = relationship(back_populates="devices")


class DeviceEventRow(Base):
    """Something that happened to a device (or, without a number, to a node's GPUs)."""

    __tablename__ = "device_events"
    __table_args__ = (Index("ix_device_events_node", "node", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    node: Mapped[str]
    device: Mapped[int | None]
    uuid: Mapped[str] = mapped_column(default="")
    code: Mapped[str]
    """lost, sick, foreign, runtime, mps: it takes no sessions now; back: it does again."""
    message: Mapped[str]


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

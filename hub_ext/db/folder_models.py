"""Tables of folders: what there is, who shares it, and work that takes long."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from hub_ext.db.models import Base


class FolderRow(Base):
    """A virtual folder; its directory is named by ``id``, never by ``name``.

    A folder in the trash leaves its name to others.
    """

    __tablename__ = "folders"
    __table_args__ = (
        Index(
            "uq_folders_live_name",
            "kind",
            "owner",
            "name",
            unique=True,
            sqlite_where=text("trashed_at IS NULL"),
            postgresql_where=text("trashed_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(default="user")
    """user or project"""
    owner: Mapped[str]
    """Name of the user or of the project."""
    name: Mapped[str]
    """"" is a user's persistent home."""
    usage: Mapped[str] = mapped_column(default="general")
    """general, model or data"""
    members_mode: Mapped[str] = mapped_column(default="ro")
    """What members of the project may do with it: ro, rw or rwd; "" nothing."""
    created_at: Mapped[float]
    created_by: Mapped[str] = mapped_column(default="")
    state: Mapped[str] = mapped_column(default="ready")
    """ready; new: its directory is made on first use; cloning: not there yet; purging: soon gone
    """
    trashed_at: Mapped[float | None]
    trashed_by: Mapped[str | None]
    used_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """As last measured; null: not yet."""
    used_files: Mapped[int | None] = mapped_column(BigInteger)
    measured_at: Mapped[float | None]


class ShareRow(Base):
    """An invitation to a folder, and what became of it."""

    __tablename__ = "folder_shares"
    __table_args__ = (
        Index("ix_folder_shares_user", "user"),
        Index(
            "uq_folder_shares_open",
            "folder_id",
            "user",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    folder_id: Mapped[str] = mapped_column(ForeignKey("folders.id", ondelete="CASCADE"))
    user: Mapped[str]
    """Who is invited."""
    mode: Mapped[str]
    """ro, rw or rwd"""
    state: Mapped[str]
    """pending, accepted; ended: rejected, cancelled, left, stopped"""
    invited_by: Mapped[str]
    invited_at: Mapped[float]
    answered_at: Mapped[float | None]
    ended_at: Mapped[float | None]


class FolderJobRow(Base):
    """Work on a folder that takes long and survives a restart: clone or purge."""

    __tablename__ = "folder_jobs"
    __table_args__ = (Index("ix_folder_jobs_folder_id", "folder_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    """clone or purge"""
    folder_id: Mapped[str]
    source_id: Mapped[str | None]
    user: Mapped[str]
    groups: Mapped[list[str]] = mapped_column(JSON, default=list)
    """Of the user, as the hub had them at the request; they decide what he may read."""
    admin: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str]
    """running, done, failed or cancelled"""
    bytes_done: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_total: Mapped[int | None] = mapped_column(BigInteger)
    files_done: Mapped[int] = mapped_column(BigInteger, default=0)
    files_total: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str] = mapped_column(default="")
    note: Mapped[str] = mapped_column(default="")
    """What its user should know of one that is done: special files that were left out."""
    started_at: Mapped[float]
    ended_at: Mapped[float | None]


class UploadRow(Base):
    """A file on its way into a folder, in pieces; its bytes wait outside the folder."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    folder_id: Mapped[str] = mapped_column(ForeignKey("folders.id", ondelete="CASCADE"))
    user: Mapped[str]
    path: Mapped[str]
    """Where it goes, relative to the folder."""
    size: Mapped[int] = mapped_column(BigInteger)
    overwrite: Mapped[bool] = mapped_column(default=False)
    started_at: Mapped[float]
    changed_at: Mapped[float]


class StorageQuotaRow(Base):
    """Bytes that all folders of a user or project may take; without a row: the site's default."""

    __tablename__ = "storage_quotas"

    kind: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    """null: unlimited"""


class SessionIdentityRow(Base):
    """As whom a session mounts folders: what the hub last said of its user.

    A session that has waited is checked again when it starts, and only a spawner's request
    comes with the groups.
    """

    __tablename__ = "session_identities"

    session_id: Mapped[str] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True
    )
    groups: Mapped[list[str]] = mapped_column(JSON)
    admin: Mapped[bool]

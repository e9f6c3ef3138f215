"""The state of the service as metrics are made of it, read in one transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow, StorageQuotaRow
from hub_ext.db.image_models import ImageRequestRow
from hub_ext.metering.samples import Sample, Samples
from hub_ext.nodes.groups import closed_groups
from hub_ext.nodes.occupancy import ActiveAt, Fleet, read_fleet
from hub_ext.projects.holdings import Holding, holdings
from hub_ext.projects.shares import quota_now
from hub_ext.projects.tree import read_projects
from hub_ext.scheduling.model import UNLIMITED, Resources
from hub_ext.sessions.queue_summary import Waiting, live_counts, waiting
from hub_ext.site import Policy


@dataclass(frozen=True, slots=True)
class FolderSum:
    """Folders of one owner, or of all users together; ``quota`` None: no limit."""

    folders: int = 0
    bytes: int = 0
    quota: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that is told. Units as in the tables."""

    version: str
    now: float
    fleet: Fleet
    activity_known: bool
    sessions: Mapping[str, Mapping[str, int]]
    """By project and status."""
    queue: Sequence[Waiting]
    held: Mapping[str, Holding]
    """By project, with those below it."""
    quotas: Mapping[str, Resources]
    """Of this hour, by project."""
    image_requests: Mapping[str, int]
    database_bytes: int
    stream_clients: int
    use: Mapping[str, Sample] = field(default_factory=dict)
    """What running sessions use, by id."""
    user_folders: FolderSum = FolderSum()
    project_folders: Mapping[str, FolderSum] = field(default_factory=dict)


def read(
    db: Session,
    policy: Policy,
    *,
    version: str,
    active_at: ActiveAt,
    activity_known: bool,
    busy: Mapping[str, float],
    stream_clients: int,
    meter: Samples,
) -> Reading:
    """As of now."""
    now, rows = time.time(), read_projects(db)
    closed = closed_groups(db, now, policy.timezone)
    fleet = read_fleet(db, closed, now, active_at, busy)
    holders = [holder.session_id for node in fleet.nodes for holder in node.holders]
    current = [row for row in rows.values() if row.archived_at is None]
    return Reading(
        version=version,
        now=now,
        fleet=fleet,
        use=meter.of(holders),
        activity_known=activity_known,
        sessions=live_counts(db),
        queue=waiting(db),
        held=holdings(db, rows),
        quotas={row.name: quota_now(row, now, policy.timezone) for row in current},
        image_requests=_image_requests(db),
        database_bytes=_database_bytes(db),
        stream_clients=stream_clients,
        user_folders=_user_folders(db),
        project_folders=_project_folders(db, policy),
    )


def _image_requests(db: Session) -> dict[str, int]:
    query = select(ImageRequestRow.state, func.count()).group_by(ImageRequestRow.state)
    return {row.state: row[1] for row in db.execute(query)}


def _user_folders(db: Session) -> FolderSum:
    query = select(func.count(), func.sum(FolderRow.used_bytes)).where(FolderRow.kind == "user")
    count, size = db.execute(query).one()
    return FolderSum(count, int(size or 0))


def _project_folders(db: Session, policy: Policy) -> dict[str, FolderSum]:
    query = select(FolderRow.owner, func.count(), func.sum(FolderRow.used_bytes))
    query = query.where(FolderRow.kind == "project").group_by(FolderRow.owner)
    own = select(StorageQuotaRow.owner, StorageQuotaRow.bytes)
    own = own.where(StorageQuotaRow.kind == "project")
    limits = {row.owner: row.bytes for row in db.execute(own)}
    return {
        owner: FolderSum(count, int(size or 0), limits.get(owner, policy.project_storage_bytes))
        for owner, count, size in db.execute(query)
    }


def _database_bytes(db: Session) -> int:
    if db.get_bind().dialect.name == "postgresql":
        return int(db.scalar(text("SELECT pg_database_size(current_database())")) or 0)
    pages = db.scalar(text("PRAGMA page_count")) or 0
    return int(pages) * int(db.scalar(text("PRAGMA page_size")) or 0)


def limited(quota: Resources) -> bool:
    """Whether a quota of GPUs binds."""
    return quota.gpu_milli != UNLIMITED

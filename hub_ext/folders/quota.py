"""What all folders of a user or a project may take together, and what they take.

Counted are the folders as last measured, those in the trash too; files that are being
uploaded with the size they will have; clones in the making with that of what they copy.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session, aliased

from hub_ext.db.folder_models import FolderJobRow, FolderRow, StorageQuotaRow, UploadRow
from hub_ext.errors import NotFound, OverLimit
from hub_ext.folders.access import Action, Right
from hub_ext.projects import audit

if TYPE_CHECKING:  # the site holds the folders
    from hub_ext.site import Policy

NO_ROOM = "The storage quota of the folder's owner leaves no room for this."
"""All that those are told who only use a folder."""
Owner = tuple[str, str]
"""Kind (user or project) and name."""


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that an owner's folders take, and may take (None: no limit)."""

    kind: str
    owner: str
    used: int
    limit: int | None

    @property
    def full(self) -> bool:
        """Nothing more may be added."""
        return self.limit is not None and self.used >= self.limit

    def as_json(self) -> dict[str, Any]:
        """For the REST API."""
        return {
            "kind": self.kind,
            "owner": self.owner,
            "used_bytes": self.used,
            "limit_bytes": self.limit,
        }

    def sentence(self) -> str:
        """How it stands, for an error message."""
        whose = f"of {self.owner}" if self.kind == "user" else f"of project {self.owner}"
        limit = "any amount" if self.limit is None else size_text(self.limit)
        return f"The folders {whose} take {size_text(self.used)} of {limit}."


def room_of(db: Session, policy: Policy, kind: str, owner: str) -> Room:
    """How much one owner's folders take."""
    return rooms(db, policy, [(kind, owner)])[kind, owner]


def rooms(db: Session, policy: Policy, owners: Collection[Owner]) -> dict[Owner, Room]:
    """How much the folders of each take."""
    if not owners:
        return {}
    used = dict.fromkeys(owners, 0)
    for part in (_measured(db, owners), _arriving(db, owners), _cloning(db, owners)):
        for key, number in part.items():
            used[key] += number
    default = {"user": policy.user_storage_bytes, "project": policy.project_storage_bytes}
    own_limit = tuple_(StorageQuotaRow.kind, StorageQuotaRow.owner).in_(owners)
    rows = db.scalars(select(StorageQuotaRow).where(own_limit))
    limits = {(row.kind, row.owner): row.bytes for row in rows}
    return {
        (kind, owner): Room(
            kind, owner, used[kind, owner], limits.get((kind, owner), default[kind])
        )
        for kind, owner in owners
    }


def check_room(room: Room, more: int, *, field: str, numbers: bool = True) -> None:
    """Raises OverLimit when ``more`` bytes are too many.

    ``numbers`` False: to somebody whom it does not concern how much the owner has and may have.
    """
    if room.limit is not None and room.used + more > room.limit:
        if not numbers:
            raise OverLimit(f"{NO_ROOM} Ask its owner to make room.", field=field)
        raise OverLimit(
            f"{room.sentence()} {size_text(more)} more are above that limit: delete what is no"
            " longer needed (the trash counts too), or ask your admin for more.",
            field=field,
        )


def keeps(right: Right | None) -> bool:
    """Whether somebody answers for the room that a folder takes: its keepers, and admins."""
    return right is not None and bool(right.actions & {Action.SHARE, Action.TRANSFER})


def set_limit(db: Session, kind: str, owner: str, limit: int | None, *, by: str) -> None:
    """A limit of their own (None: none at all)."""
    row = db.get(StorageQuotaRow, (kind, owner))
    before = None if row is None else {"bytes": row.bytes}
    if row is None:
        row = StorageQuotaRow(kind=kind, owner=owner)
        db.add(row)
    row.bytes = limit
    _note(db, by, row, before, {"bytes": limit})


def drop_limit(db: Session, kind: str, owner: str, *, by: str) -> None:
    """Back to the site's default. Raises NotFound when it holds already."""
    row = db.get(StorageQuotaRow, (kind, owner))
    if row is None:
        raise NotFound("There is no storage quota of its own; the site's default holds.")
    db.delete(row)
    _note(db, by, row, {"bytes": row.bytes}, None)


def set_limits(db: Session) -> list[StorageQuotaRow]:
    """All limits that differ from the site's default."""
    query = select(StorageQuotaRow).order_by(StorageQuotaRow.kind, StorageQuotaRow.owner)
    return list(db.scalars(query))


def size_text(size: int) -> str:
    """As people write it: 0 bytes, 1.5 GiB."""
    number, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if number < 999.5:
            break
        number, unit = number / 1024, larger
    return f"{number:.0f} bytes" if unit == "bytes" else f"{number:.3g} {unit}"


def _of_owners(owners: Collection[Owner]) -> Any:
    return tuple_(FolderRow.kind, FolderRow.owner).in_(owners)


def _measured(db: Session, owners: Collection[Owner]) -> dict[Owner, int]:
    query = select(FolderRow.kind, FolderRow.owner, func.sum(FolderRow.used_bytes))
    query = query.where(_of_owners(owners)).group_by(FolderRow.kind, FolderRow.owner)
    return {(kind, owner): int(size or 0) for kind, owner, size in db.execute(query)}


def _arriving(db: Session, owners: Collection[Owner]) -> dict[Owner, int]:
    query = select(FolderRow.kind, FolderRow.owner, func.sum(UploadRow.size))
    query = query.join(FolderRow, UploadRow.folder_id == FolderRow.id).where(_of_owners(owners))
    query = query.group_by(FolderRow.kind, FolderRow.owner)
    return {(kind, owner): int(size) for kind, owner, size in db.execute(query)}


def _cloning(db: Session, owners: Collection[Owner]) -> dict[Owner, int]:
    """The size of what is copied, until the clone itself has been measured."""
    source = aliased(FolderRow)
    size = func.coalesce(FolderJobRow.bytes_total, source.used_bytes, 0)
    query = select(FolderRow.kind, FolderRow.owner, func.sum(size))
    query = query.join(FolderJobRow, FolderJobRow.folder_id == FolderRow.id)
    query = query.join(source, FolderJobRow.source_id == source.id, isouter=True)
    query = query.where(
        _of_owners(owners),
        FolderJobRow.state.in_(["running", "done"]),
        FolderJobRow.kind == "clone",
    )
    query = query.where(FolderRow.used_bytes.is_(None))
    query = query.group_by(FolderRow.kind, FolderRow.owner)
    return {(kind, owner): int(found) for kind, owner, found in db.execute(query)}


def _note(
    db: Session,
    by: str,
    row: StorageQuotaRow,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    project = row.owner if row.kind == "project" else None
    subject = f"{row.kind}:{row.owner}"
    audit.note(db, by, "storage_quota.change", subject, project, before, after)

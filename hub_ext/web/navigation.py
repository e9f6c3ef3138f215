"""What the navigation on top of every page shows."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow, ShareRow
from hub_ext.db.image_models import ImageRequestRow
from hub_ext.folders.sharing import ShareState, in_use
from hub_ext.images.request_states import State


def invitations_waiting(db: Session, user: str) -> int:
    """How many invitations to folders wait for this user's answer."""
    query = select(func.count()).select_from(ShareRow)
    query = query.join(FolderRow, FolderRow.id == ShareRow.folder_id)
    query = query.where(
        ShareRow.user == user,
        ShareRow.state == ShareState.PENDING.value,
        in_use(),
    )
    return int(db.scalar(query) or 0)


def image_requests_waiting(db: Session) -> int:
    """How many requests for images wait for an admin."""
    query = select(func.count()).select_from(ImageRequestRow)
    query = query.where(ImageRequestRow.state == State.REQUESTED)
    return int(db.scalar(query) or 0)

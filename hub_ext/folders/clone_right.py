"""Whether a clone may go on: who asked for it must still be allowed to read its source.

A clone may wait behind others and runs as long as it takes; meanwhile an invitation is stopped
or a membership ends. Groups are those of the request, as for sessions: only the hub knows them,
and it tells them with a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderJobRow, FolderRow
from hub_ext.folders.access import Access, Person

if TYPE_CHECKING:  # the site holds the folders
    from hub_ext.site import Policy


def refusal(db: Session, policy: Policy, job: FolderJobRow) -> str:
    """Why this clone may not go on, for who asked for it; "" when it may.

    A source in the trash may still be copied, as sessions keep it, too.
    """
    source = db.get(FolderRow, job.source_id) if job.source_id else None
    if job.kind != "clone" or source is None:
        return ""
    person = Person(job.user, frozenset(job.groups), job.admin)
    if Access(db, policy, person).claim(source) is not None:
        return ""
    if source.kind == "user":
        return "The folder is not shared with you any more. Nothing of the copy is kept."
    return (
        f"The folder of project {source.owner} is not open to you any more: you are not one of its"
        " members now and have no invitation, or the project is archived. Nothing of the copy is"
        " kept."
    )

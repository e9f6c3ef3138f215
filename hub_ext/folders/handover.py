"""The folders of a granted session, made ready for the spawner that takes it over.

Whether its user may still mount them is looked at here, after the wait and at every restart;
so is whether they are there at all, and whether he may still use the image. A session that
cannot have what it asked for ends with a sentence: it never starts with an empty directory in
a folder's place, nor without the folder.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sqlalchemy import update
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow
from hub_ext.db.models import SessionRow
from hub_ext.errors import ApportionError, BadValue, Conflict, NotFound
from hub_ext.folders.catalogue import HOME_FOLDER
from hub_ext.folders.holders import identity
from hub_ext.folders.session_mounts import MATERIALS, Mount, is_materials, recheck
from hub_ext.images.visibility import may_start
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why

if TYPE_CHECKING:  # the site holds the folders
    from hub_ext.site import Site

log = logging.getLogger(__name__)

_IMAGE = "image"


async def hand_over(site: Site, row: SessionRow) -> SessionRow:
    """A SCHEDULED session with the sources of its mounts; or as it is then, ended or moved on."""
    if row.status != Status.SCHEDULED:
        return row
    try:
        mounts = await _sources(site, row)
    except ApportionError as refusal:
        return _refuse(site, row, refusal)
    with site.database.transaction() as db:
        db.execute(
            update(SessionRow)
            .where(SessionRow.id == row.id, SessionRow.status == Status.SCHEDULED)
            .values(mounts=[mount.as_json() for mount in mounts])
        )
    return site.store.get(row.id)


async def _sources(site: Site, row: SessionRow) -> list[Mount]:
    """The mounts as they hold now, each with its path on the node. Raises ApportionError."""
    planned = [Mount.read(values, row.user) for values in row.mounts]
    with site.database.transaction() as db:
        person = identity(db, row.id, row.user)
        if not may_start(db, site, row.user, person.groups, person.admin, row.image):
            raise BadValue(
                f"Its user can no longer use the image {row.image}: it is gone, or not given to"
                " him any more. Launch with another image.",
                field=_IMAGE,
            )
        mounts = recheck(db, site, person, planned, row.project)
        folders = _folders(db, mounts)
    for folder in folders:
        await site.folders.ready(site.database, folder)
    if not await _room_for_materials(site, mounts):
        mounts = [mount for mount in mounts if not is_materials(mount)]
    return [
        replace(mount, source=str(await _source(site, row.id, number, mount)))
        for number, mount in enumerate(mounts)
    ]


async def _room_for_materials(site: Site, mounts: Sequence[Mount]) -> bool:
    """Whether the materials of the project hide nothing that the user has there in his home."""
    home = next((mount for mount in mounts if mount.name == HOME_FOLDER), None)
    if home is None or not any(is_materials(mount) for mount in mounts):
        return True
    try:
        there = await site.folders.storage.list(home.id, PurePosixPath(MATERIALS).name, limit=1)
    except NotFound:
        return True
    except BadValue:  # a file, or a link to elsewhere
        return False
    return there.total == 0


def _folders(db: Session, mounts: Sequence[Mount]) -> list[FolderRow]:
    found = {mount.id: db.get(FolderRow, mount.id) for mount in mounts}
    return [folder for folder in found.values() if folder is not None]


def _refuse(site: Site, row: SessionRow, refusal: ApportionError) -> SessionRow:
    """End it, so that its place comes free; unless it has moved on by itself."""
    log.warning("Session %s does not start: %s", row.id, refusal)
    at_fault = _IMAGE if refusal.field == _IMAGE else "folder"
    why = Why(refusal.message, at_fault if refusal.status < 500 else refusal.code)
    try:
        return site.store.transition(
            row.id, Status.ERROR, why, by="service", allowed={Status.SCHEDULED}
        )
    except Conflict:
        return site.store.get(row.id)


async def _source(site: Site, session_id: str, number: int, mount: Mount) -> Path:
    """A path that no user can turn elsewhere. Raises StorageError when it is not there."""
    if not mount.subpath:
        return await site.folders.storage.check(mount.id)
    try:
        return await site.subpath_mounts.add(
            session_id, number, mount.id, mount.subpath, make=mount.mode == "rw"
        )
    except ApportionError as refusal:
        what = f"{mount.subpath!a} of the folder {mount.shown}"
        refusal.message = f"{what} cannot be mounted: {refusal.message}"
        raise

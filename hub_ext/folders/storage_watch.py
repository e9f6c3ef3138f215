"""Tells running sessions that the storage of all folders is full, and when it is not any more.

Without a quota that is how a folder becomes full: for all at once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sqlalchemy import select

from hub_ext.db.models import SessionRow
from hub_ext.errors import ApportionError
from hub_ext.folders.session_mounts import Mount
from hub_ext.sessions.alerts import STORAGE, clear_alert_in, raise_alert_in
from hub_ext.sessions.changes import Change
from hub_ext.sessions.status import GRANTED

if TYPE_CHECKING:  # the site holds the folders
    from hub_ext.site import Site

log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
LOOK_LIMIT_S = 10.0
FULL_BYTES = 16 * 2**20
"""With so little left a notebook can hardly be saved."""
ROOM_BYTES = 256 * 2**20
"""From here on it is said that there is room again; between the two nothing changes."""
_MESSAGE = "The storage is full: nothing can be saved in any folder. Delete what is not needed."


class StorageWatch:
    """``run`` raises and clears the alerts."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._full = False

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self.once()
            except Exception:
                log.exception("The room of the storage could not be told; it is tried again.")
            await asyncio.sleep(LOOK_EVERY_S)

    async def once(self) -> None:
        """A storage that does not answer is told of elsewhere; here nothing changes."""
        try:
            async with asyncio.timeout(LOOK_LIMIT_S):
                free = await self._site.folders.storage.free_bytes()
        except (ApportionError, OSError, TimeoutError):
            return
        full = free < (ROOM_BYTES if self._full else FULL_BYTES)
        if full and not self._full:
            log.warning("The storage of the folders is full: %d bytes are left.", free)
        self._full = full
        self._tell()

    def _tell(self) -> None:
        """Also sessions that have begun since, and those of before a restart."""
        changed: list[SessionRow] = []
        with self._site.database.transaction() as db:
            for row in db.scalars(select(SessionRow).where(SessionRow.status.in_(GRANTED))).all():
                told = any(alert["code"] == STORAGE for alert in row.alerts)
                if told == (self._full and _writes(row)):
                    continue
                if told:
                    found = clear_alert_in(db, row.id, STORAGE, "The storage has room again.")
                else:
                    found = raise_alert_in(db, row.id, STORAGE, _MESSAGE)
                if found is not None:
                    changed.append(found)
        for row in changed:
            self._site.changes.announce(Change(row.id, row.user, row.project))


def _writes(row: SessionRow) -> bool:
    return any(Mount.read(values, row.user).mode == "rw" for values in row.mounts)

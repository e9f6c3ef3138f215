"""Deletes for good what has been in the trash for too long."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from hub_ext.errors import Conflict
from hub_ext.folders import trash

if TYPE_CHECKING:  # the site holds the folders
    from hub_ext.site import Site

log = logging.getLogger(__name__)

_EVERY_S = 600.0


class TrashCollector:
    """Runs beside the service; a folder that a session still holds waits for the next round."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                self.once(time.time())
            except Exception:
                log.exception("The trash could not be emptied; it is tried again.")
            await asyncio.sleep(_EVERY_S)

    def once(self, now: float) -> list[str]:
        """Begin to delete what is overdue at this time (Unix s); returns the ids."""
        with self._site.database.transaction() as db:
            overdue = [row.id for row in trash.overdue(db, self._site.policy.trash_days, now)]
        begun = [folder_id for folder_id in overdue if self._begin(folder_id)]
        if begun:
            self._site.folder_jobs.wake()
        return begun

    def _begin(self, folder_id: str) -> bool:
        """One transaction each: trouble with one leaves the others alone."""
        with self._site.database.transaction() as db:
            folder = self._site.folders.get(db, folder_id)
            if folder is None:
                return False
            try:
                trash.begin_purge(db, folder, by="service")
            except Conflict:
                return False
            self._site.folder_jobs.add_purge(db, folder_id=folder_id, user="service")
        log.info("Folder %s has been in the trash for too long; it is deleted.", folder_id)
        return True

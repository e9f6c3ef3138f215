"""How much each folder holds, looked at in the background.

One process at a time, at the lowest priority. A folder is measured again the sooner the more
likely it has changed: soon after a session that could write to it has ended, otherwise at
intervals that grow while nothing changes, and never so that measuring takes more than a
sixtieth of the time. One that a running session may write to is looked at every ten minutes. In
the trash it rests, unless a session still has it open.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.folder_models import FolderRow
from hub_ext.db.models import SessionRow
from hub_ext.folders.file_process import WorkFailed, run_file_work
from hub_ext.folders.holders import holders
from hub_ext.folders.quota import Owner
from hub_ext.folders.storage import FolderStorage, StorageError
from hub_ext.sessions.status import GRANTED

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 30.0
_BATCH = 20
"""Folders of one process."""
SHORTEST_S = 600.0
LONGEST_S = 6 * 3600.0
REST = 60.0
"""A tree that took 30 s is left alone for 30 minutes."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When a folder is due again."""

    interval_s: float = SHORTEST_S
    took_s: float = 0.0

    def due_at(self, measured_at: float, *, touched: bool, written: bool = False) -> float:
        """``touched``: somebody could write to it since; ``written``: somebody may do so now."""
        rest = REST * self.took_s
        interval = SHORTEST_S if written else self.interval_s
        return measured_at + (min(rest, SHORTEST_S) if touched else max(rest, interval))

    def after(self, took_s: float, *, changed: bool) -> Pace:
        """The next pace: twice as slow when nothing has changed."""
        interval = SHORTEST_S if changed else min(2 * self.interval_s, LONGEST_S)
        return Pace(interval, took_s)


class Measuring:
    """``run`` fills used_bytes, used_files and measured_at; ``touch`` says what has changed."""

    def __init__(self, database: Database, storage: FolderStorage) -> None:
        self._database = database
        self._storage = storage
        self._paces: dict[str, Pace] = {}
        self._touched: set[str] = set()
        self._seen_until = time.time()
        self._listeners: list[Callable[[Collection[Owner]], None]] = []
        self._woken = asyncio.Event()

    def listen(self, listener: Callable[[Collection[Owner]], None]) -> None:
        """Called with the owners of folders that have just been measured."""
        self._listeners.append(listener)

    def touch(self, folder_id: str) -> None:
        """An upload or a deletion changed it; ends of sessions are seen without."""
        self._touched.add(folder_id)
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._woken.clear()
            again = False
            try:
                again = await self.measure_due(time.time())
            except (StorageError, WorkFailed) as error:
                log.warning("Folders could not be measured: %s", error)
            except Exception:
                log.exception("measuring folders")
            if not again:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._woken.wait()

    async def measure_due(self, now: float) -> bool:
        """Measure up to a batch of what is due. True when there may be more."""
        self._touched.update(self._written_by_ended_sessions(now))
        due = self._due(now)
        if not due:
            return False
        self._touched.difference_update(due)
        outcome = await run_file_work(
            {"task": "measure", "root": str(self._storage.root), "folders": due}
        )
        owners = self._write(outcome.results, due, now)
        for listener in self._listeners:
            listener(owners)
        return len(due) == _BATCH

    def _due(self, now: float) -> list[str]:
        with self._database.transaction() as db:
            rows = db.execute(
                select(FolderRow.id, FolderRow.measured_at, FolderRow.trashed_at).where(
                    FolderRow.state == "ready"
                )
            ).all()
            held = holders(db, [row.id for row in rows if row.trashed_at is not None])
            written = _written_now(db)
        due: list[tuple[float, str]] = []
        for row in rows:
            in_use = any(holder.holds for holder in held.get(row.id, []))
            trashed_at = None if in_use else row.trashed_at
            at = self._due_at(row.id, row.measured_at, trashed_at, written=row.id in written)
            if at <= now:
                due.append((at, row.id))
        self._paces = {row.id: self._paces[row.id] for row in rows if row.id in self._paces}
        self._touched.intersection_update(row.id for row in rows)
        return [folder_id for _, folder_id in sorted(due)[:_BATCH]]

    def _due_at(
        self,
        folder_id: str,
        measured_at: float | None,
        trashed_at: float | None,
        *,
        written: bool,
    ) -> float:
        """``trashed_at``: since when nobody uses it, but for what had begun before."""
        if measured_at is None:
            return 0.0
        touched = folder_id in self._touched
        if trashed_at is not None and measured_at > trashed_at and not touched:
            return float("inf")
        pace = self._paces.get(folder_id, Pace())
        return pace.due_at(measured_at, touched=touched, written=written)

    def _written_by_ended_sessions(self, now: float) -> Iterable[str]:
        """Folders that sessions mounted to write, which ended since we last looked."""
        with self._database.transaction() as db:
            ended = db.scalars(
                select(SessionRow.mounts).where(SessionRow.ended_at >= self._seen_until)
            ).all()
        self._seen_until = now
        return _mounted_to_write(ended)

    def _write(self, results: dict[str, Any], asked: list[str], now: float) -> set[Owner]:
        """The owners of what was measured. A folder that is missing, or fails, keeps what was
        known, and is asked for later."""
        owners: set[Owner] = set()
        with self._database.transaction() as db:
            for row in db.scalars(select(FolderRow).where(FolderRow.id.in_(asked))):
                row.measured_at = now
                if row.id not in results:
                    continue
                size, files, took_s = results[row.id]
                changed = (row.used_bytes, row.used_files) != (size, files)
                row.used_bytes, row.used_files = size, files
                pace = self._paces.get(row.id, Pace())
                self._paces[row.id] = pace.after(took_s, changed=changed)
                owners.add((row.kind, row.owner))
        return owners


def _written_now(db: Session) -> set[str]:
    """Folders that running sessions may write to."""
    query = select(SessionRow.mounts).where(SessionRow.status.in_(GRANTED))
    return set(_mounted_to_write(db.scalars(query).all()))


def _mounted_to_write(mounts: Iterable[list[dict[str, Any]]]) -> list[str]:
    """Ids of the folders; rows of the first release name the directory only."""
    return [
        mount.get("id") or PurePosixPath(mount["source"]).name
        for each in mounts
        for mount in each
        if mount.get("mode") == "rw"
    ]

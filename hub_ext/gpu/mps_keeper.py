"""The MPS daemons of this node: one for each device that is shared by MPS, kept alive.

A device whose daemon does not run takes no sessions, and the sessions that it has are told.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from hub_ext.db.models import SessionRow, SliceRow
from hub_ext.gpu.enforcers.choice import read_device_uses
from hub_ext.gpu.mps_daemon import MpsDaemon, MpsUnavailable
from hub_ext.sessions.alerts import ENFORCEMENT, raise_alert
from hub_ext.sessions.status import LIVE
from hub_ext.site import Site

log = logging.getLogger(__name__)

_EVERY_S = 5.0
_LONGEST_PAUSE_S = 60.0
"""Between two attempts to start a daemon that dies again and again."""
_LOST = "The MPS daemon of its GPU has died: restart the kernels that use the GPU."


@dataclass(slots=True)
class _Kept:
    daemon: MpsDaemon
    was_up: bool = False
    failures: int = 0
    next_try: float = 0.0
    """Monotonic s."""


class MpsKeeper:
    """Starts, watches, restarts and stops the daemons."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kept: dict[str, _Kept] = {}

    async def run(self) -> None:
        """For ever. When the service ends, daemons that no session needs end too."""
        try:
            while True:
                await self.once()
                await asyncio.sleep(_EVERY_S)
        finally:
            held = self._held()
            for uuid, kept in self._kept.items():
                if uuid not in held:
                    kept.daemon.quit()

    async def once(self) -> None:
        """One look at all of them."""
        wanted, held = self._wanted(), self._held()
        for uuid in wanted:
            if uuid not in self._kept:
                daemon = MpsDaemon(self._site.mps_dir, uuid)
                self._kept[uuid] = _Kept(daemon, was_up=daemon.runs())
        for uuid in [each for each in self._kept if each not in wanted and each not in held]:
            await asyncio.to_thread(self._kept.pop(uuid).daemon.quit)
        problems = {uuid: await self._look(kept) for uuid, kept in self._kept.items()}
        self._site.mps_problems = {uuid: text for uuid, text in problems.items() if text}
        self._sweep()

    async def _look(self, kept: _Kept) -> str:
        """Its problem now; "" when it serves."""
        try:
            await asyncio.to_thread(kept.daemon.check)
        except MpsUnavailable as error:
            problem = str(error)
        else:
            kept.was_up, kept.failures = True, 0
            return ""
        if kept.was_up:
            kept.was_up = False
            log.error("%s: %s", kept.daemon.uuid, problem)
            self._tell(kept.daemon.uuid)
        if time.monotonic() < kept.next_try:
            return problem
        if kept.failures:  # the first time at once
            kept.next_try = time.monotonic() + min(2.0**kept.failures, _LONGEST_PAUSE_S)
        kept.failures += 1
        try:
            await asyncio.to_thread(self._restart, kept.daemon)
        except MpsUnavailable as error:
            return str(error)
        kept.was_up = True
        return ""

    def _restart(self, daemon: MpsDaemon) -> None:
        """One that runs and does not answer is ended first. Raises MpsUnavailable."""
        daemon.quit()
        daemon.start()
        daemon.check()

    def _wanted(self) -> set[str]:
        with self._site.database.transaction() as db:
            uses = read_device_uses(db, self._site.policy).values()
            return {row.uuid for row, use in uses if use.enforcer == "mps"}

    def _held(self) -> Mapping[str, list[str]]:
        """By UUID, the sessions that hold a part of it by MPS."""
        query = select(SliceRow.uuid, SliceRow.session_id).where(SliceRow.enforcer == "mps")
        held: dict[str, list[str]] = {}
        with self._site.database.transaction() as db:
            for uuid, session_id in db.execute(query):
                held.setdefault(uuid, []).append(session_id)
        return held

    def _tell(self, uuid: str) -> None:
        for session_id in self._held().get(uuid, ()):
            raise_alert(self._site.store, session_id, ENFORCEMENT, _LOST)

    def _sweep(self) -> None:
        """Drop what was made for sessions that have ended."""
        directory = self._site.data_dir / "enforcement"
        made = [path.name for path in directory.iterdir()] if directory.is_dir() else []
        if not made:
            return
        query = select(SessionRow.id).where(SessionRow.id.in_(made), SessionRow.status.in_(LIVE))
        with self._site.database.transaction() as db:
            live = set(db.scalars(query))
        for name in set(made) - live:
            shutil.rmtree(directory / name, ignore_errors=True)

"""The MPS daemons of this node: one for each device that is shared by MPS, kept alive.

A device whose daemon does not serve takes no sessions. When one has died, the sessions that share
its device and the admin are told.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from hub_ext.db.models import DeviceRow, SessionRow, SliceRow
from hub_ext.gpu.enforcers.choice import read_device_uses
from hub_ext.gpu.mps_daemon import MpsDaemon, MpsUnavailable
from hub_ext.nodes.device_rows import GONE, MPS, note_event
from hub_ext.sessions.alerts import ENFORCEMENT, clear_alert, raise_alert
from hub_ext.sessions.status import LIVE
from hub_ext.site import Site

log = logging.getLogger(__name__)

_EVERY_S = 5.0
_START_S = 3.0
"""How long a daemon may take to answer its first command; then the next look sees it."""
_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 60.0
"""Between two attempts to start a daemon that dies again and again."""
_MOST_SILENT = 3
"""After so many commands without an answer a daemon is started anew: that ends what runs on the
device, which a busy machine alone is no reason for."""
_TOLD_S = 900.0
"""How long sessions are told of a death after which the daemon serves again."""
_LOST = "The MPS daemon of its GPU has died: restart the kernels that use the GPU."
_BACK = "The MPS daemon of its GPU serves again."


@dataclass(slots=True)
class _Kept:
    daemon: MpsDaemon
    was_up: bool = False
    silent: int = 0
    failures: int = 0
    next_try: float = 0.0
    """Monotonic s."""


class MpsKeeper:
    """Starts, watches, restarts and stops the daemons."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kept: dict[str, _Kept] = {}
        if site.mps_dir.is_dir():  # those of the service before, wanted or not
            for home in filter(Path.is_dir, site.mps_dir.iterdir()):
                self._keep(home.name)

    async def run(self) -> None:
        """For ever. When the service ends, daemons that no session needs end too."""
        try:
            while True:
                await asyncio.sleep(_EVERY_S)
                try:
                    await self.once()
                except Exception:
                    log.exception("Looking after the MPS daemons failed; it is tried again.")
        finally:
            held = self._held()
            for uuid, kept in self._kept.items():
                if uuid not in held:
                    kept.daemon.quit()

    async def once(self) -> None:
        """One look at all of them."""
        wanted, held = self._wanted(), self._held()
        for uuid in wanted - self._kept.keys():
            self._keep(uuid)
        for uuid in self._kept.keys() - wanted - held.keys():
            await asyncio.to_thread(self._kept.pop(uuid).daemon.quit)
        looks = [self._look(kept) for kept in self._kept.values()]
        problems = dict(zip(self._kept, await asyncio.gather(*looks), strict=True))
        self._site.mps_problems = {uuid: text for uuid, text in problems.items() if text}
        ready = frozenset(problems.keys() - self._site.mps_problems.keys())
        if ready != self._site.mps_ready:
            self._site.mps_ready = ready
            self._site.changes.announce_nodes()
        self._clear(held, ready)
        self._sweep()

    def _keep(self, uuid: str) -> None:
        daemon = MpsDaemon(self._site.mps_dir, uuid)
        self._kept[uuid] = _Kept(daemon, was_up=daemon.runs())

    async def _look(self, kept: _Kept) -> str:
        """Its problem now; "" when it serves."""
        try:
            await asyncio.to_thread(kept.daemon.check)
        except MpsUnavailable as error:
            problem = str(error)
        else:
            kept.was_up, kept.silent, kept.failures = True, 0, 0
            return ""
        kept.silent += 1
        if kept.silent < _MOST_SILENT and kept.daemon.runs():
            return problem
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
        kept.was_up, kept.silent = True, 0
        return ""

    def _restart(self, daemon: MpsDaemon) -> None:
        """One that runs and does not answer is ended first. Raises MpsUnavailable."""
        daemon.quit()
        daemon.start()
        until = time.monotonic() + _START_S
        while True:
            try:
                return daemon.check()
            except MpsUnavailable:
                if time.monotonic() > until or not daemon.runs():
                    raise
                time.sleep(_PAUSE_S)

    def _wanted(self) -> set[str]:
        """The devices of this node that are shared by MPS."""
        with self._site.database.transaction() as db:
            uses = read_device_uses(db, self._site.policy, self._site.nodes).values()
            return {row.uuid for row, use in uses if use.enforcer == "mps" and row.problem != GONE}

    def _held(self) -> Mapping[str, list[str]]:
        """By UUID, the sessions that hold a part of it by MPS."""
        query = select(SliceRow.uuid, SliceRow.session_id).where(SliceRow.enforcer == "mps")
        held: dict[str, list[str]] = {}
        with self._site.database.transaction() as db:
            for uuid, session_id in db.execute(query):
                held.setdefault(uuid, []).append(session_id)
        return held

    def _tell(self, uuid: str) -> None:
        """The admin, and each session anew, also of a second death."""
        with self._site.database.transaction() as db:
            for row in db.scalars(select(DeviceRow).where(DeviceRow.uuid == uuid)):
                note_event(db, row.node, MPS, f"The MPS daemon of GPU {row.device} has died.", row)
        for session_id in self._held().get(uuid, ()):
            clear_alert(self._site.store, session_id, ENFORCEMENT, _BACK)
            raise_alert(self._site.store, session_id, ENFORCEMENT, _LOST)

    def _clear(self, held: Mapping[str, list[str]], ready: Collection[str]) -> None:
        """Tell no longer of what is over."""
        sessions = {each for uuid in ready for each in held.get(uuid, ())}
        query = select(SessionRow.id, SessionRow.alerts).where(SessionRow.id.in_(sessions))
        with self._site.database.transaction() as db:
            told = [*db.execute(query)]
        until = time.time() - _TOLD_S
        for session_id, alerts in told:
            if any(each["code"] == ENFORCEMENT and each["at"] < until for each in alerts):
                clear_alert(self._site.store, session_id, ENFORCEMENT, _BACK)

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

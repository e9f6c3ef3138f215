"""Wanted against seen: sessions, containers and the hub's servers made to agree.

Runs at start and every minute. It concludes nothing from silence (an engine or a hub
that does not answer), and never frees a slice that a live container still holds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from hub_ext.db.models import SessionRow
from hub_ext.errors import Conflict, NotFound
from hub_ext.hub_client import HubRefused, HubServer, HubUnavailable
from hub_ext.nodes import inventory
from hub_ext.nodes.engine import EngineRefused, EngineUnavailable, SessionContainer
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.status import LAUNCHING, LIVE, STOPPING, Status
from hub_ext.sessions.store import Why
from hub_ext.site import Site

log = logging.getLogger(__name__)

_PERIOD_S = 60.0
_UNSETTLED_PERIOD_S = 5.0
"""While something is between two states, look sooner."""
_SETTLE_S = 15.0
"""A change that young may still be on its way."""
_HUB_AT_WORK_S = 300.0
"""How long a start or stop of the hub may take before it counts as stuck."""
_START_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """What there really is: containers by session, servers by (user, name).

    at: when the look began (Unix s); what has changed since may be missing from it.
    """

    at: float
    containers: dict[str, list[SessionContainer]]
    servers: dict[tuple[str, str], HubServer]

    def running(self, session_id: str) -> bool:
        """Whether a container of this session runs."""
        return any(found.running for found in self.containers.get(session_id, ()))

    def server(self, row: SessionRow) -> HubServer | None:
        """The hub's view of the session's server."""
        return self.servers.get((row.user, row.server_name))


class Reconciler:
    """Closes the gaps that crashes leave."""

    orphan_grace_s = 60.0
    """How long a container without live session is left alone."""

    def __init__(self, site: Site, launcher: Launcher) -> None:
        self._site = site
        self._launcher = launcher
        self._orphans: dict[str, float] = {}
        """Containers without live session, by id, and since when they are."""
        self._forgotten: set[str] = set()
        """Running sessions whose server the hub did not know in the last pass."""

    async def run(self) -> None:
        """For ever, once a minute; sooner while sessions are between two states."""
        while True:
            try:
                await self.once()
            except Exception:
                log.exception("Reconciling failed; it is tried again.")
            await asyncio.sleep(_UNSETTLED_PERIOD_S if self._unsettled() else _PERIOD_S)

    async def once(self) -> None:
        """One comparison, and what follows from it."""
        await inventory.refresh(self._site)
        seen = await self._look()
        if seen is None:
            return
        live = self._site.store.find(statuses=LIVE)
        for row in live:
            if not await self._settle_safely(row.id, seen):
                return
        self._forgotten &= {row.id for row in live}
        await self._remove_orphans(seen)

    async def _look(self) -> Seen | None:
        """None when somebody gives no answer: nothing may be concluded then."""
        looked_at = time.time()
        try:
            listed = await self._site.engine.containers()
            servers = await self._site.hub.active_servers()
        except (EngineUnavailable, EngineRefused, HubUnavailable, HubRefused) as error:
            log.warning("Not reconciled now: %s", error)
            return None
        containers: dict[str, list[SessionContainer]] = {}
        for container in listed:
            containers.setdefault(container.session_id, []).append(container)
        return Seen(looked_at, containers, servers)

    def _unsettled(self) -> bool:
        waiting = LAUNCHING | STOPPING
        return bool(self._forgotten or self._site.store.find(statuses=waiting, limit=1))

    async def _settle_safely(self, session_id: str, seen: Seen) -> bool:
        """Settle one session; trouble with it holds up no other. False: stop this pass."""
        try:
            row = self._site.store.get(session_id)
            if row.changed_at < seen.at - _SETTLE_S:
                await self._settle(row, seen)
        except (Conflict, NotFound) as moved:
            log.info("Session %s moved on meanwhile: %s", session_id, moved)
        except (HubRefused, EngineRefused) as refusal:
            log.warning("Session %s could not be settled now: %s", session_id, refusal)
        except (EngineUnavailable, HubUnavailable) as silence:
            log.warning("Reconciling stops here: %s", silence)
            return False
        return True

    async def _settle(self, row: SessionRow, seen: Seen) -> None:
        server = seen.server(row)
        between = server is not None and server.pending is not None
        if between and time.time() - row.changed_at < _HUB_AT_WORK_S:
            return  # the hub is at it
        if row.status in LAUNCHING:
            await self._settle_launch(row, seen)
        elif row.status == Status.RUNNING and not seen.running(row.id):
            why = Why("Its container ended by itself.", "container_gone")
            self._launcher.end(row.id, Status.TERMINATED, why, by="service")
            await self._site.hub.stop_server(row.user, row.server_name)
        elif row.status == Status.RUNNING and server is None:
            await self._settle_forgotten(row)
        elif row.status in STOPPING:
            await self._launcher.finish_stop(row, stuck=between)

    async def _settle_forgotten(self, row: SessionRow) -> None:
        """It runs, but the hub has lost it: nobody can reach it any more. Looked at twice."""
        if row.id not in self._forgotten:
            self._forgotten.add(row.id)
            return
        if await self._site.hub.server(row.user, row.server_name) is None:
            why = Why("The hub had lost its server; it is started again.", "hub_lost_it")
            self._site.store.transition(row.id, Status.SCHEDULED, why, by="service")
        self._forgotten.discard(row.id)

    async def _settle_launch(self, row: SessionRow, seen: Seen) -> None:
        """The spawner is done and its report was lost, or it has died."""
        server = seen.server(row)
        if server is not None and server.ready and seen.running(row.id):
            why = Why("Found running.", "found")
            self._site.store.transition(
                row.id, Status.RUNNING, why, by="service", running_at=time.time()
            )
            return
        if self._site.store.note_attempt(row.id) < _START_ATTEMPTS:
            why = Why("Its start was interrupted; it is started again.", "restarted")
            self._site.store.transition(row.id, Status.SCHEDULED, why, by="service")
            return
        await self._launcher.remove_container(row)
        why = Why(f"It was interrupted {_START_ATTEMPTS} times while starting.", "interrupted")
        self._site.store.transition(row.id, Status.ERROR, why, by="service")

    async def _remove_orphans(self, seen: Seen) -> None:
        """Remove containers that have had no live session for a while."""
        live = {row.id for row in self._site.store.find(statuses=LIVE)}
        orphans = {
            container.container_id
            for session_id, containers in seen.containers.items()
            for container in containers
            if session_id not in live
        }
        if orphans and not self._site.store.find(limit=1):
            log.error("%d containers run, but the database is empty: left alone.", len(orphans))
            return
        self._orphans = {key: self._orphans.get(key, seen.at) for key in orphans}
        for container_id, since in self._orphans.items():
            if seen.at - since < self.orphan_grace_s:
                continue
            log.warning("Removing container %.12s: no live session.", container_id)
            try:
                await self._site.engine.remove(container_id)
            except (EngineRefused, EngineUnavailable) as error:
                log.warning("Container %.12s was not removed: %s", container_id, error)

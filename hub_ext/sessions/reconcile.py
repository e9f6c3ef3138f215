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
from hub_ext.nodes.engine import EngineUnavailable, SessionContainer
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.status import LAUNCHING, LIVE, Status
from hub_ext.sessions.store import Why
from hub_ext.site import Site

log = logging.getLogger(__name__)

_PERIOD_S = 60.0
_UNSETTLED_PERIOD_S = 5.0
"""While something is between two states, look sooner."""
_SETTLE_S = 15.0
"""A change that young may still be on its way."""
_ORPHAN_GRACE_S = 60.0
_START_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """What there really is: containers by session, servers by (user, name)."""

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

    def __init__(self, site: Site, launcher: Launcher) -> None:
        self._site = site
        self._launcher = launcher

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
        self._stop_overdue()
        await inventory.refresh(self._site)
        try:
            listed = await self._site.engine.containers()
            servers = await self._site.hub.active_servers()
        except (EngineUnavailable, HubUnavailable, HubRefused) as error:
            log.warning("Not reconciled now: %s", error)
            return
        containers: dict[str, list[SessionContainer]] = {}
        for container in listed:
            containers.setdefault(container.session_id, []).append(container)
        seen = Seen(containers, servers)
        live = self._site.store.find(statuses=LIVE)
        for row in live:
            try:
                await self._settle(row, seen)
            except (Conflict, NotFound) as moved:
                log.info("Session %s moved on meanwhile: %s", row.id, moved)
            except EngineUnavailable:
                return
        await self._remove_orphans(seen, {row.id for row in live})

    def _unsettled(self) -> bool:
        waiting = LAUNCHING | {Status.TERMINATING}
        return bool(self._site.store.find(statuses=waiting, limit=1))

    async def _settle(self, row: SessionRow, seen: Seen) -> None:
        if time.time() - row.changed_at < _SETTLE_S:
            return
        if row.status in LAUNCHING:
            await self._settle_launch(row, seen)
        elif row.status == Status.RUNNING and not seen.running(row.id):
            why = Why("Its container ended by itself.", "container_gone")
            self._launcher.end(row.id, Status.TERMINATED, why, by="service")
            await self._site.hub.stop_server(row.user, row.server_name)
        elif row.status == Status.RUNNING and seen.server(row) is None:
            log.info("The hub has forgotten %s; asking it to take the container over.", row.id)
            await self._site.hub.start_server(row.user, row.server_name, row.name, row.options)
        elif row.status == Status.TERMINATING:
            await self._settle_stop(row, seen)

    async def _settle_launch(self, row: SessionRow, seen: Seen) -> None:
        """A spawner is at work, or it is done and its report was lost, or it has died."""
        server = seen.server(row)
        if server is not None and server.pending == "spawn":
            return
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

    async def _settle_stop(self, row: SessionRow, seen: Seen) -> None:
        if row.id in seen.containers:
            await self._launcher.remove_container(row)
        self._launcher.end(row.id, Status.TERMINATED, Why(row.reason_message), by="service")

    async def _remove_orphans(self, seen: Seen, live: set[str]) -> None:
        for session_id, containers in seen.containers.items():
            for container in containers:
                age_s = time.time() - container.created_at
                if session_id in live or age_s < _ORPHAN_GRACE_S:
                    continue
                log.warning("Removing container %.12s: no live session.", container.container_id)
                await self._site.engine.remove(container.container_id)

    def _stop_overdue(self) -> None:
        """Stop sessions whose lifetime is over."""
        for row in self._site.store.find(statuses={Status.RUNNING}):
            started = row.running_at or row.changed_at
            if row.lifetime_s and time.time() > started + row.lifetime_s:
                why = Why(f"Its lifetime of {row.lifetime_s / 60:g} minutes is over.", "lifetime")
                self._launcher.stop(row.id, why, by="service")

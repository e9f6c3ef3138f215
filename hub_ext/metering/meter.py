"""Measures all running sessions every few seconds, and keeps what it found."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import select

from hub_ext.db.models import DeviceRow, SessionRow, SliceRow
from hub_ext.gpu.devices import GpuProcess, MeasuredGpus
from hub_ext.metering.cgroups import Cgroups, CgroupUse
from hub_ext.metering.measure import Held, SliceUse, gpu_busy, memory_mib, slice_uses
from hub_ext.metering.queries import last_computed
from hub_ext.metering.samples import Sample
from hub_ext.metering.storing import MinuteStore
from hub_ext.metering.watchdog import Watchdog
from hub_ext.sessions.status import Status
from hub_ext.site import Site

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Metered:
    """A running session; ``slices``: of real devices."""

    id: str
    order: int
    user: str
    server_name: str
    container_id: str | None
    cpu_milli: int
    slices: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """read: the devices (UUIDs) whose processes are known; by container id: its processes,
    and what it used so far."""

    at: float
    read: frozenset[str]
    processes: Mapping[str, list[GpuProcess]]
    busy: Mapping[str, float]
    containers: Mapping[str, CgroupUse]


class Meter:
    """One for all nodes: they are of this machine.

    in_use: called with user and server name of a session that computes, and when (Unix s);
    look_again: when who is beyond his slice has changed.
    """

    def __init__(
        self,
        site: Site,
        in_use: Callable[[str, str, float], None],
        look_again: Callable[[], None],
        cgroups: Cgroups | None = None,
    ) -> None:
        self._site = site
        self._in_use = in_use
        self._cgroups = cgroups or Cgroups()
        self._watchdog = Watchdog(site, look_again)
        self._store = MinuteStore(site.database)
        self._cpu_before: dict[str, tuple[float, int]] = {}
        """By container: when (monotonic s) it had used how many µs."""

    async def run(self) -> None:
        """For ever. A look that takes long delays the next; two never overlap."""
        recalled = False
        while True:
            try:
                if not recalled:
                    self.recall()
                    recalled = True
                await self.once()
            except Exception:
                log.exception("Metering failed; it is tried again.")
            await asyncio.sleep(self._site.policy.meter_interval_s)

    def recall(self) -> None:
        """Who computed before a restart was in use then."""
        floor = self._site.policy.idle_below
        if floor:
            with self._site.database.transaction() as db:
                found = last_computed(db, floor)
            for user, server_name, at in found:
                self._in_use(user, server_name, at)

    async def once(self) -> None:
        """One look at all running sessions."""
        sessions = read_metered(self._site)
        reading = await asyncio.to_thread(self._read, sessions)
        uses = {each.id: self._uses(each, reading) for each in sessions if each.slices}
        samples = {each.id: self._sample(each, uses.get(each.id), reading) for each in sessions}
        self._site.meter.add(samples)
        self._watchdog.look(uses)
        interval_s = self._site.policy.meter_interval_s
        full = self._store.add({each.order: samples[each.id] for each in sessions}, interval_s)
        if full is not None:
            self._note_activity(sessions, full)
            await asyncio.to_thread(self._store.write, full, reading.at)

    def _read(self, sessions: list[Metered]) -> _Reading:
        """Of the devices and of the control groups; blocks."""
        containers = {each.container_id for each in sessions if each.container_id}
        self._cgroups.forget(containers)
        found = {key: self._cgroups.use(key) for key in containers}
        listed: dict[str, list[GpuProcess]] = {}
        busy: dict[str, float] = {}
        sources = [each for each in self._site.nodes.values() if isinstance(each, MeasuredGpus)]
        if any(each.slices for each in sessions):
            for source in sources:
                listed |= source.processes() or {}
                busy |= source.busy()
        processes: dict[str, list[GpuProcess]] = {}
        for process in chain.from_iterable(listed.values()):
            container = self._cgroups.container_of(process.pid)
            if container in containers:
                processes.setdefault(container, []).append(process)
        used = {key: use for key, use in found.items() if use is not None}
        return _Reading(time.time(), frozenset(listed), processes, busy, used)

    def _uses(self, session: Metered, reading: _Reading) -> list[SliceUse]:
        mine = reading.processes.get(session.container_id or "", [])
        return slice_uses(session.slices, mine, reading.busy, reading.read)

    def _sample(self, session: Metered, uses: list[SliceUse] | None, reading: _Reading) -> Sample:
        container = reading.containers.get(session.container_id or "")
        return Sample(
            reading.at,
            gpu_memory_mib=None if uses is None else memory_mib(uses),
            gpu=None if uses is None else gpu_busy(uses),
            cpu_milli=None if container is None else self._cpu(session, container),
            memory_mib=None if container is None else container.memory_mib,
        )

    def _cpu(self, session: Metered, use: CgroupUse) -> int | None:
        """milli-CPU since the last look; None at the first."""
        key, now = session.container_id or "", time.monotonic()
        before = self._cpu_before.get(key)
        self._cpu_before[key] = (now, use.cpu_us)
        if before is None or now <= before[0] or use.cpu_us < before[1]:
            return None
        return round((use.cpu_us - before[1]) / (now - before[0]) / 1000)

    def _note_activity(self, sessions: list[Metered], means: Mapping[int, Sample]) -> None:
        """Who computes is not idle, whatever his kernels say (DESIGN 3)."""
        floor = self._site.policy.idle_below
        alive = {each.container_id for each in sessions}
        self._cpu_before = {key: at for key, at in self._cpu_before.items() if key in alive}
        for each in sessions:
            mean = means.get(each.order)
            if not floor or mean is None:
                continue
            cpu = (mean.cpu_milli or 0) / max(1, each.cpu_milli)
            if max(mean.gpu or 0.0, cpu) >= floor:
                self._in_use(each.user, each.server_name, time.time())


def read_metered(site: Site) -> list[Metered]:
    """The running sessions with their slices of real devices."""
    columns = (
        *(SessionRow.id, SessionRow.order, SessionRow.user, SessionRow.server_name),
        *(SessionRow.container_id, SessionRow.cpu_milli),
    )
    slices: dict[str, list[Held]] = {}
    held = (
        select(SliceRow.session_id, SliceRow.uuid, SliceRow.milli, SliceRow.memory_mib)
        .add_columns(DeviceRow.capacity_milli, DeviceRow.mig_profile)
        .join(DeviceRow, (DeviceRow.node == SliceRow.node) & (DeviceRow.device == SliceRow.device))
        .where(SliceRow.simulated.is_(False))
    )
    with site.database.transaction() as db:
        for session_id, uuid, milli, mib, capacity, profile in db.execute(held):
            # whoever holds a part of a MIG instance has all of it
            part = Held(uuid, capacity if profile else milli, capacity, mib)
            slices.setdefault(session_id, []).append(part)
        query = select(*columns).where(SessionRow.status == Status.RUNNING)
        return [Metered(*row, slices=tuple(slices.get(row[0], ()))) for row in db.execute(query)]

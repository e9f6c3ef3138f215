"""What the nodes have, written to the database: size, devices, images.

What an admin has set for a node (drained, group, labels) is not touched here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from hub_ext.db.models import DeviceRow, NodeRow, SessionRow
from hub_ext.images.catalogue import CatalogueImage
from hub_ext.nodes.device_rows import read_devices, write_devices
from hub_ext.nodes.engine import EngineRefused, EngineUnavailable, Machine
from hub_ext.sessions.changes import Change
from hub_ext.site import Site

_FRESH_S = 2.0
"""How long the catalogue is not read again."""
_PATIENCE_S = 2.0
"""How long a page waits for a busy engine before it shows the catalogue as it was."""

_LIVE = SessionRow.ended_at.is_(None)

log = logging.getLogger(__name__)


async def refresh(site: Site) -> None:
    """Look at the nodes again. An engine that is away marks them; they lose nothing."""
    before = _facts(site)
    await _refresh(site)
    if _facts(site) != before:
        site.changes.announce_nodes()


def _facts(site: Site) -> list[tuple[object, ...]]:
    """What sessions are placed by."""
    nodes = select(
        *(NodeRow.name, NodeRow.cpu_milli, NodeRow.memory_mib, NodeRow.problem),
        *(NodeRow.gpu_problem, NodeRow.driver),
    )
    devices = select(
        *(DeviceRow.node, DeviceRow.device, DeviceRow.memory_mib, DeviceRow.problem),
        *(DeviceRow.uuid, DeviceRow.capacity_milli),
    )
    with site.database.transaction() as db:
        found = [*db.execute(nodes), *db.execute(devices)]
    return sorted(tuple(row) for row in found)


async def _refresh(site: Site) -> None:
    try:
        machine = await site.engine.machine()
        images = await site.engine.images()
    except (EngineRefused, EngineUnavailable) as error:
        log.error("%s: %s", ", ".join(site.nodes), error)
        with site.database.transaction() as db:
            for row in db.scalars(select(NodeRow).where(NodeRow.name.in_(site.nodes))):
                row.problem = str(error)
        return
    found = await read_devices(site)
    _note_images(site, images)
    told: list[Change] = []
    with site.database.transaction() as db:
        for name in site.nodes:
            _write_node(db, site, name, machine)
            told += write_devices(db, name, found[name], machine.gpu_problem)
        _retire_nodes(db, site.nodes)
    for change in told:
        site.changes.announce(change)


async def refresh_images(site: Site, *, unless_known: str = "") -> None:
    """Read the catalogue again, unless it was read just now or ``unless_known`` is in it.

    An engine that does not answer leaves the catalogue as it was.
    """
    if unless_known in site.images or time.time() - site.images_read_at < _FRESH_S:
        return
    try:
        async with asyncio.timeout(_PATIENCE_S):
            _note_images(site, await site.engine.images())
    except (EngineRefused, EngineUnavailable, TimeoutError) as error:
        log.error("%s: %s", ", ".join(site.nodes), error)


def _note_images(site: Site, images: list[CatalogueImage]) -> None:
    site.images = {image.reference: image for image in images}
    site.images_read_at = time.time()


def _write_node(db: Session, site: Site, name: str, machine: Machine) -> None:
    """CPU is booked up to ``cpu_overcommit`` times; some memory stays with the system.

    Several nodes of one machine share it equally.
    """
    row = db.get(NodeRow, name)
    if row is None:
        row = NodeRow(name=name)
        db.add(row)
    row.cpu_milli = int(machine.cpu_milli * site.policy.cpu_overcommit) // len(site.nodes)
    memory_mib = max(0, machine.memory_mib - site.policy.reserved_memory_mib)
    row.memory_mib = memory_mib // len(site.nodes)
    row.problem = ""
    row.seen_at = time.time()
    db.flush()


def _retire_nodes(db: Session, present: Collection[str]) -> None:
    """Forget nodes that have left the site; one that is still booked stays, out of service."""
    for row in db.scalars(select(NodeRow).where(NodeRow.name.not_in(present))).all():
        if db.scalar(select(exists().where(SessionRow.node == row.name, _LIVE))):
            row.problem = "it is no longer part of this site"
        else:
            db.execute(delete(DeviceRow).where(DeviceRow.node == row.name))
            db.execute(delete(NodeRow).where(NodeRow.name == row.name))

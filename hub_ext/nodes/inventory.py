"""What the node has, written to the database: size, devices, images."""

from __future__ import annotations

import asyncio
import logging
import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import DeviceRow, NodeRow
from hub_ext.gpu.devices import GpuDevice
from hub_ext.images.catalogue import CatalogueImage
from hub_ext.nodes.engine import EngineRefused, EngineUnavailable, Machine
from hub_ext.site import Site

_FRESH_S = 2.0
"""How long the catalogue is not read again."""
_PATIENCE_S = 2.0
"""How long a page waits for a busy engine before it shows the catalogue as it was."""

log = logging.getLogger(__name__)


async def refresh(site: Site) -> None:
    """Look at the node again. An engine that is away marks the node; it loses nothing."""
    try:
        machine = await site.engine.machine()
        images = await site.engine.images()
    except (EngineRefused, EngineUnavailable) as error:
        log.error("Node %s: %s", site.node, error)
        with site.database.transaction() as db:
            row = db.get(NodeRow, site.node)
            if row is not None:
                row.problem = str(error)
        return
    devices = await asyncio.get_running_loop().run_in_executor(None, site.gpus.devices)
    _note_images(site, images)
    with site.database.transaction() as db:
        _write_node(db, site, machine)
        for row in db.scalars(select(NodeRow).where(NodeRow.name != site.node)):
            row.problem = "it is no longer part of this site"
        _write_devices(db, site.node, devices)


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
        log.error("Node %s: %s", site.node, error)


def _note_images(site: Site, images: list[CatalogueImage]) -> None:
    site.images = {image.reference: image for image in images}
    site.images_read_at = time.time()


def _write_node(db: Session, site: Site, machine: Machine) -> None:
    """CPU is booked up to ``cpu_overcommit`` times; some memory stays with the system."""
    row = db.get(NodeRow, site.node)
    if row is None:
        row = NodeRow(name=site.node)
        db.add(row)
    row.cpu_milli = int(machine.cpu_milli * site.policy.cpu_overcommit)
    row.memory_mib = max(0, machine.memory_mib - site.policy.reserved_memory_mib)
    row.problem = ""
    row.seen_at = time.time()
    db.flush()


def _write_devices(db: Session, node: str, devices: list[GpuDevice]) -> None:
    """Devices are known by UUID; one that has vanished stays listed, with its problem.

    A device keeps its number for good, whatever order NVML lists it in: bookings name it.
    """
    known = db.scalars(select(DeviceRow).where(DeviceRow.node == node)).all()
    taken = {row.device for row in known}
    rows = {row.uuid: row for row in known}
    for device in devices:
        row = rows.pop(device.uuid, None)
        if row is None:
            number = device.index
            while number in taken:
                number += 1
            taken.add(number)
            row = DeviceRow(node=node, device=number, uuid=device.uuid)
            db.add(row)
        row.model = device.model
        row.memory_mib = device.memory_mib
        row.simulated = device.simulated
        row.problem = device.problem
    for row in rows.values():
        if row.simulated:
            db.delete(row)
        else:
            row.problem = "The device is gone: NVML no longer lists it."

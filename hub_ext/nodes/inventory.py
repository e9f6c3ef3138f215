"""What the node has, written to the database: size, devices, images."""

from __future__ import annotations

import asyncio
import logging
import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import DeviceRow, NodeRow
from hub_ext.gpu.devices import GpuDevice
from hub_ext.nodes.engine import EngineUnavailable, Machine
from hub_ext.site import Site

log = logging.getLogger(__name__)


async def refresh(site: Site) -> None:
    """Look at the node again. An engine that is away marks the node; it loses nothing."""
    try:
        machine = await site.engine.machine()
        images = await site.engine.images()
    except EngineUnavailable as error:
        log.error("Node %s: %s", site.node, error)
        with site.database.transaction() as db:
            row = db.get(NodeRow, site.node)
            if row is not None:
                row.problem = str(error)
        return
    devices = await asyncio.get_running_loop().run_in_executor(None, site.gpus.devices)
    site.images = {image.reference: image for image in images}
    with site.database.transaction() as db:
        _write_node(db, site, machine)
        _write_devices(db, site.node, devices)


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
    """Devices are known by UUID; one that has vanished stays listed, with its problem."""
    rows = {row.device: row for row in db.scalars(select(DeviceRow).where(DeviceRow.node == node))}
    for device in devices:
        row = rows.pop(device.index, None)
        if row is None:
            row = DeviceRow(node=node, device=device.index)
            db.add(row)
        row.uuid = device.uuid
        row.model = device.model
        row.memory_mib = device.memory_mib
        row.simulated = device.simulated
        row.problem = device.problem
    for row in rows.values():
        if row.simulated:
            db.delete(row)
        else:
            row.problem = "The device is gone: NVML no longer lists it."

"""The GPUs of this node: what NVML sees, and whether sessions can be given and kept in them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from hub_ext.db.connection import Database, DatabaseError
from hub_ext.db.models import DeviceRow, NodeRow, ResourceGroupRow
from hub_ext.doctor.engine import engine_info
from hub_ext.doctor.finding import Deployment, Finding, fail, ok, warn
from hub_ext.gpu.devices import GpuDevice
from hub_ext.gpu.enforcers import DEFAULT, ENFORCERS
from hub_ext.gpu.enforcers.choice import device_use, enforcer_of
from hub_ext.gpu.mps_daemon import PROGRAM, MpsDaemon, MpsUnavailable
from hub_ext.gpu.nvml import NvmlGpus
from hub_ext.gpu.simulated import parse_simulated_gpus
from hub_ext.metering.cgroups import Cgroups
from hub_ext.nodes.docker_engine import runtime_problem

OLDEST_MPS_DRIVER = 495
"""CUDA 11.5, the first whose MPS limits memory, needs it."""


def gpus(deployment: Deployment) -> Iterator[Finding]:
    """Devices that sessions will get: simulated ones, or what NVML reports. None is fine."""
    spec = str(deployment.started_with.get("simulate_gpus") or "")
    if spec:
        try:
            nodes = parse_simulated_gpus(spec)
        except ValueError as error:
            yield fail("gpus", str(error), "Start 'up' again with a right --simulate-gpus.")
            return
        yield ok("gpus", f"{sum(map(len, nodes))} simulated ({spec})")
        return
    source = NvmlGpus()
    devices = source.devices()
    if not devices:
        yield ok("gpus", "None on this machine (no NVIDIA library); sessions run on CPU")
        return
    yield from _inventory(devices, source.driver())
    yield from _runtime(deployment)
    yield from _enforcers(deployment, devices, source.driver())
    yield from _metering(source)


def _inventory(devices: list[GpuDevice], driver: str) -> Iterator[Finding]:
    sick = [f"GPU {device.index}: {device.problem}" for device in devices if device.problem]
    if sick:
        yield warn(
            "gpus", "; ".join(sick), "Such devices get no sessions. See nvidia-smi and dmesg."
        )
    names = {f"{each.model} MIG {each.mig_profile}".removesuffix(" MIG ") for each in devices}
    yield ok("gpus", f"{len(devices)}, driver {driver}: {', '.join(sorted(names))}")


def _runtime(deployment: Deployment) -> Iterator[Finding]:
    """Whether containers can be given them."""
    if deployment.started_with.get("engine") == "process":
        return
    info = engine_info()
    if info is None:
        return  # said by the engine's own check
    problem = runtime_problem(info)
    if problem:
        yield fail(
            "gpu runtime",
            f"{problem}. Sessions with a GPU are not started.",
            "Install the NVIDIA Container Toolkit, run 'nvidia-ctk runtime configure"
            " --runtime=docker' and restart Docker.",
        )
    else:
        yield ok("gpu runtime", "Docker can hand GPUs to sessions")


def _enforcers(deployment: Deployment, devices: list[GpuDevice], driver: str) -> Iterator[Finding]:
    """What keeps sessions inside their slices here, and whether it works."""
    chosen = _chosen(deployment)
    used = {device_use(_row(device), chosen).enforcer for device in devices}
    for name in ENFORCERS:
        if name not in used:
            continue
        each = ENFORCERS[name]
        yield ok("enforcer", f"{name}: memory: {each.memory} Computing: {each.compute}")
        if name == "mps":
            yield from _mps(deployment, devices, driver)
        if name == "mig" and not all(device.mig_profile for device in devices):
            yield warn(
                "enforcer",
                "MIG is chosen, and some GPUs are not split: they get no sessions.",
                "Split them (nvidia-smi mig), or choose another enforcer for the node.",
            )


def _mps(deployment: Deployment, devices: list[GpuDevice], driver: str) -> Iterator[Finding]:
    if shutil.which(PROGRAM) is None:
        yield fail(
            "mps",
            f"{PROGRAM} is not on the PATH: devices under MPS get no sessions.",
            "Install CUDA MPS, which comes with the driver, or choose another enforcer:"
            " ./apportion node enforcer NODE timeslice.",
        )
        return
    major = driver.partition(".")[0]
    if major.isdecimal() and int(major) < OLDEST_MPS_DRIVER:
        yield fail(
            "mps",
            f"Driver {driver} has an MPS that limits no memory (CUDA 11.5 is the first that does).",
            "Install a newer driver, or choose another enforcer.",
        )
    directory = deployment.data / "mps"
    for device in devices:
        if device.mig_profile or not (directory / device.uuid).is_dir():
            continue
        try:
            MpsDaemon(directory, device.uuid).check()
        except MpsUnavailable as error:
            yield warn(
                "mps",
                f"GPU {device.index}: {error}",
                f"The service starts it again; see {directory / device.uuid}/daemon.log.",
            )
        else:
            yield ok("mps", f"GPU {device.index}: its daemon answers")


def _metering(source: NvmlGpus) -> Iterator[Finding]:
    """Whether what sessions use can be told apart."""
    if source.processes() is None:
        yield warn("metering", "NVML tells of no processes.", "See nvidia-smi.")
    elif not Path("/sys/fs/cgroup").is_dir():
        yield warn("metering", "No control groups.", "Mount /sys/fs/cgroup: CPU is not metered.")
    else:
        ours = Cgroups().container_of(os.getpid())
        where = " (this runs in a container: give it the node's process ids)" if ours else ""
        yield ok("metering", f"GPU processes and control groups can be read{where}")


def _chosen(deployment: Deployment) -> str:
    """The enforcer of this node, as far as the database says."""
    try:
        with Database(deployment.db_url).transaction() as db:
            node = db.scalar(select(NodeRow).order_by(NodeRow.name).limit(1))
            if node is None:
                return DEFAULT
            group = db.get(ResourceGroupRow, node.resource_group)
            return enforcer_of(node.enforcer, group.enforcer if group else None, DEFAULT)
    except (DatabaseError, SQLAlchemyError):
        return DEFAULT


def _row(device: GpuDevice) -> DeviceRow:
    return DeviceRow(simulated=False, mig_profile=device.mig_profile)

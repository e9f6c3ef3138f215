"""What a spawner is given for a granted session: node, slice, mounts, environment."""

from __future__ import annotations

from typing import Any

from hub_ext.db.models import SessionRow
from hub_ext.gpu.enforcers import ENFORCERS
from hub_ext.gpu.enforcers.enforcer import HeldSlice, Place, SliceSettings
from hub_ext.nodes.docker_engine import DEPLOYMENT_LABEL, SESSION_LABEL
from hub_ext.sessions.status import GRANTED, Status
from hub_ext.site import Site

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Read by libraries that would otherwise see the host's cores (DESIGN 5)."""


def grant_json(site: Site, row: SessionRow) -> dict[str, Any] | None:
    """The grant, or None while nothing is booked or its folders are not ready (see
    hub_ext.folders.handover). Milli-CPU, MiB; mounts are host paths.
    """
    if Status(row.status) not in GRANTED or row.node is None:
        return None
    if not all(mount["source"] for mount in row.mounts):
        return None
    image = site.images.get(row.image)
    held = [
        HeldSlice(part.device, part.uuid, part.milli, part.memory_mib)
        for part in row.slices
        if not part.simulated
    ]
    real = [part.uuid for part in held]
    enforcer = ENFORCERS.get(row.slices[0].enforcer) if held else None
    kept = SliceSettings() if enforcer is None else enforcer.settings(held, place_of(site, row.id))
    return {
        "session_id": row.id,
        "run_id": row.run_id,
        "node": row.node,
        "engine_url": "",
        "image": row.image,
        "container_name": f"apportion-{site.deployment_id}-{row.id[:12]}",
        "network": site.policy.network,
        "user": site.policy.user_ids,
        "env": _environment(site, row, real) | dict(kept.env),
        "mounts": [
            *(
                _mount(mount["source"], mount["target"], mount["mode"] == "ro")
                for mount in row.mounts
            ),
            *(_mount(str(each.source), each.target, each.read_only) for each in kept.mounts),
        ],
        "ipc_mode": "host" if kept.ipc_host else "private",
        "labels": {DEPLOYMENT_LABEL: site.deployment_id, SESSION_LABEL: row.id},
        "cpu_milli": row.cpu_milli,
        "memory_mib": row.memory_mib,
        "shm_mib": max(64, row.memory_mib // 4),
        "pids_limit": site.policy.pids_limit,
        "device_uuids": real,
        "simulated": any(part.simulated for part in row.slices),
        "working_dir": "/home/work",
        "sudo": image is not None and image.sudo,
    }


def place_of(site: Site, session_id: str) -> Place:
    """Where enforcers find what they mount."""
    session_dir = site.data_dir / "enforcement" / session_id
    return Place(site.mps_dir, session_dir, site.policy.hami_library)


def _mount(source: str, target: str, read_only: bool) -> dict[str, Any]:
    return {"source": source, "target": target, "read_only": read_only}


def _environment(site: Site, row: SessionRow, uuids: list[str]) -> dict[str, str]:
    threads = str(max(1, -(-row.cpu_milli // 1000)))
    return {
        "APPORTION_SESSION_ID": row.id,
        "APPORTION_SESSION_NAME": row.name,
        "APPORTION_PROJECT": row.project,
        "APPORTION_DEPLOYMENT": site.deployment_id,
        "APPORTION_FGPU": f"{site.policy.unit.fgpu(row.gpu_milli):g}",
        "APPORTION_GPU_MEMORY_MIB": str(row.gpu_memory_mib),
        "APPORTION_PUBLIC_URL": site.policy.public_url,
        "JUPYTERHUB_ACTIVITY_INTERVAL": "60",
        "NVIDIA_VISIBLE_DEVICES": ",".join(uuids) or "void",
        "USER": "work",
        "HOME": "/home/work",
    } | dict.fromkeys(_THREAD_VARIABLES, threads)

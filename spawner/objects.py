"""Pure builders: a grant in, the engine's settings for one container out.

The only place that decides how a session's container is hardened (DESIGN, "Security"). Nothing
here formats a template: text that a user chose is passed on as it is, never through str.format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docker.types import DeviceRequest, LogConfig
from docker.types import Mount as DockerMount

from .grant import Grant, Mount

SESSION_PORT = 8888
MIB = 1024 * 1024

#: What `sudo` itself and a package manager need; nothing that reaches beyond the container.
SUDO_CAPABILITIES = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SYS_CHROOT",
)

#: Two files of 10 MiB at most: a chatty kernel must not fill the node's disk.
LOG_LIMITS = {"max-size": "10m", "max-file": "2"}


def container_environment(
    grant: Grant, hub_env: dict[str, Any], addresses: Mapping[str, str]
) -> dict[str, str]:
    """The container's environment: the grant's, then the hub's, which always wins.

    ``addresses``: variables with the hub's addresses for this server.
    """
    env = dict(grant.env)
    env.update({key: str(value) for key, value in hub_env.items() if value is not None})
    env.update(addresses)
    env["APPORTION_SESSION_ID"] = grant.session_id
    return env


def host_config(grant: Grant) -> dict[str, Any]:
    """Keyword arguments of docker-py's ``create_host_config`` for this grant."""
    config: dict[str, Any] = {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": grant.pids_limit,
        "mem_limit": grant.memory_mib * MIB,
        # equal to mem_limit: a session gets no swap on top of its memory
        "memswap_limit": grant.memory_mib * MIB,
        "nano_cpus": grant.cpu_milli * 1_000_000,
        "init": True,
        "ipc_mode": grant.ipc_mode,
        "network_mode": grant.network or "bridge",
        "mounts": [_bind(mount) for mount in grant.mounts],
        "log_config": LogConfig(type=LogConfig.types.JSON, config=dict(LOG_LIMITS)),
        "restart_policy": {"Name": "no", "MaximumRetryCount": 0},
    }
    if grant.ipc_mode == "private":  # else it is the node's
        config["shm_size"] = grant.shm_mib * MIB
    if grant.sudo:
        config["cap_add"] = list(SUDO_CAPABILITIES)
        del config["security_opt"]
    if grant.device_uuids and not grant.simulated:
        config["device_requests"] = [
            DeviceRequest(
                driver="nvidia", device_ids=list(grant.device_uuids), capabilities=[["gpu"]]
            )
        ]
    return config


def container_config(
    grant: Grant, env: dict[str, str], command: list[str] | None = None
) -> dict[str, Any]:
    """Keyword arguments of docker-py's ``create_container``, without the host config.

    ``command`` None runs the image's own; it costs no look at the image.
    """
    config: dict[str, Any] = {
        "image": grant.image,
        "name": grant.container_name,
        "user": grant.user,
        "environment": env,
        "labels": dict(grant.labels),
        "working_dir": grant.working_dir,
        "hostname": grant.container_name[:63].rstrip(".-_"),
        "stop_signal": "SIGTERM",
    }
    if command:
        config["command"] = command
    return config


def _bind(mount: Mount) -> DockerMount:
    return DockerMount(
        target=mount.target,
        source=mount.source,
        type="bind",
        read_only=mount.read_only,
        propagation="rprivate",
    )

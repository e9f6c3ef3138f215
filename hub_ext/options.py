"""The options of the service: its traits, as ``jupyterhub_config.py`` sets them."""

from __future__ import annotations

import math
import os
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from traitlets import Bool, CaselessStrEnum, Float, Int, TraitError, Unicode, validate
from traitlets.config import Application

from hub_ext.fgpu import FgpuUnit
from hub_ext.gpu.enforcers import DEFAULT, ENFORCERS
from hub_ext.gpu.simulated import parse_simulated_gpus
from hub_ext.images.saved_names import is_registry
from hub_ext.site import Policy

_LOCALTIME = Path("/etc/localtime")


class ServiceOptions(Application):
    """What a site decides. Set as ``c.ApportionService.NAME``."""

    config_file = Unicode(help="The jupyterhub_config.py to read traits from.").tag(config=True)
    data_dir = Unicode(
        help="Directory of everything this deployment keeps. Example: /srv/apportion"
    ).tag(config=True)
    db_url = Unicode(
        help="""Database of the service. Default: SQLite in the data directory.

        Example: postgresql://apportion@db.example.org/apportion
        """
    ).tag(config=True)
    engine = CaselessStrEnum(
        ["docker", "process"],
        default_value="docker",
        help="What runs sessions: Docker, or local processes (no isolation, trial only).",
    ).tag(config=True)
    docker_url = Unicode(
        help="Docker Engine to use; default: DOCKER_HOST or the local socket."
    ).tag(config=True)
    network = Unicode(help="Docker network of the sessions.").tag(config=True)
    node_name = Unicode("local", help="Name of this machine as a node.").tag(config=True)
    simulate_gpus = Unicode(
        help="""Simulated GPUs instead of real ones, as in 2x16GiB or 2x16GiB,1x24GiB.

        With a slash, as in 8x16GiB / 8x16GiB, this machine appears as several nodes NAME-1,
        NAME-2, each with an equal share of its cores and memory: a whole lab to try things on.
        """
    ).tag(config=True)
    default_enforcer = CaselessStrEnum(
        list(ENFORCERS),
        default_value=DEFAULT,
        help="""What keeps sessions inside their slices of real GPUs, on nodes for which neither
        they nor their resource group say otherwise: see docs/enforcers.md.
        """,
    ).tag(config=True)
    hami_library = Unicode(
        help="HAMi-core's libvgpu.so on this node, for the enforcer hami. Default: none."
    ).tag(config=True)
    meter_interval_s = Float(
        5.0, help="Seconds between two looks at what sessions use of GPUs, CPU and memory."
    ).tag(config=True)
    stop_over_gpu_memory = Bool(
        True,
        help="""Stop a session that holds more memory of a GPU than its slice has, after a warning
        of gpu_memory_grace_s. False: it is only warned.
        """,
    ).tag(config=True)
    gpu_memory_grace_s = Float(
        60.0, help="Seconds between the warning that a slice's memory is exceeded and the stop."
    ).tag(config=True)
    idle_below_percent = Float(
        5.0,
        help="""A session that computes on its GPU slice or its cores above this percentage is not
        idle, whatever its kernels say. 0: only activity in JupyterLab counts.
        """,
    ).tag(config=True)
    device_check_s = Float(10.0, help="Seconds between two looks at the state of real GPUs.").tag(
        config=True
    )
    fgpu_per_gpu = Int(1, help="How many fGPU make one physical GPU.").tag(config=True)
    fgpu_quantum = Float(0.1, help="The smallest step of a request, in fGPU.").tag(config=True)
    placement = CaselessStrEnum(
        ["fragmentation", "pack", "spread"],
        default_value="fragmentation",
        help="How node and device are chosen.",
    ).tag(config=True)
    cpu_overcommit = Float(
        4.0,
        help="""How many times the node's cores may be booked; notebooks idle most of the time.

        Each session is still limited to what it has booked.
        """,
    ).tag(config=True)
    reserved_memory_mib = Int(
        1024, help="MiB of a node's memory that are kept for the system."
    ).tag(config=True)
    max_pending_per_user = Int(100, help="How many sessions of a user may wait.").tag(config=True)
    pending_timeout_s = Float(
        0.0, help="Give up on a session that has waited so long, in seconds; 0: never."
    ).tag(config=True)
    reclaim_warning_s = Float(
        60.0,
        help="""Seconds between the warning that a session is reclaimed and its stop.

        The user sees the warning in JupyterLab and on the page, and can save meanwhile.
        """,
    ).tag(config=True)
    ending_warning_s = Float(
        600.0,
        help="""Seconds between the warning that a session's lifetime, its project's hours or its
        idle time are over and its stop.
        """,
    ).tag(config=True)
    group_prefix = Unicode(
        "course-",
        help="""Members of the hub's group PREFIX + NAME are members of the project NAME, those of
        PREFIX + NAME + "-instructors" its instructors. Default: course-ml101 for ml101.
        """,
    ).tag(config=True)
    timezone = Unicode(
        help="""Time zone in which opening hours are meant, as in Asia/Tokyo.

        Default: the machine's own.
        """
    ).tag(config=True)
    time_aware_k = Float(
        0.0,
        help="""How much past use lowers a project's over-quota share; 0: not at all.

        A weight share n becomes max(0, n + k (n - usage)), as in KAI. 1 is a good start.
        """,
    ).tag(config=True)
    usage_half_life_h = Float(
        168.0, help="Hours after which past use counts half in the time-aware share."
    ).tag(config=True)
    pids_limit = Int(4096, help="Processes and threads that a session may have.").tag(config=True)
    default_image = Unicode(help="Image of a request that names none.").tag(config=True)
    max_saved_images = Int(
        10, help="How many images made from sessions a user may have, with requests for more."
    ).tag(config=True)
    approve_own_images = Bool(
        False, help="Let users make images of their sessions without asking an admin."
    ).tag(config=True)
    registry = Unicode(
        help="""Registry to which images made from sessions are pushed; default: none.

        Example: registry.example.org/lab. Credentials are those of ``docker login`` in the
        account of the service.
        """
    ).tag(config=True)
    public_url = Unicode(help="URL under which users reach the hub.").tag(config=True)
    folder_root = Unicode(
        help="Directory of all folders, local or a mounted share. Default: DATA/folders."
    ).tag(config=True)
    trash_days = Float(
        30.0, help="Delete a folder for good after so many days in the trash; 0: never."
    ).tag(config=True)
    user_storage_quota_gib = Float(
        0.0,
        help="""GiB that all folders of one user may take together, his home included; 0: no limit.

        An admin gives single users more or less by the REST API (storage-quotas).
        """,
    ).tag(config=True)
    project_storage_quota_gib = Float(
        0.0, help="GiB that all folders of one project may take together; 0: no limit."
    ).tag(config=True)
    exit_with_parent = Bool(
        True, help="End when the hub that started this ends, so that the next one can start it."
    ).tag(config=True)

    @validate("simulate_gpus")
    def _check_simulated(self, proposal: Any) -> str:
        try:
            parse_simulated_gpus(proposal["value"])
        except ValueError as error:
            raise TraitError(str(error)) from None
        return str(proposal["value"])

    @validate("cpu_overcommit")
    def _check_overcommit(self, proposal: Any) -> float:
        if proposal["value"] < 1:
            raise TraitError("cpu_overcommit must be at least 1.")
        return float(proposal["value"])

    @validate(
        "reclaim_warning_s",
        "ending_warning_s",
        "time_aware_k",
        "trash_days",
        "user_storage_quota_gib",
        "project_storage_quota_gib",
        "gpu_memory_grace_s",
        "idle_below_percent",
    )
    def _check_not_negative(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] < math.inf:
            raise TraitError(f"{proposal['trait'].name} must be zero or more.")
        return float(proposal["value"])

    @validate("usage_half_life_h", "device_check_s", "meter_interval_s")
    def _check_positive(self, proposal: Any) -> float:
        if not 0 < proposal["value"] < math.inf:
            raise TraitError(f"{proposal['trait'].name} must be above zero.")
        return float(proposal["value"])

    @validate("registry")
    def _check_registry(self, proposal: Any) -> str:
        if proposal["value"] and not is_registry(proposal["value"]):
            raise TraitError(
                f"registry: {proposal['value']!r} is no HOST[:PORT][/PATH] in lower case."
            )
        return str(proposal["value"])

    @validate("hami_library")
    def _check_hami_library(self, proposal: Any) -> str:
        path = proposal["value"]
        if path and not (Path(path).is_absolute() and Path(path).is_file()):
            raise TraitError(f"hami_library: {path!r} is no file; give the full path of one.")
        return str(path)

    @validate("timezone")
    def _check_timezone(self, proposal: Any) -> str:
        try:
            if proposal["value"]:
                ZoneInfo(proposal["value"])
        except (ZoneInfoNotFoundError, ValueError):
            raise TraitError(
                f"timezone: there is no time zone {proposal['value']!r}; write it as in Asia/Tokyo."
            ) from None
        return str(proposal["value"])

    def policy(self) -> Policy:
        """What the options say, for those who decide."""
        return Policy(
            unit=FgpuUnit(self.fgpu_per_gpu, round(self.fgpu_quantum * 1000)),
            placement=self.placement,
            cpu_overcommit=self.cpu_overcommit,
            reserved_memory_mib=self.reserved_memory_mib,
            max_pending_per_user=self.max_pending_per_user,
            pending_timeout_s=self.pending_timeout_s,
            pids_limit=self.pids_limit,
            user_ids=_user_ids(),
            public_url=self.public_url,
            network=self.network,
            default_image=self.default_image,
            reclaim_warning_s=self.reclaim_warning_s,
            ending_warning_s=self.ending_warning_s,
            group_prefix=self.group_prefix,
            timezone=ZoneInfo(self.timezone) if self.timezone else _local_timezone(),
            trash_days=self.trash_days,
            user_storage_bytes=_bytes(self.user_storage_quota_gib),
            project_storage_bytes=_bytes(self.project_storage_quota_gib),
            time_aware_k=self.time_aware_k,
            usage_half_life_s=self.usage_half_life_h * 3600,
            max_saved_images=self.max_saved_images,
            approve_own_images=self.approve_own_images,
            registry=self.registry.rstrip("/"),
            containers=self.engine == "docker",
            device_check_s=self.device_check_s,
            meter_interval_s=self.meter_interval_s,
            stop_over_gpu_memory=self.stop_over_gpu_memory,
            gpu_memory_grace_s=self.gpu_memory_grace_s,
            idle_below=self.idle_below_percent / 100,
            default_enforcer=self.default_enforcer,
            hami_library=Path(self.hami_library) if self.hami_library else None,
        )


def _local_timezone() -> tzinfo:
    """The machine's time zone, with its summer time where /etc/localtime names it."""
    try:
        with _LOCALTIME.open("rb") as rules:
            return ZoneInfo.from_file(rules)
    except (OSError, ValueError):
        return UTC


def _bytes(gib: float) -> int | None:
    """None for 0: no limit."""
    return round(gib * 2**30) or None


def _user_ids() -> str:
    """uid:gid in a container: ``work``, or ours when we cannot give folders to ``work``."""
    if os.geteuid() in {0, 1000}:
        return "1000:1000"
    return f"{os.geteuid()}:{os.getegid() or 1000}"

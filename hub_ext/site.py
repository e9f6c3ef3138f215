"""Everything one running service works with, put together once at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path

from hub_ext.db.connection import Database
from hub_ext.fgpu import FgpuUnit
from hub_ext.folders.catalogue import FolderCatalogue
from hub_ext.folders.jobs import FolderJobs
from hub_ext.folders.measuring import Measuring
from hub_ext.folders.mounting import SubpathMounts
from hub_ext.folders.uploads import Uploads
from hub_ext.gpu.devices import GpuSource
from hub_ext.gpu.enforcers import DEFAULT
from hub_ext.gpu.readings import Readings
from hub_ext.hub_client import HubClient
from hub_ext.images.catalogue import CatalogueImage
from hub_ext.metering.samples import Samples
from hub_ext.nodes.engine import Engine
from hub_ext.projects.store import ProjectStore
from hub_ext.projects.usage import UsageHistory
from hub_ext.projects.use_cache import UseCache
from hub_ext.scheduling.model import Resources, TaskPlacement
from hub_ext.sessions.changes import Changes
from hub_ext.sessions.passes import Passes
from hub_ext.sessions.store import SessionStore
from hub_ext.sessions.waiting_times import WaitingTimes


@dataclass(frozen=True, slots=True)
class Policy:
    """Site settings that decide; see the traits of ApportionService for their meaning."""

    unit: FgpuUnit = field(default_factory=FgpuUnit)
    placement: str = "fragmentation"
    cpu_overcommit: float = 4.0
    reserved_memory_mib: int = 1024
    max_pending_per_user: int = 100
    pending_timeout_s: float = 0.0
    pids_limit: int = 4096
    user_ids: str = "1000:1000"
    public_url: str = ""
    network: str = ""
    default_image: str = ""
    reclaim_warning_s: float = 60.0
    """Between the warning that a session is reclaimed and its stop."""
    ending_warning_s: float = 600.0
    """Between the warning that lifetime, hours or idle time are over and the stop."""
    group_prefix: str = "course-"
    """Hub groups PREFIX + project, and PREFIX + project + "-instructors", are members."""
    timezone: tzinfo = UTC
    """In which hours are meant."""
    trash_days: float = 30.0
    """After so many days in the trash a folder is deleted for good; 0: never."""
    user_storage_bytes: int | None = None
    project_storage_bytes: int | None = None
    """What all folders of one user, of one project may take together; None: no limit."""
    time_aware_k: float = 0.0
    usage_half_life_s: float = 7 * 86400.0
    max_saved_images: int = 10
    approve_own_images: bool = False
    registry: str = ""
    containers: bool = True
    """Sessions are containers; else processes, which nothing tells from others."""
    device_check_s: float = 10.0
    """How often the devices are looked at."""
    default_enforcer: str = DEFAULT
    """Of nodes whose group names none."""
    meter_interval_s: float = 5.0
    """How often sessions are metered."""
    stop_over_gpu_memory: bool = True
    """A session that holds more GPU memory than its slice is stopped, after a warning ..."""
    gpu_memory_grace_s: float = 60.0
    """... of so long."""
    idle_below: float = 0.05
    """Who uses more than this part of his slice or cores is not idle; 0: only kernels count."""
    hami_library: Path | None = None
    """HAMi-core's libvgpu.so on the nodes."""


@dataclass(slots=True)
class Site:
    """The parts of the service. ``images`` is the catalogue as last read from the node."""

    deployment_id: str
    nodes: Mapping[str, GpuSource]
    """The nodes of the engine, and what lists the devices of each. Several share its machine
    equally; only simulated ones do."""
    policy: Policy
    database: Database
    changes: Changes
    store: SessionStore
    projects: ProjectStore
    folders: FolderCatalogue
    folder_jobs: FolderJobs
    measuring: Measuring
    uploads: Uploads
    subpath_mounts: SubpathMounts
    engine: Engine
    hub: HubClient
    data_dir: Path
    images: dict[str, CatalogueImage] = field(default_factory=dict)
    """By reference, as of the last look at the node."""
    images_read_at: float = 0.0
    reservations: Mapping[str, tuple[TaskPlacement, ...]] | None = None
    """What the last scheduling pass keeps for whom, by session id; None before the first."""
    fair_share: Mapping[str, Resources] = field(default_factory=dict)
    """What each project is due, as of the last scheduling pass, by its name."""
    history: UsageHistory = field(default_factory=UsageHistory)
    """What the projects have used."""
    use: UseCache = field(default_factory=UseCache)
    """What the projects held in the last hour, day ..."""
    waits: WaitingTimes = field(default_factory=WaitingTimes)
    """How long sessions have waited."""
    passes: Passes = field(default_factory=Passes)
    """Tells of each scheduling pass."""
    readings: Readings = field(default_factory=Readings)
    """How busy the devices are."""
    meter: Samples = field(default_factory=Samples)
    """What running sessions use."""
    mps_problems: Mapping[str, str] = field(default_factory=dict)
    """By UUID, why sessions cannot share a device by MPS now."""
    mps_ready: frozenset[str] | None = None
    """UUIDs of the devices whose MPS daemon serves; None: nobody looks after daemons."""

    @property
    def mps_dir(self) -> Path:
        """Of the MPS daemons."""
        return self.data_dir / "mps"

"""A reading as metric families: pure, names and units by Prometheus' conventions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from hub_ext.fgpu import GPU_MILLI
from hub_ext.images.request_states import State
from hub_ext.metrics.reading import Reading, limited
from hub_ext.nodes.occupancy import DeviceUse, NodeUse
from hub_ext.sessions.status import LIVE, Status

_MIB = 2**20
_Labels = Sequence[str]
_Values = Iterable[tuple[_Labels, float]]


def families(reading: Reading) -> Iterator[Metric]:
    """All of them."""
    yield _info(
        "apportion_build", "The release that runs.", (), [((), {"version": reading.version})]
    )
    yield from _sessions(reading)
    yield from _gpus(reading)
    yield from _devices(reading)
    yield from _use(reading)
    yield from _nodes(reading.fleet.nodes)
    yield from _projects(reading)
    yield from _folders(reading)
    yield from _service(reading)


def _sessions(reading: Reading) -> Iterator[Metric]:
    yield _gauge(
        "apportion_sessions",
        "Live sessions by status.",
        ("project", "status"),
        _by_status(reading),
    )
    yield _gauge(
        "apportion_queue_length",
        "Sessions that wait, by the code of the reason.",
        ("reason",),
        _by_reason(reading),
    )
    longest = max((reading.now - group.since for group in reading.queue), default=0.0)
    yield _one(
        "apportion_queue_oldest_seconds",
        "Since when the session that was submitted first of those that wait has been waiting.",
        max(0.0, longest),
    )


def _by_status(reading: Reading) -> _Values:
    """What runs and waits in every project, 0 too: a sum over nothing would be no value."""
    for project in sorted(reading.sessions.keys() | reading.quotas.keys()):
        counts = reading.sessions.get(project, {})
        for status in sorted(LIVE):
            if counts.get(status) or status in {Status.PENDING, Status.RUNNING}:
                yield (project, status.lower()), counts.get(status, 0)


def _by_reason(reading: Reading) -> _Values:
    counts: dict[str, int] = {}
    for group in reading.queue:
        counts[group.code] = counts.get(group.code, 0) + group.count
    return (((code or "unknown",), count) for code, count in sorted(counts.items()))


def _gpus(reading: Reading) -> Iterator[Metric]:
    fleet = reading.fleet
    booked, free = fleet.booked_milli, fleet.free_milli
    parts = {
        "in_use": booked - fleet.idle_milli,
        "idle": fleet.idle_milli,
        "free": free,
        "out_of_service": max(0, fleet.there_milli - booked - free),
    }
    yield _one("apportion_gpus_capacity", "Physical GPUs there are.", fleet.there_milli / GPU_MILLI)
    yield _gauge(
        "apportion_gpus",
        "Physical GPUs by what becomes of them; idle: booked, without activity for 15 minutes.",
        ("state",),
        (((state,), milli / GPU_MILLI) for state, milli in parts.items()),
    )
    yield _one(
        "apportion_activity_known",
        "Whether the hub has said when sessions were last active; if not, none counts as idle.",
        reading.activity_known,
    )


def _use(reading: Reading) -> Iterator[Metric]:
    """Of running sessions, as far as each is measured."""
    labels = ("session", "project")
    holders = {each.session_id: each for node in reading.fleet.nodes for each in node.holders}
    used = [
        ((session_id, holders[session_id].project), sample)
        for session_id, sample in sorted(reading.use.items())
        if session_id in holders
    ]
    for name, text, field, factor in (
        ("gpu_memory_bytes", "GPU memory that a session holds.", "gpu_memory_mib", _MIB),
        ("gpu_busy_ratio", "Part of its slice of GPUs that a session computes on.", "gpu", 1),
        ("cpu_cores", "Cores that a session keeps busy.", "cpu_milli", 1 / 1000),
        ("memory_bytes", "Memory that a session uses.", "memory_mib", _MIB),
    ):
        values = ((who, getattr(sample, field)) for who, sample in used)
        known = [(who, value * factor) for who, value in values if value is not None]
        yield _gauge(f"apportion_session_{name}", text, labels, known)


def _devices(reading: Reading) -> Iterator[Metric]:
    devices = [(node, device) for node in reading.fleet.nodes for device in node.devices]

    def values(of: object) -> _Values:
        assert callable(of)
        return (((node.name, str(device.number)), of(device)) for node, device in devices)

    where = ("node", "device")
    yield _info(
        "apportion_device",
        "A GPU of a node.",
        where,
        (((node.name, str(device.number)), _about(device)) for node, device in devices),
    )
    for name, text, of in (
        ("memory_bytes", "Memory of a GPU.", lambda device: device.memory_mib * _MIB),
        (
            "booked_ratio",
            "Part of a GPU that is booked.",
            lambda d: d.booked_milli / d.capacity_milli,
        ),
        (
            "idle_ratio",
            "Part of a GPU that is booked and idle.",
            lambda d: d.idle_milli / d.capacity_milli,
        ),
        ("problem", "Whether a GPU is out of order.", lambda device: bool(device.problem)),
    ):
        yield _gauge(f"apportion_device_{name}", text, where, values(of))
    yield _gauge(
        "apportion_device_busy_ratio",
        "Part of the time in which a GPU computes, of those that report it (NVML).",
        where,
        (
            ((node.name, str(device.number)), device.busy)
            for node, device in devices
            if device.busy is not None
        ),
    )


def _about(device: DeviceUse) -> dict[str, str]:
    simulated = "true" if device.simulated else "false"
    return {"uuid": device.uuid, "model": device.model, "simulated": simulated}


def _nodes(nodes: Sequence[NodeUse]) -> Iterator[Metric]:
    yield _info(
        "apportion_node",
        "A node.",
        ("node",),
        (((node.name,), {"resource_group": node.group}) for node in nodes),
    )
    for name, text, of in (
        ("schedulable", "Whether sessions may start on a node now.", lambda n: not n.reason),
        ("drained", "Whether an admin has drained a node.", lambda n: n.drained),
        ("sessions", "Sessions that hold something of a node.", lambda n: len(n.holders)),
        ("cpu_cores", "Cores of a node that may be booked.", lambda n: n.cpu_milli / 1000),
        ("cpu_booked_cores", "Cores of a node that are.", lambda n: n.cpu_milli_booked / 1000),
        ("memory_bytes", "Memory of a node that may be booked.", lambda n: n.memory_mib * _MIB),
        (
            "memory_booked_bytes",
            "Memory of a node that is booked.",
            lambda n: n.memory_mib_booked * _MIB,
        ),
        ("seen_timestamp_seconds", "When a node last answered.", lambda n: n.seen_at),
    ):
        values = [((node.name,), float(of(node))) for node in nodes]
        yield _gauge(f"apportion_node_{name}", text, ("node",), values)


def _projects(reading: Reading) -> Iterator[Metric]:
    held = [(name, reading.held[name]) for name in sorted(reading.quotas) if name in reading.held]
    yield _gauge(
        "apportion_project_booked_gpus",
        "Physical GPUs that a project and those below it have booked.",
        ("project",),
        (((name,), held.gpu_milli / GPU_MILLI) for name, held in held),
    )
    yield _gauge(
        "apportion_project_quota_gpus",
        "Quota of a project at this hour; without a value there is none.",
        ("project",),
        (
            ((name,), quota.gpu_milli / GPU_MILLI)
            for name, quota in sorted(reading.quotas.items())
            if limited(quota)
        ),
    )


def _folders(reading: Reading) -> Iterator[Metric]:
    owned = sorted(reading.project_folders.items())
    projects = sum(folder.folders for _, folder in owned)
    yield _gauge(
        "apportion_folders",
        "Folders, those in the trash too.",
        ("owner",),
        [(("user",), reading.user_folders.folders), (("project",), projects)],
    )
    yield _one(
        "apportion_user_folders_bytes",
        "What the folders of all users hold together, as last measured.",
        reading.user_folders.bytes,
    )
    yield _gauge(
        "apportion_project_folders_bytes",
        "What the folders of a project hold, as last measured.",
        ("project",),
        (((name,), folder.bytes) for name, folder in owned),
    )
    yield _gauge(
        "apportion_project_folders_quota_bytes",
        "What the folders of a project may hold; without a value there is no limit.",
        ("project",),
        (((name,), folder.quota) for name, folder in owned if folder.quota is not None),
    )


def _service(reading: Reading) -> Iterator[Metric]:
    requests = reading.image_requests
    yield _gauge(
        "apportion_image_requests",
        "Requests to make images of sessions, by state.",
        ("state",),
        (((state.value,), requests.get(state, 0)) for state in State),
    )
    yield _one(
        "apportion_database_size_bytes", "Size of the service's database.", reading.database_bytes
    )
    yield _one(
        "apportion_event_stream_clients",
        "Open pages that are told of changes.",
        reading.stream_clients,
    )


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _gauge(name: str, text: str, labels: _Labels, values: _Values) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for of, value in values:
        family.add_metric(of, float(value))
    return family


def _info(
    name: str, text: str, labels: _Labels, values: Iterable[tuple[_Labels, dict[str, str]]]
) -> Metric:
    family = InfoMetricFamily(name, text, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family

"""A scenario of ``apportion simulate``: JSON in the format of DESIGN 4, checked and resolved.

GPUs are in physical devices, the quantum is 0.01; CPU and memory of a node are
unlimited unless given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hub_ext.scheduling.model import (
    GPU,
    UNLIMITED,
    Demand,
    Device,
    Node,
    Project,
    Resources,
    Session,
    Slice,
    TaskPlacement,
)
from hub_ext.scheduling.simulation.fields import Fields

PLENTY = 1_000_000_000
"""CPU (milli) and memory (MiB) of a node that does not say."""
QUANTUM_MILLI = 10
NOW = 1_000_000.0
"""The time at which every scenario plays, in seconds."""
DEVICE_MIB = 100


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario; ``requests`` only for ``pure_function`` (milli-GPU by project)."""

    id: str
    nodes: tuple[Node, ...]
    projects: tuple[Project, ...]
    sessions: tuple[Session, ...]
    sequential: bool = False
    pure_function: bool = False
    requests: Mapping[str, int] = field(default_factory=dict)
    k_value: float = 0.0


def read_scenarios(data: Any) -> list[Scenario]:
    """All scenarios of a parsed JSON file: one object or a list of them.

    Raises SnapshotError that names the field at fault.
    """
    if isinstance(data, list):
        return [read_scenario(item, f"[{i}]") for i, item in enumerate(data)]
    return [read_scenario(data, "")]


def read_scenario(data: Any, path: str = "") -> Scenario:
    """One scenario. Raises SnapshotError that names the field at fault."""
    fields = Fields(data, path)
    pure = fields.choice("scope", ("full_cycle", "pure_function"), "full_cycle") == "pure_function"
    nodes = tuple(_node(f) for f in fields.objects("nodes"))
    _distinct(fields, "nodes", [n.name for n in nodes])
    usage = fields.numbers_by_name("usage") if fields.has("usage") else {}
    projects = tuple(_project(f, i, usage, pure) for i, f in enumerate(fields.objects("projects")))
    _distinct(fields, "projects", [p.name for p in projects])
    _check_tree(fields, projects)
    known = {p.name for p in projects}
    asked = fields.numbers_by_name("requests") if fields.has("requests") else {}
    for name in [*asked, *usage]:
        if name not in known:
            raise fields.wrong("requests" if name in asked else "usage", f"unknown project {name}.")
    jobs = [] if pure else fields.objects("jobs")
    sessions = _Seats(nodes).seat([(f, _session(f, i, known)) for i, f in enumerate(jobs)])
    _distinct(fields, "jobs", [s.id for s in sessions])
    return Scenario(
        id=str(fields.raw("id") or ""),
        nodes=nodes,
        projects=projects,
        sessions=tuple(sessions),
        sequential=fields.choice("submit", ("together", "sequential"), "together") == "sequential",
        pure_function=pure,
        requests={name: round(gpus * GPU) for name, gpus in asked.items()},
        k_value=fields.number("k_value", 0.0),
    )


def _distinct(fields: Fields, field: str, names: list[str]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise fields.wrong(f"{field}[{i}].name", f"{name!r} is there twice.")


def _check_tree(fields: Fields, projects: tuple[Project, ...]) -> None:
    parents = {p.name: p.parent for p in projects}
    for i, project in enumerate(projects):
        seen = {project.name}
        parent = project.parent
        while parent is not None:
            if parent not in parents:
                raise fields.wrong(f"projects[{i}].parent", f"{parent!r} is not a project.")
            if parent in seen:
                raise fields.wrong(f"projects[{i}].parent", "makes a cycle of projects.")
            seen.add(parent)
            parent = parents[parent]


def _milli(fields: Fields, field: str, gpus: float) -> int:
    milli = round(gpus * GPU)
    if abs(milli - gpus * GPU) > 1e-6 or milli % QUANTUM_MILLI:
        raise fields.wrong(field, f"must be a multiple of 0.01, not {gpus:g}.")
    return milli


def _node(fields: Fields) -> Node:
    memory = fields.integer("gpu_mem_mib", DEVICE_MIB, low=1)
    gpus = fields.integer("gpus", low=0)
    model = fields.text_or_none("model")
    return Node(
        name=fields.text("name"),
        devices=tuple(Device(i, memory) for i in range(gpus)),
        cpu_milli=fields.integer("cpu_milli", PLENTY, low=0),
        memory_mib=fields.integer("memory_mib", PLENTY, low=0),
        labels={"gpu.model": model} if model else {},
    )


def _gpus(fields: Fields, field: str, default: float | None = None) -> int:
    value = fields.number(field, default, special=UNLIMITED)
    return UNLIMITED if value == UNLIMITED else _milli(fields, field, value)


def _project(fields: Fields, index: int, usage: Mapping[str, float], pure: bool) -> Project:
    name = fields.text("name")
    quota = _gpus(fields, "quota_gpus")
    limit = _gpus(fields, "limit") if fields.has("limit") else UNLIMITED
    if not pure and UNLIMITED not in (quota, limit) and quota > limit:
        raise fields.wrong("quota_gpus", f"{quota / GPU:g} is above the limit {limit / GPU:g}.")
    weight = None
    if fields.has("over_quota_weight"):
        weight = fields.number("over_quota_weight", special=-1)
    return Project(
        name=name,
        parent=fields.text_or_none("parent"),
        quota=Resources(quota, UNLIMITED, UNLIMITED),
        limit=Resources(limit, UNLIMITED, UNLIMITED),
        over_quota_weight=weight,
        priority=fields.integer("priority", 0),
        created_order=fields.integer("create_order", index),
        reclaim_min_runtime_s=fields.number_or_none("reclaim_min_runtime_s"),
        preempt_min_runtime_s=fields.number_or_none("preempt_min_runtime_s"),
        usage=usage.get(name, 0.0),
    )


def _session(fields: Fields, index: int, projects: set[str]) -> Session:
    name = fields.text("name")
    project = fields.text("project")
    if project not in projects:
        raise fields.wrong("project", f"{project!r} is not a project.")
    other = any(fields.has(f) for f in ("gpu_memory_mib", "cpu_milli", "memory_mib"))
    gpus = _milli(fields, "gpus", fields.number("gpus", 0.0 if other else None))
    memory = fields.integer("gpu_memory_mib", 0, low=0)
    if gpus and memory:
        raise fields.wrong("gpu_memory_mib", "and gpus exclude each other.")
    tasks = fields.integer("tasks", 1, low=1)
    minimum = fields.integer("min_available", low=1) if fields.has("min_available") else None
    if minimum is not None and minimum > tasks:
        raise fields.wrong("min_available", f"must be at most the {tasks} tasks.")
    devices = fields.integer("n_gpus_devices", 1, low=1)
    if devices > 1 and gpus > GPU:
        raise fields.wrong("n_gpus_devices", "needs gpus of at most 1 for each device.")
    running_for = fields.number_or_none("running_for_s")
    return Session(
        id=name,
        user="",
        project=project,
        demand=Demand(
            gpu_milli=gpus,
            cpu_milli=fields.integer("cpu_milli", 0, low=0),
            memory_mib=fields.integer("memory_mib", 0, low=0),
            gpu_memory_mib=memory,
            devices=devices,
        ),
        state="running" if _is_running(fields) else "pending",
        tasks=tasks,
        min_available=minimum,
        priority=fields.integer("priority", 0),
        preemptible=fields.flag("preemptible", False),
        submitted_at=NOW,
        order=fields.integer("submit_order", index),
        running_since=None if running_for is None else NOW - running_for,
    )


def _is_running(fields: Fields) -> bool:
    return fields.choice("state", ("running", "pending"), "pending") == "running"


class _Seats:
    """Gives running jobs their devices: shared ones by group, whole ones what is left."""

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self._nodes = {n.name: n for n in nodes}
        self._free = {n.name: [GPU] * len(n.devices) for n in nodes}
        self._groups: dict[tuple[str, str], int] = {}

    def seat(self, jobs: list[tuple[Fields, Session]]) -> list[Session]:
        """The sessions with the placements of those that run, in their order."""
        named = [job for job in jobs if job[1].state == "running" and job[0].has("gpu_group")]
        for fields, _ in named:
            self._claim_numbered(fields)
        seated = {
            session.id: self._running(fields, session)
            for fields, session in sorted(jobs, key=lambda job: not job[0].has("gpu_group"))
            if session.state == "running"
        }
        return [seated.get(session.id, session) for _, session in jobs]

    def _claim_numbered(self, fields: Fields) -> None:
        """A group whose name is a device number is that device."""
        group, node = str(fields.raw("gpu_group")), str(fields.raw("node"))
        if group.isdigit() and int(group) < len(self._free.get(node, [])):
            self._groups.setdefault((node, group), int(group))

    def _running(self, fields: Fields, session: Session) -> Session:
        placements = []
        for name in self._nodes_of(fields, session):
            node = self._nodes.get(name)
            if node is None:
                raise fields.wrong("node", f"{name!r} is not a node.")
            slices = tuple(self._slices(fields, session.demand, node))
            placements.append(TaskPlacement(name, slices))
        return replace(session, placements=tuple(placements))

    def _nodes_of(self, fields: Fields, session: Session) -> list[str]:
        if not fields.has("task_nodes"):
            return [fields.text("node")] * session.tasks
        names = fields.raw("task_nodes")
        if not isinstance(names, list) or len(names) > session.tasks:
            raise fields.wrong("task_nodes", "must be a list of at most one node a task.")
        return [str(name) for name in names]

    def _slices(self, fields: Fields, demand: Demand, node: Node) -> Iterator[Slice]:
        whole, part = divmod(demand.gpu_milli, GPU)
        if demand.gpu_memory_mib:
            if not node.devices or demand.gpu_memory_mib > node.devices[0].memory_mib:
                raise fields.wrong("gpu_memory_mib", f"is more than a device of {node.name} has.")
            exact = -(-demand.gpu_memory_mib * GPU // node.devices[0].memory_mib)
            part = min(GPU, -(-exact // QUANTUM_MILLI) * QUANTUM_MILLI)
        free = self._free[node.name]
        taken: set[int] = set()
        for _ in range(demand.devices if part else 0):
            column = self._shared(fields, node.name, part, taken)
            free[column] -= part
            taken.add(column)
            yield Slice(column, part)
        whole *= demand.devices
        for _ in range(whole):
            column = self._whole(fields, node.name, taken)
            free[column] = 0
            yield Slice(column, GPU)

    def _shared(self, fields: Fields, node: str, part: int, taken: set[int]) -> int:
        """The device of the job's group; without one (or for a second) a device of its own."""
        free = self._free[node]
        group = str(fields.raw("gpu_group")) if fields.has("gpu_group") and not taken else None
        known = None if group is None else self._groups.get((node, group))
        if known is None:
            known = self._whole(fields, node, taken)
            if group is not None:
                self._groups[(node, group)] = known
        if free[known] < part:
            raise fields.wrong("gpu_group", f"has no {part / GPU:g} GPU left on {node}.")
        return known

    def _whole(self, fields: Fields, node: str, but: set[int]) -> int:
        """A device nobody uses; those of numbered groups are kept for them if possible."""
        claimed = {device for (name, _), device in self._groups.items() if name == node}
        free = [i for i, milli in enumerate(self._free[node]) if milli == GPU and i not in but]
        group = fields.raw("gpu_group") if fields.has("gpu_group") else None
        own = None if group is None else self._groups.get((node, str(group)))
        for column in [own, *[i for i in free if i not in claimed], *free]:
            if column is not None and column in free:
                return column
        raise fields.wrong("node", f"{node} has no free device left for it.")

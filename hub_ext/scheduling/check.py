"""Refuse input that cannot be right before anything is decided on it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from hub_ext.scheduling.errors import SnapshotError
from hub_ext.scheduling.model import GPU, UNLIMITED, Node, Project, Session, Snapshot


def check(snapshot: Snapshot) -> None:
    """Raise SnapshotError, naming the field, for the first thing that is wrong."""
    _number(snapshot.now, "now", "The snapshot")
    if snapshot.fgpu_per_gpu < 1:
        raise SnapshotError("fgpu_per_gpu must be at least 1.", field="fgpu_per_gpu")
    if snapshot.fgpu_quantum_milli < 1:
        raise SnapshotError("fgpu_quantum_milli must be positive.", field="fgpu_quantum_milli")
    _number(snapshot.time_aware_k, "time_aware_k", "The snapshot")
    _unique((n.name for n in snapshot.nodes), "node", "nodes")
    _unique((p.name for p in snapshot.projects), "project", "projects")
    _unique((s.id for s in snapshot.sessions), "session", "sessions")
    for node in snapshot.nodes:
        _check_node(node)
    for project in snapshot.projects:
        _check_project(project)
    known = {p.name for p in snapshot.projects}
    for session in snapshot.sessions:
        _check_session(session, known)


def _unique(names: Iterable[str], what: str, field: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SnapshotError(f"There are two {what}s named {name}.", field=field)
        seen.add(name)


def _number(value: float | None, field: str, whose: str) -> None:
    if value is not None and (math.isnan(value) or value < 0):
        raise SnapshotError(f"{whose}: {field} must be zero or more, not {value}.", field=field)


def _check_node(node: Node) -> None:
    whose = f"Node {node.name}"
    _number(node.cpu_milli, "cpu_milli", whose)
    _number(node.memory_mib, "memory_mib", whose)
    for device in node.devices:
        _number(device.memory_mib, "device memory_mib", whose)
    if len({d.index for d in node.devices}) != len(node.devices):
        raise SnapshotError(f"{whose} has two devices of the same index.", field="devices")


def _check_project(project: Project) -> None:
    whose = f"Project {project.name}"
    for name in ("gpu_milli", "cpu_milli", "memory_mib"):
        quota, limit = getattr(project.quota, name), getattr(project.limit, name)
        for field, value in ((f"quota.{name}", quota), (f"limit.{name}", limit)):
            if value != UNLIMITED:
                _number(value, field, whose)
        if UNLIMITED not in (quota, limit) and quota > limit:
            raise SnapshotError(
                f"{whose}: quota {quota} is above the limit {limit}.", field=f"quota.{name}"
            )
    weight = project.over_quota_weight
    if weight is not None and (math.isnan(weight) or math.isinf(weight)):
        raise SnapshotError(f"{whose}: bad weight {weight}.", field="over_quota_weight")
    _number(project.usage, "usage", whose)
    _number(project.reclaim_min_runtime_s, "reclaim_min_runtime_s", whose)
    _number(project.preempt_min_runtime_s, "preempt_min_runtime_s", whose)


def _check_session(session: Session, projects: set[str]) -> None:
    whose = f"Session {session.id}"
    if session.project not in projects:
        raise SnapshotError(f"{whose}: unknown project {session.project}.", field="project")
    demand = session.demand
    if min(demand.gpu_milli, demand.cpu_milli, demand.memory_mib, demand.gpu_memory_mib) < 0:
        raise SnapshotError(f"{whose} asks for less than nothing.", field="demand")
    if demand.gpu_milli and demand.gpu_memory_mib:
        raise SnapshotError(
            f"{whose} asks for GPUs both by number and by memory.", field="demand.gpu_memory_mib"
        )
    if demand.devices < 1 or (demand.devices > 1 and demand.gpu_milli > GPU):
        raise SnapshotError(
            f"{whose}: devices must be one, or more with at most one GPU each.",
            field="demand.devices",
        )
    if session.tasks < 1:
        raise SnapshotError(f"{whose} has no containers.", field="tasks")
    if session.min_available is not None and not 1 <= session.min_available <= session.tasks:
        raise SnapshotError(
            f"{whose}: min_available must be from 1 to {session.tasks}.", field="min_available"
        )
    for field in ("submitted_at", "running_since", "time_limit_s", "expected_duration_s"):
        value = getattr(session, field)
        if value is not None and value != value:
            raise SnapshotError(f"{whose}: {field} is not a number.", field=field)
    _number(session.time_limit_s, "time_limit_s", whose)

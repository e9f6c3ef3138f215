"""Refuse input that cannot be right before anything is decided on it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from hub_ext.scheduling.accounts import Accounts
from hub_ext.scheduling.errors import SnapshotError
from hub_ext.scheduling.model import (
    GPU,
    UNLIMITED,
    Demand,
    Node,
    Project,
    Session,
    Snapshot,
    Weights,
)

_SESSION_NUMBERS = (
    "priority",
    "order",
    "submitted_at",
    "running_since",
    "expected_duration_s",
    "not_before",
)


def check(snapshot: Snapshot) -> None:
    """Raise SnapshotError, naming the field, for the first thing that is wrong."""
    _number(snapshot.now, "now", "The snapshot")
    if snapshot.fgpu_per_gpu < 1:
        raise SnapshotError("fgpu_per_gpu must be at least 1.", field="fgpu_per_gpu")
    if snapshot.fgpu_quantum_milli < 1:
        raise SnapshotError("fgpu_quantum_milli must be positive.", field="fgpu_quantum_milli")
    _number(snapshot.time_aware_k, "time_aware_k", "The snapshot")
    for demand, popularity in snapshot.request_types:
        _check_demand(demand, "A request type", "request_types")
        _number(popularity, "request_types", "The snapshot")
    _unique((n.name for n in snapshot.nodes), "node", "nodes")
    _unique((p.name for p in snapshot.projects), "project", "projects")
    _unique((s.id for s in snapshot.sessions), "session", "sessions")
    for node in snapshot.nodes:
        _check_node(node)
    for project in snapshot.projects:
        _check_project(project)
    Accounts(snapshot.projects)  # raises for an unknown parent or a cycle
    known = {p.name for p in snapshot.projects}
    sound: set[Demand] = set()
    for session in snapshot.sessions:
        _check_session(session, known)
        if session.demand not in sound:
            _check_demand(session.demand, f"Session {session.id}", "demand")
            sound.add(session.demand)


def _unique(names: Iterable[str], what: str, field: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SnapshotError(f"There are two {what}s named {name}.", field=field)
        seen.add(name)


def _finite(value: float | None, field: str, whose: str) -> None:
    if value is not None and not math.isfinite(value):
        raise SnapshotError(f"{whose}: {field} must be a finite number, not {value}.", field=field)


def _number(value: float | None, field: str, whose: str) -> None:
    _finite(value, field, whose)
    if value is not None and value < 0:
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
    _check_weights(project, whose)
    _finite(project.priority, "priority", whose)
    _number(project.usage, "usage", whose)
    _number(project.reclaim_min_runtime_s, "reclaim_min_runtime_s", whose)
    _number(project.preempt_min_runtime_s, "preempt_min_runtime_s", whose)


def _check_weights(project: Project, whose: str) -> None:
    """Finite; one below zero stands for "the quota is the weight" (KAI)."""
    weights = project.over_quota_weight
    if not isinstance(weights, Weights):
        _finite(weights, "over_quota_weight", whose)
        return
    for name in ("gpu", "cpu", "memory"):
        _finite(getattr(weights, name), f"over_quota_weight.{name}", whose)


def _check_session(session: Session, projects: set[str]) -> None:
    whose = f"Session {session.id}"
    if session.project not in projects:
        raise SnapshotError(f"{whose}: unknown project {session.project}.", field="project")
    if session.tasks < 1:
        raise SnapshotError(f"{whose} has no containers.", field="tasks")
    if session.min_available is not None and not 1 <= session.min_available <= session.tasks:
        raise SnapshotError(
            f"{whose}: min_available must be from 1 to {session.tasks}.", field="min_available"
        )
    for field in _SESSION_NUMBERS:
        _finite(getattr(session, field), field, whose)
    _number(session.time_limit_s, "time_limit_s", whose)


def _check_demand(demand: Demand, whose: str, field: str) -> None:
    for name in ("gpu_milli", "cpu_milli", "memory_mib", "gpu_memory_mib"):
        _number(getattr(demand, name), f"{field}.{name}", whose)
    if demand.gpu_milli and demand.gpu_memory_mib:
        raise SnapshotError(
            f"{whose} asks for GPUs both by number and by memory.", field=f"{field}.gpu_memory_mib"
        )
    if demand.devices < 1 or (demand.devices > 1 and demand.gpu_milli > GPU):
        raise SnapshotError(
            f"{whose}: devices must be one, or more with at most one GPU each.",
            field=f"{field}.devices",
        )

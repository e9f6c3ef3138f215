"""What the scheduler sees and what it answers: plain, immutable data.

Units everywhere: milli-GPU of one physical device (1000 = one GPU), milli-CPU,
MiB, seconds. Integers only. Nothing here does I/O or reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

UNLIMITED = -1
"""A quota or limit that does not bind."""

GPU = 1000
"""milli-GPU of one physical device."""


@dataclass(frozen=True, slots=True)
class Resources:
    """A vector of resources: milli-GPU, milli-CPU, MiB of memory."""

    gpu_milli: int = 0
    cpu_milli: int = 0
    memory_mib: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """A physical GPU (or one MIG instance) of a node.

    capacity_milli: what it holds in all. serves: "parts" takes any slices that fit together;
    "whole" only requests for whole GPUs; an "instance" of MIG one slice, which takes all of it
    however small it is.
    """

    index: int
    memory_mib: int
    healthy: bool = True
    problem: str = ""
    capacity_milli: int = GPU
    serves: Literal["parts", "whole", "instance"] = "parts"
    parts_alone: bool = False
    """Who holds a part of it holds nothing else (a program has one MPS daemon)."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that runs containers. ``images``: None when any image can be had there."""

    name: str
    devices: tuple[Device, ...]
    cpu_milli: int
    memory_mib: int
    resource_group: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    schedulable: bool = True
    problem: str = ""
    images: frozenset[str] | None = None
    gpu_problem: str = ""
    """Why sessions with a GPU may not go there; its devices are then all out of order."""


@dataclass(frozen=True, slots=True)
class Slice:
    """``milli`` of one device of a node; 1000 is the whole device."""

    device: int
    milli: int


@dataclass(frozen=True, slots=True)
class TaskPlacement:
    """Where one container of a session runs and which slices it holds."""

    node: str
    slices: tuple[Slice, ...] = ()


@dataclass(frozen=True, slots=True)
class Demand:
    """What one container asks for.

    gpu_milli: at most 1000 is one slice of ONE device; more takes whole devices of
    ONE node, plus one slice for the remainder.
    gpu_memory_mib: a request by memory; it becomes that part of the chosen device's
    memory, rounded up to the quantum. Only one of the two GPU fields is set.
    devices: more than one means a slice of that size on each of so many devices.
    """

    gpu_milli: int = 0
    cpu_milli: int = 0
    memory_mib: int = 0
    gpu_memory_mib: int = 0
    devices: int = 1


@dataclass(frozen=True, slots=True)
class Weights:
    """Over-quota weights by resource. None: the project's quota of it is the weight."""

    gpu: float | None = None
    cpu: float | None = None
    memory: float | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """A course, lab or team. A child is found by its ``parent``'s name.

    ``over_quota_weight``: a number holds for all resources; None (or less than zero, as
    in KAI) means that the quota is the weight. ``closed`` is the sentence to show while
    a time window keeps the project shut ("" = open).
    ``usage`` is past use as a part of the cluster (0..1), for the time-aware share.
    """

    name: str
    parent: str | None = None
    quota: Resources = Resources(UNLIMITED, UNLIMITED, UNLIMITED)
    limit: Resources = Resources(UNLIMITED, UNLIMITED, UNLIMITED)
    over_quota_weight: Weights | float | None = None
    priority: int = 0
    created_order: int = 0
    reclaim_min_runtime_s: float | None = None
    preempt_min_runtime_s: float | None = None
    usage: float = 0.0
    closed: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A session that waits (``pending``) or holds a booking (``running``).

    ``ending``: it is being stopped; its booking is still held and comes free soon.
    ``expected_duration_s``: what history says, for estimates only; ``time_limit_s``
    is a promise that backfill may rely on.
    """

    id: str
    user: str
    project: str
    demand: Demand
    state: Literal["pending", "running"] = "pending"
    placements: tuple[TaskPlacement, ...] = ()
    tasks: int = 1
    min_available: int | None = None
    priority: int = 0
    preemptible: bool = False
    submitted_at: float = 0.0
    order: int = 0
    running_since: float | None = None
    time_limit_s: float | None = None
    expected_duration_s: float | None = None
    not_before: float | None = None
    image: str | None = None
    resource_groups: frozenset[str] | None = None
    node_labels: Mapping[str, str] = field(default_factory=dict)
    ending: bool = False
    held: Reason | None = None
    """Why it may not start whatever the capacity is (a limit of its user, say)."""
    reserved: tuple[TaskPlacement, ...] = ()
    """What ``Decisions.reservations`` promised it in an earlier pass: the place that is
    being freed for it. It goes first, and nobody else is put there meanwhile."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one pass may look at. ``now`` is a Unix time in seconds."""

    now: float
    nodes: tuple[Node, ...]
    projects: tuple[Project, ...]
    sessions: tuple[Session, ...]
    fgpu_per_gpu: int = 1
    fgpu_quantum_milli: int = 100
    """The smallest step of a request, in milli-fGPU."""
    request_types: tuple[tuple[Demand, float], ...] = ()
    """Popularity of requests at this site, for the fragmentation policy."""
    time_aware_k: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a session waits: a code for programs, one sentence with numbers, a way out."""

    code: str
    message: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """Start this pending session here, one placement a task."""

    session_id: str
    placements: tuple[TaskPlacement, ...]


@dataclass(frozen=True, slots=True)
class Evict:
    """Stop this running session so that ``for_session`` can run."""

    session_id: str
    for_session: str
    kind: Literal["reclaim", "preempt"]
    reason: Reason
    containers: tuple[TaskPlacement, ...] = ()
    """Of a gang that runs with more than its minimum: stop only these; () means all."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where a pending session stands. ``position`` counts from 1; ``estimate_s`` from now."""

    session_id: str
    position: int
    reason: Reason
    estimate_s: float | None = None


@dataclass(frozen=True, slots=True)
class Decisions:
    """The answer of one pass; every pending session is in ``starts`` or in ``waiting``.

    A session for which others are evicted is in ``waiting`` (it starts in a later
    pass, when they have gone).
    """

    starts: tuple[Start, ...] = ()
    evictions: tuple[Evict, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    fair_share: Mapping[str, Resources] = field(default_factory=dict)
    reservations: Mapping[str, tuple[TaskPlacement, ...]] = field(default_factory=dict)
    """By session id: the place that is being freed for it (a session for which others
    are evicted, or an evicted one that is only moved). To be handed back in
    ``Session.reserved`` until the session runs; each pass says anew which still hold."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Answer of a dry run for a session that has not been submitted."""

    session_id: str
    placements: tuple[TaskPlacement, ...] | None
    """Where it would start now; None when it would wait."""
    waiting: Waiting | None

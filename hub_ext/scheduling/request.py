"""What one container asks for, resolved against the nodes of a snapshot.

Sessions that ask for the same thing share one ``Request``, so that everything that is
worked out for it (nodes that may take it, scores, reasons) is worked out once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hub_ext.scheduling.model import GPU, Demand, Session

if TYPE_CHECKING:
    from hub_ext.scheduling.cluster import Cluster

IMPOSSIBLE = 1 << 20
"""milli-GPU that no device has: stands for "more memory than this device"."""


class RequestKey(NamedTuple):
    """What makes two requests the same."""

    demand: Demand
    image: str | None
    resource_groups: frozenset[str] | None
    labels: frozenset[tuple[str, str]]


def key_of(session: Session) -> RequestKey:
    """The request of one container of a session."""
    return RequestKey(
        session.demand,
        session.image,
        session.resource_groups,
        frozenset(session.node_labels.items()) if session.node_labels else frozenset(),
    )


class Request:
    """One kind of container.

    whole: devices taken completely. part: milli-GPU of one more device, or of ``slices``
    devices; an array [node, device] when the request is by GPU memory. eligible: nodes
    that may take it if they are free enough.
    """

    __slots__ = ("amount", "cpu", "demand", "eligible", "key", "memory", "part", "slices", "whole")

    def __init__(self, key: RequestKey, cluster: Cluster) -> None:
        self.key = key
        demand = self.demand = key.demand
        self.cpu = demand.cpu_milli
        self.memory = demand.memory_mib
        self.whole = 0
        self.slices = demand.devices
        self.part: int | np.ndarray = 0
        gpu = demand.gpu_milli
        if demand.gpu_memory_mib:
            self.part = cluster.share_of_memory(demand.gpu_memory_mib)
            gpu = _largest_possible(self.part)
        elif gpu >= GPU:
            self.whole, self.part = divmod(gpu * self.slices, GPU)
            self.slices = 1
        else:
            self.part = gpu
        self.amount = (gpu * demand.devices, demand.cpu_milli, demand.memory_mib)
        self.eligible = cluster.eligible(key.image, key.resource_groups, dict(key.labels))

    @property
    def by_memory(self) -> bool:
        """True when the milli-GPU depend on the device."""
        return isinstance(self.part, np.ndarray)

    @property
    def several(self) -> bool:
        """True when one container gets more than one device."""
        return self.whole + self.slices * bool(np.any(self.part)) > 1

    @property
    def gpu_less(self) -> bool:
        """True when no device is asked for."""
        return not self.by_memory and self.whole == 0 and self.part == 0

    def part_on(self, nodes: np.ndarray) -> int | np.ndarray:
        """milli-GPU of the partial device: a number, or an array [len(nodes), device]."""
        return self.part[nodes] if isinstance(self.part, np.ndarray) else self.part


def _largest_possible(part: np.ndarray) -> int:
    """The milli-GPU to count before a device is known: on the smallest device (KAI)."""
    possible = part[part <= GPU]
    return int(possible.max()) if possible.size else GPU


class RequestBook:
    """The distinct requests of one pass."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[RequestKey, Request] = {}
        self._by_parts: dict[tuple[object, ...], Request] = {}

    def of(self, session: Session) -> Request:
        """The request of a session's containers."""
        labels: Mapping[str, str] = session.node_labels
        if not labels:
            quick = (session.demand, session.image, session.resource_groups)
            found = self._by_parts.get(quick)
            if found is None:
                found = self._by_parts[quick] = self._request(key_of(session))
            return found
        return self._request(key_of(session))

    def _request(self, key: RequestKey) -> Request:
        request = self._known.get(key)
        if request is None:
            request = self._known[key] = Request(key, self._cluster)
        return request

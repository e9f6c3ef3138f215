"""Nodes and devices of a snapshot as arrays, and what of them is free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from hub_ext.scheduling.model import GPU, Device, Node, Slice, Snapshot, TaskPlacement
from hub_ext.scheduling.request import IMPOSSIBLE


class Cluster:
    """What does not change during a pass. Nodes are sorted by name.

    column: array column of a device by its index on the node. usable: [node, device]
    may take sessions. capacity: [node, device] milli-GPU when nothing is booked; gpu: of all
    devices of a node. totals: milli-GPU, milli-CPU, MiB of all nodes that may.
    plain: every device is a GPU that takes parts; ``single`` and ``whole_only`` tell which are
    MIG instances and which take whole requests only, ``parts_alone`` which give a part only
    to who gets nothing else.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.nodes: list[Node] = sorted(snapshot.nodes, key=lambda n: n.name)
        self.number = {node.name: i for i, node in enumerate(self.nodes)}
        count = len(self.nodes)
        width = max((len(n.devices) for n in self.nodes), default=0) or 1
        self.quantum = max(1, snapshot.fgpu_quantum_milli // snapshot.fgpu_per_gpu)
        self.usable = np.zeros((count, width), dtype=bool)
        self.device_memory = np.zeros((count, width), dtype=np.int64)
        self.capacity = np.zeros((count, width), dtype=np.int64)
        self.single = np.zeros((count, width), dtype=bool)
        self.whole_only = np.zeros((count, width), dtype=bool)
        self.parts_alone = np.zeros((count, width), dtype=bool)
        self.column: list[dict[int, int]] = []
        self.devices_per_node = np.zeros(count, dtype=np.int64)
        for i, node in enumerate(self.nodes):
            columns = {d.index: c for c, d in enumerate(sorted(node.devices, key=_index))}
            self.column.append(columns)
            self.devices_per_node[i] = len(columns)
            for device in node.devices:
                column = columns[device.index]
                self.device_memory[i, column] = device.memory_mib
                self.usable[i, column] = device.healthy
                self.capacity[i, column] = device.capacity_milli
                self.single[i, column] = device.serves == "instance"
                self.whole_only[i, column] = device.serves == "whole"
                self.parts_alone[i, column] = device.parts_alone
        self.gpu = self.capacity.sum(axis=1)
        self.plain = not (self.single.any() or self.whole_only.any())
        self.index = [{c: d for d, c in columns.items()} for columns in self.column]
        self.schedulable = np.array([n.schedulable for n in self.nodes], dtype=bool)
        self.cpu = np.array([n.cpu_milli for n in self.nodes], dtype=np.int64)
        self.memory = np.array([n.memory_mib for n in self.nodes], dtype=np.int64)
        open_devices = self.usable & self.schedulable[:, None]
        self.totals = (
            int(self.capacity[open_devices].sum()),
            int(self.cpu[self.schedulable].sum()),
            int(self.memory[self.schedulable].sum()),
        )

    def share_of_memory(self, mib: int) -> np.ndarray:
        """milli-GPU of each device that hold so much memory, rounded up to the quantum.

        Of a MIG instance that has so much: all that it is.
        """
        known = self.device_memory > 0
        memory = np.where(known, self.device_memory, 1)
        milli = -(-mib * GPU // memory)
        milli = -(-milli // self.quantum) * self.quantum
        milli = np.where(self.single, self.capacity, np.minimum(milli, GPU))
        fits = known & (mib <= memory) & ~self.whole_only
        return np.where(fits, milli, IMPOSSIBLE)

    def eligible(
        self,
        image: str | None,
        groups: frozenset[str] | None,
        labels: Mapping[str, str],
    ) -> np.ndarray:
        """Nodes that are in service and match group, labels and image."""
        return np.array(
            [
                node.schedulable
                and (groups is None or node.resource_group in groups)
                and (image is None or node.images is None or image in node.images)
                and all(node.labels.get(k) == v for k, v in labels.items())
                for node in self.nodes
            ],
            dtype=bool,
        )


def _index(device: Device) -> int:
    return device.index


class Capacity:
    """Free capacity, node by node. May be negative where a place is held for later.

    free: milli-GPU [node, device], 0 for devices out of service. ``changes`` lists the
    nodes that changed, in order, for whoever keeps something worked out per node.
    """

    __slots__ = ("changes", "cluster", "cpu", "free", "memory")

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.free = np.where(cluster.usable, cluster.capacity, 0).astype(np.int64)
        self.cpu = cluster.cpu.copy()
        self.memory = cluster.memory.copy()
        self.changes: list[int] = []

    def copy(self) -> Capacity:
        """An independent state of affairs, with no changes yet."""
        twin = Capacity.__new__(Capacity)
        twin.cluster = self.cluster
        twin.free = self.free.copy()
        twin.cpu = self.cpu.copy()
        twin.memory = self.memory.copy()
        twin.changes = []
        return twin

    def apply(self, placements: Iterable[TaskPlacement], cpu: int, memory: int, sign: int) -> None:
        """Take (sign -1) or give back (sign +1) what containers hold.

        cpu in milli-CPU and memory in MiB are of one container. Unknown nodes and
        devices (lost since) are passed over.
        """
        cluster = self.cluster
        for placement in placements:
            node = cluster.number.get(placement.node)
            if node is None:
                continue
            columns = cluster.column[node]
            for piece in placement.slices:
                column = columns.get(piece.device)
                if column is not None and cluster.usable[node, column]:
                    single = cluster.single[node, column]
                    taken = cluster.capacity[node, column] if single else piece.milli
                    self.free[node, column] += sign * taken
            self.cpu[node] += sign * cpu
            self.memory[node] += sign * memory
            self.changes.append(node)

    def row(self, node: int) -> tuple[np.ndarray, int, int]:
        """A copy of one node's state."""
        return self.free[node].copy(), int(self.cpu[node]), int(self.memory[node])

    def set_row(self, node: int, row: tuple[np.ndarray, int, int]) -> None:
        """Put a node's state back."""
        self.free[node], self.cpu[node], self.memory[node] = row
        self.changes.append(node)

    def placement(self, node: int, pieces: Iterable[tuple[int, int]]) -> TaskPlacement:
        """A placement of (column, milli) pieces on a node, devices by their index."""
        index = self.cluster.index[node]
        slices = tuple(Slice(index[column], milli) for column, milli in sorted(pieces))
        return TaskPlacement(self.cluster.nodes[node].name, slices)


def numbers(capacity: Capacity, placements: Iterable[TaskPlacement]) -> set[int]:
    """Row numbers of the nodes of some placements (lost nodes have none)."""
    known = capacity.cluster.number
    return {known[p.node] for p in placements if p.node in known}

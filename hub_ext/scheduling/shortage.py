"""What the nodes lack for a request: device, CPU, memory, image, or any node at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hub_ext.scheduling.amounts import cores, fgpu, gib
from hub_ext.scheduling.cluster import Capacity
from hub_ext.scheduling.model import GPU, Reason
from hub_ext.scheduling.placement.base import fitting, free_for_parts, free_for_whole
from hub_ext.scheduling.request import Request
from hub_ext.scheduling.state import State

_MOST_BROKEN = 3
"""So many devices are named that are out of order."""
_PARTS_ALONE = (
    "The GPUs here are shared by MPS, which gives a part only to who holds nothing else:"
    " ask for whole GPUs, or for less than one."
)


class Shortages:
    """Words what is missing in one pass; kept by request, since sessions share them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._now = state.now
        self._cluster = state.cluster
        self._known: dict[Request, Reason | None] = {}

    def of(self, request: Request) -> Reason | None:
        """What is missing, or None when one container would fit now."""
        if request not in self._known:
            self._known[request] = self._find(request)
        return self._known[request]

    def _find(self, request: Request) -> Reason | None:
        if not request.eligible.any():
            return self._no_node(request)
        nodes = np.flatnonzero(request.eligible)
        if fitting(self._now, request, nodes).any():
            return None
        reason = self._lacking(request, nodes)
        broken = "" if request.gpu_less else self._out_of_order(nodes)
        if not broken:
            return reason
        help_ = "" if reason.code == "too_large" else reason.help
        return replace(reason, message=f"{reason.message} {broken}", help=help_)

    def _lacking(self, request: Request, nodes: np.ndarray) -> Reason:
        if not fitting(Capacity(self._cluster), request, nodes).any():
            return self._never(request, nodes)
        if request.gpu_less:
            return self._cpu_or_memory(request, nodes)
        with_devices = nodes[_devices_would_do(self._now, request, nodes)]
        if with_devices.size:
            return self._cpu_or_memory(request, with_devices)
        if request.several:
            return self._several_devices(request, nodes)
        return self._one_device(request, nodes)

    def _name(self, nodes: np.ndarray, row: int) -> str:
        return self._cluster.nodes[int(nodes[row])].name

    def _fgpu(self, gpu_milli: int) -> str:
        return fgpu(gpu_milli, self._state.snapshot.fgpu_per_gpu)

    def _no_node(self, request: Request) -> Reason:
        """Nobody matches the session's group, labels and image, or all who do are out."""
        key, nodes = request.key, self._cluster.nodes
        if not nodes:
            return Reason("no_node", "No node has reported to this site.")
        groups, image = key.resource_groups, key.image
        inside = [n for n in nodes if groups is None or n.resource_group in groups]
        if not inside:
            names = ", ".join(sorted(groups or ()))
            return Reason("no_node", f"No node is in the resource group {names}.")
        labelled = [n for n in inside if all(n.labels.get(k) == v for k, v in key.labels)]
        if not labelled:
            wanted = ", ".join(f"{k}={v}" for k, v in sorted(key.labels))
            return Reason("no_node", f"No node has the label {wanted}.")
        having = [n for n in labelled if image is None or n.images is None or image in n.images]
        if not having:
            return Reason("no_image", f"Image {image} is not on any node.", "Choose another image.")
        problems = "; ".join(f"{n.name}: {n.problem or 'drained'}" for n in having[:3])
        return Reason("no_node", f"No node is in service ({problems}).")

    def _out_of_order(self, nodes: np.ndarray) -> str:
        """The devices that take no sessions, as far as a reader can use them: three."""
        found = []
        for node in (self._cluster.nodes[int(number)] for number in nodes):
            if node.gpu_problem:
                found.append(f"Node {node.name}: {node.gpu_problem.rstrip('.')}.")
                continue
            for device in node.devices:
                if not device.healthy:
                    problem = device.problem.rstrip(".") or "unknown"
                    found.append(f"Out of order: GPU {device.index} of {node.name} ({problem}).")
        return " ".join(found[:_MOST_BROKEN])

    def _never(self, request: Request, nodes: np.ndarray) -> Reason:
        """It would not even fit on empty nodes."""
        cluster = self._cluster
        help_ = "No node can ever hold it: ask for less."
        empty = Capacity(cluster)
        if not request.gpu_less and self._cluster.gpu[nodes].any() and not empty.free[nodes].any():
            message = f"Needs {self._fgpu(request.amount[0])} fGPU; no GPU takes sessions now."
            return Reason("no_device", message)
        largest = int(empty.free[nodes].sum(axis=1).max(initial=0))
        if request.gpu_less or _devices_would_do(empty, request, nodes).any():
            message = (
                f"Needs {cores(request.cpu)} CPU cores and {gib(request.memory)} of memory on one"
                f" node; the largest nodes have {cores(int(cluster.cpu[nodes].max()))} cores and"
                f" {gib(int(cluster.memory[nodes].max()))}."
            )
        elif request.by_memory and largest:
            most = int(cluster.device_memory[nodes].max(initial=0))
            wanted = gib(request.demand.gpu_memory_mib)
            message = f"Needs {wanted} of GPU memory on one device; the largest has {gib(most)}."
        elif barred := self._barred(request, nodes):
            message = barred
        else:
            message = (
                f"Needs {self._fgpu(request.amount[0])} fGPU on one node; the largest node has"
                f" {self._fgpu(largest)} fGPU."
            )
        return Reason("too_large", message, help_)

    def _barred(self, request: Request, nodes: np.ndarray) -> str:
        """Why devices that are large enough in all do not take it; "" where they would."""
        cluster, need = self._cluster, self._fgpu(request.amount[0])
        usable = cluster.usable[nodes]
        if request.several:
            alone = request.part and (usable & cluster.parts_alone[nodes]).any()
            return _PARTS_ALONE if alone else ""
        single = usable & cluster.single[nodes]
        if single.any():
            largest = self._fgpu(int(np.where(single, cluster.capacity[nodes], 0).max()))
            return f"Needs {need} fGPU on one device; the largest MIG instance has {largest} fGPU."
        if (usable & cluster.whole_only[nodes]).any():
            return f"Needs {need} fGPU on one device; the GPUs here are given only as a whole."
        return ""

    def _one_device(self, request: Request, nodes: np.ndarray) -> Reason:
        """A slice or a whole device: no single device has so much free."""
        there = free_for_whole if request.whole else free_for_parts
        free = np.maximum(there(self._now, request, nodes), 0)
        largest, need, total = int(free.max(initial=0)), request.amount[0], int(free.sum())
        if request.by_memory:
            wanted = f"{gib(request.demand.gpu_memory_mib)} of GPU memory"
        else:
            wanted = f"{self._fgpu(need)} fGPU"
        found = "no device has anything free"
        if largest:
            name = self._name(nodes, int(np.argmax(free.max(axis=1))))
            found = f"the largest free slice is {self._fgpu(largest)} fGPU (node {name})"
        if total >= need:
            found += f", although {self._fgpu(total)} fGPU are free in all"
        ask = ""
        if largest >= self._cluster.quantum:
            ask = f"Ask for at most {self._fgpu(largest)} fGPU to start now."
        return Reason("no_slice", f"Needs {wanted} on one device; {found}.", ask)

    def _several_devices(self, request: Request, nodes: np.ndarray) -> Reason:
        """Several devices of one node: no node has so many free."""
        full = (free_for_whole(self._now, request, nodes) >= GPU).sum(axis=1)
        part = 0 if request.by_memory else int(np.max(request.part))
        wanted = []
        if request.whole:
            wanted.append(f"{request.whole} free device{'s' * (request.whole > 1)}")
        if request.slices > 1:
            wanted.append(f"slices of {request.slices} devices")
        elif part:
            wanted.append(f"a slice of {self._fgpu(part)} fGPU on another")
        most, total = int(full.max(initial=0)), int(full.sum())
        found = "no device is wholly free"
        if most:
            name = self._name(nodes, int(np.argmax(full)))
            found = f"the most on a node is {most} (node {name})"
        if total > request.whole:
            found += f", although {total} are free in all"
        message = (
            f"Needs {self._fgpu(request.amount[0])} fGPU on one node: {' and '.join(wanted)};"
            f" {found}."
        )
        ask = f"Ask for at most {self._fgpu(most * GPU)} fGPU to start now." if most else ""
        return Reason("no_devices", message, ask)

    def _cpu_or_memory(self, request: Request, nodes: np.ndarray) -> Reason:
        """The GPU would do on these nodes (or none is asked for); the rest would not."""
        cpu, memory = np.maximum(self._now.cpu[nodes], 0), np.maximum(self._now.memory[nodes], 0)
        beside = "" if request.gpu_less else " beside the GPU"
        if not (cpu >= request.cpu).any():
            best = int(np.argmax(cpu))
            most = cores(int(cpu[best]))
            return Reason(
                "no_cpu",
                f"Needs {cores(request.cpu)} CPU cores on one node{beside}; the most free is"
                f" {most} (node {self._name(nodes, best)}).",
                f"Ask for at most {most} CPU cores to start now.",
            )
        enough = np.where(cpu >= request.cpu, memory, 0)
        best = int(np.argmax(enough))
        most = gib(int(enough[best]))
        return Reason(
            "no_memory",
            f"Needs {gib(request.memory)} of memory on one node{beside}; the most free is"
            f" {most} (node {self._name(nodes, best)}).",
            f"Ask for at most {most} of memory to start now.",
        )


def _devices_would_do(capacity: Capacity, request: Request, nodes: np.ndarray) -> np.ndarray:
    """Nodes whose devices have room for the request, whatever their CPU and memory."""
    plenty = Capacity.__new__(Capacity)
    plenty.cluster, plenty.free = capacity.cluster, capacity.free
    plenty.cpu = np.full_like(capacity.cpu, request.cpu)
    plenty.memory = np.full_like(capacity.memory, request.memory)
    return fitting(plenty, request, nodes)

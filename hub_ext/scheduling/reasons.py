"""Why a session waits: one sentence with numbers about what blocks this request."""

from __future__ import annotations

import numpy as np

from hub_ext.scheduling.accounts import Account, over_limit, over_quota
from hub_ext.scheduling.amounts import cores, duration, fgpu, gib, quantity
from hub_ext.scheduling.jobs import Job, first_tasks
from hub_ext.scheduling.model import GPU, Reason
from hub_ext.scheduling.placement.base import fitting
from hub_ext.scheduling.request import Request
from hub_ext.scheduling.state import State


def not_allowed_yet(job: Job, now: float) -> Reason | None:
    """Reasons that hold whatever the capacity is: a hold, a closed project, a start time."""
    session = job.session
    if session.held is not None:
        return session.held
    for account in job.account.path:
        if account.project.closed:
            return Reason("project_closed", account.project.closed)
    if session.not_before is not None and session.not_before > now:
        wait = duration(session.not_before - now)
        return Reason("not_before", f"It is set to start later, in {wait}.")
    return None


class Reasons:
    """Words the reasons of one pass; what depends on the request alone is kept."""

    def __init__(self, state: State, backfilled_after: frozenset[int] = frozenset()) -> None:
        self._state = state
        self._per_gpu = state.snapshot.fgpu_per_gpu
        self._kept_nodes = backfilled_after
        self._known: dict[Request, Reason | None] = {}

    def of(self, job: Job) -> Reason:
        """The reason of a waiting session."""
        state = self._state
        reason = not_allowed_yet(job, state.snapshot.now)
        if reason is not None:
            return reason
        if job.id in state.reservations:
            return self._being_freed(job)
        if (reason := self._hard_rule(job)) is not None:
            return reason
        if job.request not in self._known:
            self._known[job.request] = self._capacity(job.request)
        found = self._known[job.request]
        if found is not None:
            return found
        if first_tasks(job.session) > 1:
            return self._gang(job)
        return Reason(
            "reserved",
            "There is room, but it is kept for a larger session ahead in line.",
            "A time limit that ends before the larger session can start lets it go first.",
        )

    def _being_freed(self, job: Job) -> Reason:
        nodes = sorted({p.node for p in self._state.reservations[job.id]})
        where = f"node {nodes[0]}" if len(nodes) == 1 else f"nodes {', '.join(nodes)}"
        return Reason(
            "being_freed", f"Its place on {where} is kept; it starts as soon as that is free."
        )

    def _hard_rule(self, job: Job) -> Reason | None:
        for account in job.account.path:
            resource = over_limit(account, job.amount, with_ending=True)
            if resource is not None:
                return self._limit(account, job, resource)
            if job.fixed:
                resource = over_quota(account, job.amount, with_ending=True)
                if resource is not None:
                    return self._quota(account, job, resource)
        return None

    def _limit(self, account: Account, job: Job, resource: int) -> Reason:
        limit, used = (
            account.limit[resource],
            account.allocated[resource] + account.ending[resource],
        )
        amount = job.amount[resource]
        if amount > limit:
            message = (
                f"Needs {self._say(resource, amount)}; project {account.name} may use at most"
                f" {self._say(resource, limit)} in all."
            )
            return Reason("over_limit", message, "Ask for less, or for a higher limit.")
        message = (
            f"Project {account.name} uses {self._bare(resource, used)} of its limit of"
            f" {self._say(resource, limit)}"
        )
        if used < limit:
            message += f"; this needs {self._bare(resource, amount)}"
        return Reason(
            "project_limit", message + ".", "It starts when another session of the project ends."
        )

    def _quota(self, account: Account, job: Job, resource: int) -> Reason:
        quota = account.quota[resource]
        used = account.fixed[resource] + account.ending_fixed[resource]
        amount = job.amount[resource]
        message = (
            f"Project {account.name} holds {self._bare(resource, used)} of its quota of"
            f" {self._say(resource, quota)} in sessions that may not be reclaimed"
        )
        if used < quota or amount > quota:
            message += f"; this needs {self._bare(resource, amount)}"
        return Reason(
            "project_quota",
            message + ".",
            "Allow this session to be reclaimed: then it may use idle capacity beyond the quota.",
        )

    def _say(self, resource: int, amount: int) -> str:
        return quantity(resource, amount, self._per_gpu)

    def _bare(self, resource: int, amount: int) -> str:
        return (
            self._say(resource, amount).rsplit(" ", 1)[0]
            if resource == 0
            else self._say(resource, amount)
        )

    def _gang(self, job: Job) -> Reason:
        needed = first_tasks(job.session)
        fits = _how_many_fit(self._state, job.request, needed)
        return Reason(
            "gang",
            f"Needs {needed} containers at once; {fits} of them would fit now.",
            "All start together or none does.",
        )

    def _capacity(self, request: Request) -> Reason | None:
        """What is missing on the nodes, or None when one container would fit."""
        state = self._state
        if not request.eligible.any():
            return self._no_node(request)
        nodes = np.flatnonzero(request.eligible)
        if fitting(state.now, request, nodes).any():
            return None
        empty = _Empty(state)
        if not fitting(empty, request, nodes).any():  # type: ignore[arg-type]
            return self._never(request, nodes)
        if request.whole and not request.gpu_less:
            return self._whole(request, nodes)
        if not request.gpu_less:
            return self._slice(request, nodes)
        return self._cpu_and_memory(request, nodes)

    def _no_node(self, request: Request) -> Reason:
        key, nodes = request.key, self._state.cluster.nodes
        if not nodes:
            return Reason("no_node", "No node has reported to this site.")
        inside = [
            n
            for n in nodes
            if key.resource_groups is None or n.resource_group in key.resource_groups
        ]
        if not inside:
            groups = ", ".join(sorted(key.resource_groups or ()))
            return Reason("no_node", f"No node is in the resource group {groups}.")
        labelled = [n for n in inside if all(n.labels.get(k) == v for k, v in key.labels)]
        if not labelled:
            wanted = ", ".join(f"{k}={v}" for k, v in sorted(key.labels))
            return Reason("no_node", f"No node has the label {wanted}.")
        having = [
            n for n in labelled if key.image is None or n.images is None or key.image in n.images
        ]
        if not having:
            return Reason(
                "no_image", f"Image {key.image} is not on any node.", "Choose another image."
            )
        problems = "; ".join(f"{n.name}: {n.problem or 'drained'}" for n in having[:3])
        return Reason("no_node", f"No node is in service ({problems}).")

    def _never(self, request: Request, nodes: np.ndarray) -> Reason:
        cluster = self._state.cluster
        if request.by_memory:
            most = int(cluster.device_memory[nodes].max(initial=0))
            wanted = gib(request.demand.gpu_memory_mib)
            message = f"Needs {wanted} of GPU memory on one device; the largest has {gib(most)}."
        elif request.whole * GPU + int(np.max(request.part)) > 0 and (
            cluster.usable[nodes].sum(axis=1).max(initial=0) * GPU < request.amount[0]
        ):
            most = int(cluster.usable[nodes].sum(axis=1).max(initial=0))
            message = (
                f"Needs {self._fgpu(request.amount[0])} fGPU on one node; the largest node has"
                f" {self._fgpu(most * GPU)} fGPU."
            )
        else:
            most_cpu, most_memory = cluster.cpu[nodes].max(), cluster.memory[nodes].max()
            message = (
                f"Needs {cores(request.cpu)} CPU cores and {gib(request.memory)} of memory on one"
                f" node; the largest nodes have {cores(int(most_cpu))} cores and"
                f" {gib(int(most_memory))}."
            )
        return Reason("too_large", message, "No node can ever hold it: ask for less.")

    def _slice(self, request: Request, nodes: np.ndarray) -> Reason:
        """One slice of one device: no device has so much free, or its node lacks the rest."""
        free = np.maximum(self._state.now.free[nodes], 0)
        part = np.broadcast_to(np.asarray(request.part_on(nodes)), free.shape)
        if (free >= part).any():
            return self._cpu_and_memory(request, nodes[(free >= part).any(axis=1)])
        largest = int(free.max(initial=0))
        row = int(np.argmax(free.max(axis=1)))
        need = request.amount[0]
        name = self._state.cluster.nodes[nodes[row]].name
        message = f"Needs {self._fgpu(need)} fGPU on one device; " + (
            f"the largest free slice is {self._fgpu(largest)} fGPU (node {name})"
            if largest
            else "no device has anything free"
        )
        total = int(free.sum())
        if total >= need:
            message += f", although {self._fgpu(total)} fGPU are free in all"
        step = self._state.cluster.quantum
        ask = f"Ask for at most {self._fgpu(largest)} fGPU to start now." if largest >= step else ""
        return Reason("no_slice", message + ".", ask)

    def _whole(self, request: Request, nodes: np.ndarray) -> Reason:
        """Whole devices: no node has so many free, or it lacks the rest."""
        full = (self._state.now.free[nodes] >= GPU).sum(axis=1)
        devices = request.whole + (1 if request.part else 0)
        enough = fitting_devices(self._state, request, nodes)
        if enough.any():
            return self._cpu_and_memory(request, nodes[enough])
        most = int(full.max(initial=0))
        name = self._state.cluster.nodes[nodes[int(np.argmax(full))]].name
        need = self._fgpu(request.amount[0])
        if devices == 1:
            free = np.maximum(self._state.now.free[nodes], 0)
            return self._slice_of_whole(need, free, nodes)
        found = f"the most free on a node is {most} (node {name})" if most else "none is free"
        message = f"Needs {need} fGPU: {devices} free devices on one node; {found}."
        total = int((full).sum())
        if total >= devices:
            message = message[:-1] + f", although {total} are free in all."
        ask = f"Ask for at most {self._fgpu(most * GPU)} fGPU to start now." if most else ""
        return Reason("no_devices", message, ask)

    def _slice_of_whole(self, need: str, free: np.ndarray, nodes: np.ndarray) -> Reason:
        largest = int(free.max(initial=0))
        name = self._state.cluster.nodes[nodes[int(np.argmax(free.max(axis=1)))]].name
        found = (
            f"the largest free slice is {self._fgpu(largest)} fGPU (node {name})"
            if largest
            else "no device has anything free"
        )
        total = int(free.sum())
        if total >= GPU:
            found += f", although {self._fgpu(total)} fGPU are free in all"
        ask = f"Ask for at most {self._fgpu(largest)} fGPU to start now." if largest else ""
        return Reason("no_slice", f"Needs {need} fGPU on one device; {found}.", ask)

    def _cpu_and_memory(self, request: Request, nodes: np.ndarray) -> Reason:
        """GPU would do on these nodes (or none is asked for), CPU or memory would not."""
        now, cluster = self._state.now, self._state.cluster
        cpu, memory = np.maximum(now.cpu[nodes], 0), np.maximum(now.memory[nodes], 0)
        beside = "" if request.gpu_less else " beside the GPU"
        if not (cpu >= request.cpu).any():
            best = int(np.argmax(cpu))
            return Reason(
                "no_cpu",
                f"Needs {cores(request.cpu)} CPU cores on one node{beside}; the most free is"
                f" {cores(int(cpu[best]))} (node {cluster.nodes[nodes[best]].name}).",
                f"Ask for at most {cores(int(cpu[best]))} CPU cores to start now.",
            )
        roomy = (
            memory if (memory < request.memory).all() else np.where(cpu >= request.cpu, memory, 0)
        )
        best = int(np.argmax(roomy))
        return Reason(
            "no_memory",
            f"Needs {gib(request.memory)} of memory on one node{beside}; the most free is"
            f" {gib(int(roomy[best]))} (node {cluster.nodes[nodes[best]].name}).",
            f"Ask for at most {gib(int(roomy[best]))} of memory to start now.",
        )

    def _fgpu(self, gpu_milli: int) -> str:
        return fgpu(gpu_milli, self._per_gpu)


class _Empty:
    """The capacity of the nodes if nothing ran on them."""

    def __init__(self, state: State) -> None:
        self.cluster = state.cluster
        self.free = np.where(state.cluster.usable, GPU, 0)
        self.cpu = state.cluster.cpu
        self.memory = state.cluster.memory


def fitting_devices(state: State, request: Request, nodes: np.ndarray) -> np.ndarray:
    """Nodes whose devices would do, whatever their CPU and memory."""
    free = state.now.free[nodes]
    full = free >= GPU
    count = full.sum(axis=1)
    if not request.by_memory and request.part == 0:
        enough: np.ndarray = count >= request.whole
        return enough
    beside = ((free >= request.part_on(nodes)) & ~full).any(axis=1) & (count >= request.whole)
    enough = beside | (count > request.whole)
    return enough


def _how_many_fit(state: State, request: Request, at_most: int) -> int:
    """How many containers of a gang would fit now (a copy of the capacity is filled)."""
    nodes = np.flatnonzero(request.eligible)
    free, cpu, memory = state.now.free[nodes].copy(), state.now.cpu[nodes], state.now.memory[nodes]
    count = 0
    for row in range(len(nodes)):
        most = at_most - count
        if request.cpu:
            most = min(most, int(cpu[row]) // request.cpu)
        if request.memory:
            most = min(most, int(memory[row]) // request.memory)
        if not request.gpu_less:
            part = request.part_on(nodes[row : row + 1])
            if request.whole:
                most = min(most, int((free[row] >= GPU).sum()) // request.whole)
            else:
                most = min(most, int((np.maximum(free[row], 0) // part).sum()))
        count += max(0, most)
        if count >= at_most:
            break
    return min(count, at_most - 1)

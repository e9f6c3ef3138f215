"""What must hold after every pass, for tests and for ``apportion doctor``.

No device over its milli-GPU, no node over its CPU or memory, no limit exceeded,
non-preemptible sessions within quota, every booking complete and on a node that is
there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hub_ext.scheduling.accounts import RESOURCES, UNBOUNDED, Accounts
from hub_ext.scheduling.amounts import quantity
from hub_ext.scheduling.jobs import first_tasks, held_by
from hub_ext.scheduling.model import GPU, Session, Snapshot, TaskPlacement


def violations(snapshot: Snapshot) -> list[str]:
    """One sentence for each rule that this state breaks; [] when all is well."""
    return [
        *_identity(snapshot),
        *_bookings(snapshot),
        *_nodes(snapshot),
        *_projects(snapshot),
    ]


def _identity(snapshot: Snapshot) -> Iterator[str]:
    for name, count in Counter(s.id for s in snapshot.sessions).items():
        if count > 1:
            yield f"Session {name} is there {count} times."
    for session in snapshot.sessions:
        if session.state == "pending" and session.placements:
            yield f"Session {session.id} is pending and yet holds a booking."
        if session.state == "running" and len(session.placements) < first_tasks(session):
            yield (
                f"Session {session.id} runs {len(session.placements)} of the"
                f" {first_tasks(session)} containers that must run together."
            )


def _bookings(snapshot: Snapshot) -> Iterator[str]:
    """Each container's slices: as many as asked for, each on one device that is there."""
    devices = {n.name: {d.index: d for d in n.devices} for n in snapshot.nodes}
    for session in snapshot.sessions:
        for placement in session.placements:
            if placement.node not in devices:
                yield f"Session {session.id} is booked on the unknown node {placement.node}."
                continue
            known = devices[placement.node]
            if len({p.device for p in placement.slices}) != len(placement.slices):
                yield f"Session {session.id} holds two slices of one device of {placement.node}."
            for piece in placement.slices:
                if piece.device not in known:
                    yield (
                        f"Session {session.id} is booked on device {piece.device} of"
                        f" {placement.node}, which is not there."
                    )
            yield from _shape(session, placement)


def _shape(session: Session, placement: TaskPlacement) -> Iterator[str]:
    asked = session.demand.gpu_milli * session.demand.devices
    held = sum(piece.milli for piece in placement.slices)
    if not session.demand.gpu_memory_mib and held != asked:
        yield f"Session {session.id} holds {held} milli-GPU on {placement.node}, not {asked}."
    whole = sum(1 for piece in placement.slices if piece.milli == GPU)
    partial = len(placement.slices) - whole
    if partial > session.demand.devices or any(
        not 0 < piece.milli <= GPU for piece in placement.slices
    ):
        yield f"Session {session.id} is split over several devices of {placement.node}."


def _nodes(snapshot: Snapshot) -> Iterator[str]:
    gpu: Counter[tuple[str, int]] = Counter()
    pieces: Counter[tuple[str, int]] = Counter()
    cpu: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    for session in snapshot.sessions:
        for placement in session.placements:
            cpu[placement.node] += session.demand.cpu_milli
            memory[placement.node] += session.demand.memory_mib
            for piece in placement.slices:
                gpu[(placement.node, piece.device)] += piece.milli
                pieces[(placement.node, piece.device)] += 1
    devices = {(n.name, d.index): d for n in snapshot.nodes for d in n.devices}
    for (node, device), milli in sorted(gpu.items()):
        there = devices.get((node, device))
        most = GPU if there is None else there.capacity_milli
        if milli > most:
            yield f"Device {device} of {node} is booked with {milli} of {most} milli-GPU."
        if there is not None and there.serves == "instance" and pieces[node, device] > 1:
            yield f"MIG instance {device} of {node} is booked {pieces[node, device]} times."
    for place in snapshot.nodes:
        if cpu[place.name] > place.cpu_milli:
            yield f"{place.name} is booked with {cpu[place.name]} of {place.cpu_milli} milli-CPU."
        if memory[place.name] > place.memory_mib:
            yield f"{place.name} is booked with {memory[place.name]} of {place.memory_mib} MiB."


def _projects(snapshot: Snapshot) -> Iterator[str]:
    """Limits, and non-preemptible within quota, at every level of the tree."""
    accounts = Accounts(snapshot.projects)
    for session in snapshot.sessions:
        if session.project not in accounts.by_name:
            yield f"Session {session.id} belongs to the unknown project {session.project}."
            continue
        held = held_by(session.placements, session)
        accounts.book(session.project, held, fixed=not session.preemptible)
    unit = snapshot.fgpu_per_gpu
    for name, account in accounts.by_name.items():
        for r in range(len(RESOURCES)):
            held_now, limit = account.allocated[r], account.limit[r]
            fixed, quota = account.fixed[r], account.quota[r]
            if limit != UNBOUNDED and held_now > limit:
                yield (
                    f"Project {name} holds {quantity(r, held_now, unit)}, over its limit of"
                    f" {quantity(r, limit, unit)}."
                )
            if quota != UNBOUNDED and fixed > quota:
                yield (
                    f"Project {name} holds {quantity(r, fixed, unit)} that may not be reclaimed,"
                    f" over its quota of {quantity(r, quota, unit)}."
                )

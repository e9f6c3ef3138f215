"""From processes on devices to what each session used: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hub_ext.gpu.devices import GpuProcess

_TOLERANCE_MIB = 64
_TOLERANCE = 0.02
"""A CUDA context is not counted to the MiB."""
_NEARLY = 0.95
_NO_LONGER_NEARLY = 0.9


@dataclass(frozen=True, slots=True)
class Held:
    """A slice of a real device: milli-GPU of ``capacity_milli``, and MiB of its memory."""

    uuid: str
    milli: int
    capacity_milli: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class SliceUse:
    """What a session does on one device. None: the driver does not tell.

    sm: part of the device's multiprocessors, 0 to 1.
    """

    held: Held
    memory_mib: int | None
    sm: float | None


def slice_uses(
    slices: Sequence[Held],
    processes: Iterable[GpuProcess],
    busy: Mapping[str, float],
    read: Collection[str],
) -> list[SliceUse]:
    """``processes``: those of this session, of the devices that were ``read`` (UUIDs);
    ``busy``: of whole devices by UUID, 0 to 1."""
    mine: dict[str, list[GpuProcess]] = {}
    for process in processes:
        mine.setdefault(process.uuid, []).append(process)
    return [
        _slice_use(held, mine.get(held.uuid, []), busy.get(held.uuid))
        if held.uuid in read
        else SliceUse(held, None, None)
        for held in slices
    ]


def _slice_use(held: Held, processes: list[GpuProcess], busy: float | None) -> SliceUse:
    memory = [each.memory_mib for each in processes if each.memory_mib is not None]
    known_mib = sum(memory) if memory or not processes else None
    computing = [each.sm_percent for each in processes if each.sm_percent is not None]
    sm = min(1.0, sum(computing) / 100) if computing or not processes else None
    if held.milli >= held.capacity_milli and busy is not None:
        sm = busy  # nobody else is on it, and it counts what processes do not
    return SliceUse(held, known_mib, sm)


def memory_mib(uses: Sequence[SliceUse]) -> int | None:
    """Of all its devices together; None when nothing is known."""
    known = [use.memory_mib for use in uses if use.memory_mib is not None]
    return sum(known) if known else None


def gpu_busy(uses: Sequence[SliceUse]) -> float | None:
    """How busy the slices are together, 0 to 1: what is computed of what is held."""
    known = [use for use in uses if use.sm is not None]
    held = sum(min(use.held.milli, use.held.capacity_milli) for use in known)
    if not held:
        return None
    done = sum((use.sm or 0.0) * use.held.capacity_milli for use in known)
    return min(1.0, done / held)


def over(uses: Sequence[SliceUse]) -> SliceUse | None:
    """The slice whose memory the session exceeds; None when it keeps to all."""
    for use in uses:
        limit = use.held.memory_mib
        allowed = limit + max(_TOLERANCE_MIB, _TOLERANCE * limit)
        if limit and use.memory_mib is not None and use.memory_mib > allowed:
            return use
    return None


def nearly_full(uses: Sequence[SliceUse], before: bool) -> SliceUse | None:
    """A slice whose memory is nearly used up; ``before``: whether it was just now."""
    part = _NO_LONGER_NEARLY if before else _NEARLY
    for use in uses:
        if use.held.memory_mib and (use.memory_mib or 0) >= part * use.held.memory_mib:
            return use
    return None

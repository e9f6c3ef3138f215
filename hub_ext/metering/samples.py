"""What running sessions have used lately, kept in memory; a restart begins anew."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

KEPT_S = 600.0
"""How far back."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a session used at a moment (Unix s). None: not measured.

    gpu_memory_mib: of all its processes on its devices; gpu: how busy its slice was, 0 to 1;
    cpu_milli, memory_mib: of its container.
    """

    at: float
    gpu_memory_mib: int | None = None
    gpu: float | None = None
    cpu_milli: int | None = None
    memory_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Excess:
    """A session holds more memory of a device than its slice has: ``used_mib`` of
    ``slice_mib``, without a break since ``since`` (Unix s)."""

    since: float
    used_mib: int
    slice_mib: int


@dataclass(slots=True)
class Samples:
    """By session id."""

    excess: dict[str, Excess] = field(default_factory=dict)
    judged: set[str] = field(default_factory=set)
    """Whose GPU memory the last look could measure: of the others, nobody knows whether they
    exceed their slices."""
    _rings: dict[str, deque[Sample]] = field(default_factory=dict)

    def add(self, found: Mapping[str, Sample]) -> None:
        """One look at all sessions; those that are not in it have ended."""
        for session_id in self._rings.keys() - found.keys():
            del self._rings[session_id]
        for session_id, sample in found.items():
            ring = self._rings.setdefault(session_id, deque())
            ring.append(sample)
            while ring[0].at < sample.at - KEPT_S:
                ring.popleft()

    def latest(self, session_id: str) -> Sample | None:
        """The last one; None before the first."""
        ring = self._rings.get(session_id)
        return ring[-1] if ring else None

    def recent(self, session_id: str, seconds: float) -> list[Sample]:
        """Those of the last ``seconds``, the oldest first."""
        ring = self._rings.get(session_id) or ()
        begin = ring[-1].at - seconds if ring else 0.0
        return [sample for sample in ring if sample.at >= begin]

    def of(self, session_ids: Collection[str]) -> dict[str, Sample]:
        """The last one of each that has any."""
        found = {each: self.latest(each) for each in session_ids}
        return {each: sample for each, sample in found.items() if sample is not None}

"""Sessions that come near the end of their slice's memory are told; those beyond it are stopped.

The stop is the culler's, after its warning (see ``sessions/endings.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from hub_ext.metering.measure import SliceUse, nearly_full, over
from hub_ext.metering.samples import Excess
from hub_ext.sessions.alerts import GPU_MEMORY, clear_alert, raise_alert
from hub_ext.site import Site


class Watchdog:
    """Keeps who is near the end, or beyond it, from one look to the next."""

    def __init__(self, site: Site, look_again: Callable[[], None]) -> None:
        self._site = site
        self._look_again = look_again
        self._told: dict[str, str] = {}
        """What each was told last: "nearly" or "over"."""

    def look(self, uses: Mapping[str, Sequence[SliceUse]]) -> None:
        """By session id; those that are not in it have ended."""
        meter = self._site.meter
        for known in (self._told, meter.excess):
            for session_id in known.keys() - uses.keys():
                del known[session_id]
        # of the others, what they were told stays: silence does not prove that they keep to it
        meter.judged = {
            session_id
            for session_id, held in uses.items()
            if over(held) or all(use.memory_mib is not None for use in held)
        }
        for session_id in meter.judged:
            self._look_at(session_id, uses[session_id])

    def _look_at(self, session_id: str, uses: Sequence[SliceUse]) -> None:
        excess, beyond = self._site.meter.excess, over(uses)
        was_beyond = session_id in excess
        if beyond is None:
            excess.pop(session_id, None)
        elif not was_beyond:
            used = beyond.memory_mib or 0
            excess[session_id] = Excess(time.time(), used, beyond.held.memory_mib)
        if (beyond is not None) != was_beyond:
            self._look_again()
        self._tell(session_id, beyond, uses)

    def _tell(self, session_id: str, beyond: SliceUse | None, uses: Sequence[SliceUse]) -> None:
        before = self._told.get(session_id, "")
        near = nearly_full(uses, before=bool(before))
        state = "over" if beyond is not None else "nearly" if near is not None else ""
        if state == before:
            return
        self._told[session_id] = state
        use = beyond or near
        if use is None:
            message = "It holds less of its slice's GPU memory again."
            clear_alert(self._site.store, session_id, GPU_MEMORY, message)
        else:
            words = "more GPU memory than" if beyond else "nearly all GPU memory of"
            raise_alert(self._site.store, session_id, GPU_MEMORY, _sentence(words, use))


def _sentence(words: str, use: SliceUse) -> str:
    used, limit = (use.memory_mib or 0) / 1024, use.held.memory_mib / 1024
    return f"This session holds {words} its slice: {used:.1f} of {limit:.1f} GiB."

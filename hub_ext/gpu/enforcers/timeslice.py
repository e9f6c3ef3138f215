"""Time slices of the driver: sessions take turns, and nothing limits them."""

from __future__ import annotations

from collections.abc import Sequence

from hub_ext.gpu.enforcers.enforcer import HeldSlice, Place, Serves, SliceSettings


class Timeslice:
    """What a session holds is booked and watched, and kept by nothing else."""

    name = "timeslice"
    title = "Time slices"
    memory = "Not limited; the watchdog warns and stops a session that holds too much."
    compute = "Not limited: sessions take turns."
    serves: Serves = "parts"
    parts_alone = False

    def settings(self, slices: Sequence[HeldSlice], place: Place) -> SliceSettings:
        """The device's UUID is all."""
        return SliceSettings()

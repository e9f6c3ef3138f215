"""Multi-Instance GPU: the hardware keeps instances apart."""

from __future__ import annotations

from collections.abc import Sequence

from hub_ext.gpu.enforcers.enforcer import HeldSlice, Place, Serves, SliceSettings


class Mig:
    """A session gets one instance, the smallest that holds its request."""

    name = "mig"
    title = "MIG"
    memory = "Separate in hardware."
    compute = "Separate in hardware."
    serves: Serves = "instance"
    parts_alone = False

    def settings(self, slices: Sequence[HeldSlice], place: Place) -> SliceSettings:
        """The instance's UUID is all."""
        return SliceSettings()

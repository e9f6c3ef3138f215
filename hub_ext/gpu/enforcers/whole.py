"""Whole devices: nothing is shared, so that nothing need be kept apart."""

from __future__ import annotations

from collections.abc import Sequence

from hub_ext.gpu.enforcers.enforcer import HeldSlice, Place, Serves, SliceSettings


class Whole:
    """Only requests for whole GPUs are served."""

    name = "whole"
    title = "Whole GPUs"
    memory = "The whole device is the session's."
    compute = "The whole device is the session's."
    serves: Serves = "whole"
    parts_alone = False

    def settings(self, slices: Sequence[HeldSlice], place: Place) -> SliceSettings:
        """The devices' UUIDs are all."""
        return SliceSettings()

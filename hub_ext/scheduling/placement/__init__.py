"""Placement policies: which node, and which device on it."""

from __future__ import annotations

from collections.abc import Iterable

from hub_ext.scheduling.errors import SnapshotError
from hub_ext.scheduling.model import Demand
from hub_ext.scheduling.placement.base import NEVER, PlacementPolicy, take_devices
from hub_ext.scheduling.placement.fragmentation import Fragmentation
from hub_ext.scheduling.placement.pack import BestFit, Pack
from hub_ext.scheduling.placement.spread import Spread

POLICIES = ("fragmentation", "pack", "spread", "best-fit")


def make_policy(name: str, types: Iterable[tuple[Demand, float]] = ()) -> PlacementPolicy:
    """The policy of that name; ``types`` are the requests that the site sees.

    Raises SnapshotError for an unknown name.
    """
    if name == "fragmentation":
        return Fragmentation(types)
    if name == "pack":
        return Pack()
    if name == "spread":
        return Spread()
    if name == "best-fit":
        return BestFit()
    raise SnapshotError(
        f"Unknown placement policy {name!r}; there are {', '.join(POLICIES)}.", field="policy"
    )


__all__ = ["NEVER", "POLICIES", "PlacementPolicy", "make_policy", "take_devices"]

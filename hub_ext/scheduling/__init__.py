"""The pure scheduling core: a snapshot in, decisions out. No clock, no I/O, no ORM."""

from hub_ext.scheduling.errors import SnapshotError
from hub_ext.scheduling.passes import dry_run, schedule

__all__ = ["SnapshotError", "dry_run", "schedule"]

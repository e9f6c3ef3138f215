"""What keeps sessions inside their slices: one file each, chosen by node or resource group."""

from __future__ import annotations

from collections.abc import Mapping

from hub_ext.gpu.enforcers.enforcer import Enforcer
from hub_ext.gpu.enforcers.hami import Hami
from hub_ext.gpu.enforcers.mig import Mig
from hub_ext.gpu.enforcers.mps import Mps
from hub_ext.gpu.enforcers.timeslice import Timeslice
from hub_ext.gpu.enforcers.whole import Whole

ENFORCERS: Mapping[str, Enforcer] = {
    each.name: each for each in (Mps(), Hami(), Mig(), Timeslice(), Whole())
}
"""By name, in the order in which they are offered."""
DEFAULT = Mps.name
"""Of a site that chooses none."""

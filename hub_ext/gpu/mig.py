"""MIG profiles by name, as in "1g.10gb" (NVIDIA Multi-Instance GPU User Guide)."""

from __future__ import annotations

import re

from hub_ext.gpu.devices import WHOLE_MILLI

SLICES = 7
"""Compute slices of a GPU that is split."""

_PROFILE = re.compile(r"(?:(\d)c\.)?(\d)g\.\d{1,4}gb(?:\+[a-z0-9.+-]+)?")


def profile_of(name: str) -> str:
    """The profile in an instance's name, as in "NVIDIA A100-SXM4-40GB MIG 1g.5gb"; "" if none."""
    return name.rpartition(" MIG ")[2].strip() if " MIG " in name else ""


def capacity_milli(profile: str) -> int:
    """milli-GPU that an instance holds: its part of the compute slices, rounded down.

    "1c.3g.20gb" computes on one slice, whatever its memory. Raises ValueError.
    """
    match = _PROFILE.fullmatch(profile)
    slices = int(match[1] or match[2]) if match else 0
    if not 1 <= slices <= SLICES:
        raise ValueError(f"'{profile}' is no MIG profile; one looks like 1g.10gb")
    return WHOLE_MILLI * slices // SLICES

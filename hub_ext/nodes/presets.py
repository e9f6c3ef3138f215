"""Presets: named bundles of resources for people who do not want to think in numbers."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import PresetRow
from hub_ext.fgpu import FgpuUnit

_FIRST = (
    ("cpu", "CPU only", "Reading, small data", 0, 1000, 2048),
    ("half-gpu", "Half a GPU", "Course work", 500, 2000, 4096),
    ("gpu", "One GPU", "Training", 1000, 2000, 8192),
)


def list_presets(db: Session) -> Sequence[PresetRow]:
    """All presets in the order to show them."""
    return db.scalars(select(PresetRow).order_by(PresetRow.rank, PresetRow.name)).all()


def seed_presets(db: Session, unit: FgpuUnit) -> None:
    """Presets to begin with, on a database that has none; those that fit the quantum."""
    if db.scalar(select(func.count()).select_from(PresetRow)):
        return
    for rank, (name, title, description, gpu, cpu, memory) in enumerate(_FIRST):
        if gpu * unit.per_gpu % unit.quantum_milli:
            continue
        db.add(
            PresetRow(
                name=name,
                title=title,
                description=description,
                gpu_milli=gpu,
                cpu_milli=cpu,
                memory_mib=memory,
                rank=rank,
            )
        )

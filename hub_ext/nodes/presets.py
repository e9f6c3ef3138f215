"""Presets: named bundles of resources for people who do not want to think in numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import DeviceRow, NodeRow, PresetRow
from hub_ext.errors import Conflict, NotFound
from hub_ext.fgpu import GPU_MILLI, FgpuUnit
from hub_ext.nodes.preset_lists import take_from_projects
from hub_ext.projects.audit import note
from hub_ext.stale import check_version, version_of

OWN_NUMBERS = "custom"
"""What the launch form sends for "my own numbers": no preset can be called so."""
MOST = 100
"""More would not be a choice any more."""

_FIRST = (
    ("cpu", "CPU only", "Reading, small data", 0, 1000, 2048),
    ("half-gpu", "Half a GPU", "Course work", 500, 2000, 4096),
    ("gpu", "One GPU", "Training", 1000, 2000, 8192),
)
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_LINE = r"^[^\x00-\x1f\x7f]*$"


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise PydanticCustomError(
            "name", "use 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or digit at both ends"
        )
    if name == OWN_NUMBERS:
        raise PydanticCustomError("name", "'custom' means one's own numbers in the launch form")
    return name


class PresetChange(BaseModel):
    """Body of ``PATCH /presets/{name}``; what is not given stays as it is.

    fgpu: in fGPU, on the site's quantum; position: its place in the list, from 1; version: the
    one that was read (409 when the preset has changed since).
    """

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=128, pattern=_LINE)] = "-"
    description: Annotated[str, Field(max_length=500, pattern=_LINE)] = ""
    fgpu: float | Annotated[str, Field(max_length=32)] = 0.0
    cpu_milli: Annotated[int, Field(ge=10, le=1_024_000, strict=True)] = 1000
    memory_mib: Annotated[int, Field(ge=128, le=16 * 1024 * 1024, strict=True)] = 2048
    position: Annotated[int, Field(ge=1, le=MOST, strict=True)] = 1
    version: Annotated[str, Field(max_length=64)] | None = None


class NewPreset(PresetChange):
    """Body of ``POST /presets``; without a position it becomes the last one."""

    name: Annotated[str, AfterValidator(_check_name)]
    title: Annotated[str, Field(min_length=1, max_length=128, pattern=_LINE)]


def list_presets(db: Session) -> Sequence[PresetRow]:
    """All presets in the order to show them."""
    return db.scalars(select(PresetRow).order_by(PresetRow.rank, PresetRow.name)).all()


def existing_preset(db: Session, name: str) -> PresetRow:
    """One of them. Raises NotFound."""
    row = db.get(PresetRow, name) if name.isprintable() else None
    if row is None:
        raise NotFound(f"There is no preset '{name[:80]}'.")
    return row


def add_preset(db: Session, new: NewPreset, unit: FgpuUnit, by: str) -> PresetRow:
    """A new one. Raises BadValue for fGPU off the quantum, Conflict."""
    values = _columns(new, unit)
    if db.get(PresetRow, new.name) is not None:
        raise Conflict(f"There is a preset '{new.name}' already.", field="name")
    rows = list_presets(db)
    if len(rows) >= MOST:
        raise Conflict(f"There are {len(rows)} presets; more than {MOST} are no choice any more.")
    row = PresetRow(name=new.name, rank=rows[-1].rank + 1 if rows else 0, **values)
    db.add(row)
    db.flush()
    note(db, by, "preset.create", row.name, None, None, state_of(row))
    if "position" in new.model_fields_set:
        _move(db, row, new.position)
    return row


def change_preset(
    db: Session, name: str, change: PresetChange, unit: FgpuUnit, by: str
) -> PresetRow:
    """Set what is given; sessions that were launched from it keep what they have.

    Raises BadValue, Conflict when it has changed since ``version``, NotFound.
    """
    row = existing_preset(db, name)
    before = state_of(row)
    after = before | _columns(change, unit)
    check_version(change.version, before, after, f"The preset {name}")
    for column, value in after.items():
        setattr(row, column, value)
    if after != before:
        note(db, by, "preset.change", name, None, before, after)
    if "position" in change.model_fields_set:
        moved = _move(db, row, change.position)
        if moved is not None:
            note(
                db, by, "preset.move", name, None, {"position": moved}, {"position": place(db, row)}
            )
    return row


def delete_preset(db: Session, name: str, by: str) -> tuple[PresetRow, list[str]]:
    """Remove it, from the lists of projects too; what was launched from it stays as it is.

    Returns it and the projects that had named it. Raises Conflict when it is all that some
    project allows, NotFound.
    """
    row = existing_preset(db, name)
    projects = take_from_projects(db, name, by)
    note(db, by, "preset.delete", name, None, state_of(row), None)
    db.delete(row)
    return row, projects


def place(db: Session, row: PresetRow) -> int:
    """Its place in the list, from 1."""
    return [each.name for each in list_presets(db)].index(row.name) + 1


def state_of(row: PresetRow) -> dict[str, Any]:
    """What an admin sets of it, in the units of the table; the order is another matter."""
    columns = ("title", "description", "gpu_milli", "cpu_milli", "memory_mib")
    return {column: getattr(row, column) for column in columns}


def version(row: PresetRow) -> str:
    """Another one as soon as somebody has changed it."""
    return version_of(state_of(row))


def largest_node(db: Session) -> dict[str, int] | None:
    """The most of each resource that some node has, by column; None: no node is known yet."""
    healthy = select(func.count()).where(DeviceRow.problem == "").group_by(DeviceRow.node)
    gpus = max(db.scalars(healthy), default=0)
    sizes = select(func.max(NodeRow.cpu_milli), func.max(NodeRow.memory_mib))
    cpu, memory = db.execute(sizes).one()
    if cpu is None:
        return None
    return {"gpu_milli": gpus * GPU_MILLI, "cpu_milli": cpu, "memory_mib": memory}


def too_large(row: PresetRow, largest: Mapping[str, int] | None, unit: FgpuUnit) -> str:
    """Why no node can ever hold it; "" when one can. ``largest``: of ``largest_node``."""
    for column, most in (largest or {}).items():
        asked = getattr(row, column)
        if asked > most:
            return (
                f"{row.title} asks for {_say(column, asked, unit)}; the largest node has"
                f" {_say(column, most, unit)}. Nobody can start it here."
            )
    return ""


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


def _say(column: str, amount: int, unit: FgpuUnit) -> str:
    """As people read it."""
    if column == "gpu_milli":
        return f"{unit.fgpu(amount):g} fGPU"
    return (
        f"{amount / 1000:g} CPU" if column == "cpu_milli" else f"{amount / 1024:.4g} GiB of memory"
    )


def _columns(change: PresetChange, unit: FgpuUnit) -> dict[str, Any]:
    """What is given, as the table has it. Raises BadValue that names the nearest two values."""
    given = change.model_dump(
        include=change.model_fields_set - {"name", "fgpu", "position", "version"}
    )
    if isinstance(change, NewPreset):
        given = change.model_dump(exclude={"name", "fgpu", "position", "version"})
    if "fgpu" in change.model_fields_set or isinstance(change, NewPreset):
        given["gpu_milli"] = unit.parse(change.fgpu)
    return given


def _move(db: Session, row: PresetRow, position: int) -> int | None:
    """Put it there and number all anew; returns the place it had, None when it stays."""
    rows = list(list_presets(db))
    before = rows.index(row)
    rows.insert(min(position, len(rows)) - 1, rows.pop(before))
    for rank, each in enumerate(rows):
        each.rank = rank
    db.flush()
    return None if rows.index(row) == before else before + 1

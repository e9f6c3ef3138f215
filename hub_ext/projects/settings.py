"""What an admin sets of a project, checked so that the scheduler can always work with it.

Units are those of the table: milli-GPU of a physical device, milli-CPU, MiB, seconds.
A refusal names the field as the REST API does ("quota.fgpu").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hub_ext.errors import BadValue
from hub_ext.fgpu import FgpuUnit
from hub_ext.hours import read_windows
from hub_ext.projects.limits import LARGEST, MemberLimits
from hub_ext.projects.membership import INSTRUCTORS_SUFFIX
from hub_ext.scheduling.model import UNLIMITED
from hub_ext.sessions.launch import bad_value

MAX_PRIORITY = 1000
"""Priorities of projects are from -1000 to 1000."""
_MAX_WEIGHT = 1e9
_MAX_HOURS = 1e9
_LAST_DAY = 253402300799.0
"""The end of the year 9999."""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_LINE = r"^[^\x00-\x1f\x7f]*$"
_TEXT = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"

QUOTA_KEYS = {"fgpu": "gpu_milli", "cpu": "cpu_milli", "memory_mib": "memory_mib"}
"""Resources as the REST API names them, and as the tables do."""

_Amount = Annotated[int, Field(ge=UNLIMITED, le=LARGEST)]
_Weight = Annotated[float, Field(ge=0, le=_MAX_WEIGHT, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
_Instant = Annotated[float, Field(ge=0, le=_LAST_DAY, allow_inf_nan=False)]
_Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=256, pattern=_LINE)]],
    Field(min_length=1, max_length=500),
]


class ProjectSettings(BaseModel):
    """All that can be set, as the table holds it.

    Quota and limit -1: unlimited. Weight None: the quota. ``quota_hours``: windows (see
    hub_ext.hours) with "gpu_milli", "cpu_milli", "memory_mib", of which one that is missing
    leaves the quota as it is. Lists None: everything.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    title: Annotated[str, Field(max_length=200, pattern=_LINE)] = ""
    description: Annotated[str, Field(max_length=4000, pattern=_TEXT)] = ""
    parent: str | None = None
    open_to_all: bool = False
    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    quota_gpu_milli: _Amount = UNLIMITED
    quota_cpu_milli: _Amount = UNLIMITED
    quota_memory_mib: _Amount = UNLIMITED
    limit_gpu_milli: _Amount = UNLIMITED
    limit_cpu_milli: _Amount = UNLIMITED
    limit_memory_mib: _Amount = UNLIMITED
    weight_gpu: _Weight | None = None
    weight_cpu: _Weight | None = None
    weight_memory: _Weight | None = None
    reclaim_min_runtime_s: _Seconds | None = None
    preempt_min_runtime_s: _Seconds | None = None
    valid_from: _Instant | None = None
    valid_until: _Instant | None = None
    hours: list[dict[str, Any]] | None = None
    stops_at_close: bool = False
    quota_hours: list[dict[str, Any]] | None = None
    images: _Names | None = None
    presets: _Names | None = None
    resource_groups: _Names | None = None
    kinds: Annotated[list[Literal["interactive", "batch"]], Field(min_length=1)] | None = None
    materials_folder_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    budget_gpu_h: Annotated[float, Field(ge=0, le=_MAX_HOURS, allow_inf_nan=False)] | None = None
    member_limits: dict[str, Any] = {}

    @field_validator("hours")
    @classmethod
    def _check_hours(cls, value: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        return value if value is None else read_windows(value, "hours")

    @field_validator("quota_hours")
    @classmethod
    def _check_quota_hours(cls, value: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        if value is None:
            return None
        return read_windows(value, "quota_hours", also=tuple(QUOTA_KEYS.values()))

    @field_validator("member_limits")
    @classmethod
    def _check_member_limits(cls, value: dict[str, Any]) -> dict[str, Any]:
        return read_limits(value, "member_limits")

    @field_validator("images", "presets", "resource_groups", "kinds")
    @classmethod
    def _once_each(cls, value: list[str] | None) -> list[str] | None:
        return value if value is None else list(dict.fromkeys(value))


REST_NAMES = {
    **{
        f"{kind}_{key}": f"{kind}.{name}"
        for kind in ("quota", "limit")
        for name, key in QUOTA_KEYS.items()
    },
    "weight_gpu": "weight.fgpu",
    "weight_cpu": "weight.cpu",
    "weight_memory": "weight.memory_mib",
    "budget_gpu_h": "budget_fgpu_h",
}
"""Columns that the REST API names otherwise."""


def check_name(name: str) -> str:
    """The name itself if a project may have it. Raises BadValue."""
    if not _NAME.fullmatch(name):
        raise BadValue(
            f"{name[:80]!r} cannot be a project's name: use 1 to 64 of letters, digits, '.', '_'"
            " and '-', not starting with '.'.",
            field="name",
        )
    if name.endswith(INSTRUCTORS_SUFFIX):
        raise BadValue(
            f"A project's name does not end with '{INSTRUCTORS_SUFFIX}': the hub's group of that"
            f" name is for the instructors of {name.removesuffix(INSTRUCTORS_SUFFIX)}.",
            field="name",
        )
    return name


def read_settings(values: Mapping[str, Any], unit: FgpuUnit) -> ProjectSettings:
    """Everything that can be judged without the other projects. Raises BadValue."""
    try:
        settings = ProjectSettings.model_validate(dict(values))
    except ValidationError as error:
        raise _renamed(bad_value(error)) from None
    starts, ends = settings.valid_from, settings.valid_until
    if starts is not None and ends is not None and starts >= ends:
        raise BadValue("valid_until must be after valid_from.", field="valid_until")
    for rest, key in QUOTA_KEYS.items():
        limit = getattr(settings, f"limit_{key}")
        _check_within(getattr(settings, f"quota_{key}"), limit, f"quota.{rest}", unit)
        for number, window in enumerate(settings.quota_hours or ()):
            if key in window:
                _check_within(window[key], limit, f"quota_hours.{number}.{rest}", unit)
    for number, window in enumerate(settings.quota_hours or ()):
        if not set(QUOTA_KEYS.values()) & set(window):
            field = f"quota_hours.{number}"
            raise BadValue(f"{field} says no quota: give fgpu, cpu or memory_mib.", field=field)
    return settings


def read_limits(values: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The limits of members that are given. Raises BadValue naming one below ``field``."""
    try:
        return MemberLimits.model_validate(dict(values)).model_dump(exclude_unset=True)
    except ValidationError as error:
        first = bad_value(error)
        name = "max_fgpu" if first.field == "max_gpu_milli" else first.field
        raise BadValue(f"{field}.{first.message}", field=f"{field}.{name}") from None


def amount(key: str, value: int, unit: FgpuUnit) -> str:
    """So much of a resource, as people read it: "4.0 fGPU", "2 cores", "1024 MiB"."""
    if key == "gpu_milli":
        return f"{unit.fgpu(value):.10g} fGPU"
    return f"{value / 1000:.10g} cores" if key == "cpu_milli" else f"{value} MiB"


def _check_within(quota: Any, limit: int, field: str, unit: FgpuUnit) -> None:
    """A quota of a window comes unchecked from the list; -1 is unlimited."""
    if type(quota) is not int or not UNLIMITED <= quota <= LARGEST:
        raise BadValue(f"{field} must be -1 (unlimited) or up to {LARGEST}.", field=field)
    if UNLIMITED not in (quota, limit) and quota > limit:
        key = QUOTA_KEYS[field.rpartition(".")[2]]
        raise BadValue(
            f"{field}: the quota of {amount(key, quota, unit)} is above the limit of"
            f" {amount(key, limit, unit)}.",
            field=field,
        )


def _renamed(error: BadValue) -> BadValue:
    """The same with the REST API's name of the field."""
    column, dot, rest = (error.field or "").partition(".")
    name = REST_NAMES.get(column, column)
    return BadValue(error.message.replace(column, name, 1), field=f"{name}{dot}{rest}")

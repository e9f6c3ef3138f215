"""What the REST API takes for a project and its members, turned into the table's units."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from hub_ext.errors import BadValue
from hub_ext.fgpu import FgpuUnit
from hub_ext.hours import read_windows
from hub_ext.projects.settings import QUOTA_KEYS
from hub_ext.scheduling.model import UNLIMITED
from hub_ext.sessions.launch import bad_value

_Number = Annotated[float, Field(allow_inf_nan=False)]
_Fgpu = Annotated[Any, WithJsonSchema({"type": ["number", "string", "null"]})]
"""A number or a decimal string; FgpuUnit.parse judges it."""
_LONGEST_NUMBER = 32
_USER_PATTERN = r"^[^\s/\x00-\x1f\x7f]+$"
LONGEST_USER = 255
User = Annotated[str, Field(min_length=1, max_length=LONGEST_USER, pattern=_USER_PATTERN)]
"""A name as the hub has them."""
RoleName = Literal["member", "instructor"]
_Body = TypeVar("_Body", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Amounts(_Strict):
    """fGPU, cores, MiB. null or -1: unlimited; what is missing stays as it is."""

    fgpu: _Fgpu = None
    cpu: _Number | None = None
    memory_mib: int | None = None


class Weights(_Strict):
    """Over-quota weights. null: the quota is the weight."""

    fgpu: _Number | None = None
    cpu: _Number | None = None
    memory_mib: _Number | None = None


class Limits(_Strict):
    """Limits of a member. null or -1: none."""

    max_sessions: int | None = None
    max_fgpu: _Fgpu = None
    max_pending: int | None = None
    max_lifetime_s: int | None = None
    idle_s: int | None = None
    max_priority: int = 0


class _Settable(_Strict):
    """What may be set of a project. Lists null: everything. ``hours`` null: always."""

    title: str | None = None
    description: str | None = None
    parent: str | None = None
    quota: Amounts | None = None
    limit: Amounts | None = None
    weight: Weights | None = None
    priority: int | None = None
    reclaim_min_runtime_s: _Number | None = None
    preempt_min_runtime_s: _Number | None = None
    open_to_all: bool | None = None
    valid_from: _Number | None = None
    valid_until: _Number | None = None
    hours: list[dict[str, Any]] | None = None
    stops_at_close: bool | None = None
    quota_hours: list[dict[str, Any]] | None = None
    images: list[str] | None = None
    presets: list[str] | None = None
    resource_groups: list[str] | None = None
    kinds: list[str] | None = None
    materials_folder_id: str | None = None
    budget_fgpu_h: _Number | None = None
    member_limits: Limits | None = None


class NewProject(_Settable):
    """A project to create."""

    name: Annotated[str, Field(max_length=300)]


class ProjectChange(_Settable):
    """What is missing stays as it is, of quota, limit, weight and member_limits too.

    ``version``: the one that was read; 409 when the project has changed since.
    """

    version: int | None = None


class NewMember(_Strict):
    """A user to add to a project. ``limits``: those that differ from the project's."""

    user: User
    role: RoleName = "member"
    limits: Limits | None = None


class MemberChange(_Strict):
    """``limits`` replace all that the member had of his own."""

    role: RoleName | None = None
    limits: Limits | None = None


class MemberImport(_Strict):
    """Lines of ``user[,role]``. Nothing is written when one is wrong, unless ``skip_wrong``.

    ``preview``: as a dry run of the list has answered it; 409 when it would do something else
    by now.
    """

    csv: str
    dry_run: bool = False
    skip_wrong: bool = False
    preview: Annotated[str, Field(max_length=64)] | None = None


class SessionsEnd(_Strict):
    """``warning_s``: seconds between warning and stop, 0: now; null: the site's usual warning.
    ``keep_own``: the caller's sessions stay.
    """

    warning_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    keep_own: bool = False


def is_user_name(name: str) -> bool:
    """Whether somebody could have this name."""
    return len(name) <= LONGEST_USER and re.fullmatch(_USER_PATTERN, name) is not None


def read_body(model: type[_Body], values: Any) -> _Body:
    """Validate what came in. Raises BadValue naming the first field at fault."""
    if not isinstance(values, dict):
        raise BadValue("The body is a JSON object.", field="body")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise bad_value(error) from None


def columns(change: NewProject | ProjectChange, unit: FgpuUnit) -> dict[str, Any]:
    """What was given, by the table's columns and in its units. Raises BadValue."""
    values = {
        name: getattr(change, name)
        for name in change.model_fields_set - {"name", "version", "quota", "limit", "weight"}
    }
    for kind in {"quota", "limit"} & change.model_fields_set:
        given = getattr(change, kind) or Amounts(fgpu=None, cpu=None, memory_mib=None)
        for rest in given.model_fields_set:
            field = f"{kind}.{rest}"
            values[f"{kind}_{QUOTA_KEYS[rest]}"] = _amount(rest, getattr(given, rest), field, unit)
    if "weight" in change.model_fields_set:
        weight = change.weight or Weights(fgpu=None, cpu=None, memory_mib=None)
        for rest in weight.model_fields_set:
            values[f"weight_{rest.removesuffix('_mib').replace('fgpu', 'gpu')}"] = getattr(
                weight, rest
            )
    if values.get("quota_hours") is not None:
        values["quota_hours"] = _quota_hours(values["quota_hours"], unit)
    if "budget_fgpu_h" in values:
        budget = values.pop("budget_fgpu_h")
        unlimited = budget is None or budget == UNLIMITED
        values["budget_gpu_h"] = None if unlimited else budget / unit.per_gpu
    member = values.pop("member_limits", None)
    if "member_limits" in change.model_fields_set and (member is None or member.model_fields_set):
        values["member_limits"] = limits(member, unit, "member_limits")
    return values


def limits(given: Limits | None, unit: FgpuUnit, field: str) -> dict[str, Any]:
    """The limits that were given, in milli-GPU; None: no limit of this kind. Raises BadValue."""
    if given is None:
        return {}
    found: dict[str, Any] = {}
    for name in given.model_fields_set:
        value = getattr(given, name)
        if name == "max_fgpu":
            milli = _amount("fgpu", value, f"{field}.max_fgpu", unit)
            found["max_gpu_milli"] = None if milli == UNLIMITED else milli
        elif name == "max_priority":
            found[name] = value
        else:
            found[name] = None if value == UNLIMITED else value
    return found


def _quota_hours(windows: list[dict[str, Any]], unit: FgpuUnit) -> list[dict[str, Any]]:
    """Windows with their quotas in the table's units."""
    read = read_windows(windows, "quota_hours", also=tuple(QUOTA_KEYS))
    stored = []
    for number, window in enumerate(read):
        when = {key: value for key, value in window.items() if key not in QUOTA_KEYS}
        quota = {
            QUOTA_KEYS[rest]: _amount(rest, window[rest], f"quota_hours.{number}.{rest}", unit)
            for rest in QUOTA_KEYS
            if rest in window
        }
        stored.append({**when, **quota})
    return stored


def _amount(rest: str, value: Any, field: str, unit: FgpuUnit) -> int:
    """Milli-GPU, milli-CPU or MiB; never rounded in silence. Raises BadValue."""
    if value is None or (type(value) in {int, float} and value == UNLIMITED):
        return UNLIMITED
    if rest == "fgpu":
        if type(value) not in {int, float, str} or len(str(value)) > _LONGEST_NUMBER:
            raise BadValue(f"{field} must be a number of fGPU, not {value!r:.40}.", field=field)
        return unit.parse(value, field=field)
    if type(value) not in {int, float} or not 0 <= value < 2**31:
        raise BadValue(
            f"{field} must be zero or more, or -1 (unlimited), not {value!r:.40}.", field=field
        )
    exact = Decimal(str(value)) * (1000 if rest == "cpu" else 1)
    if exact % 1:
        step = "0.001 cores" if rest == "cpu" else "whole MiB"
        raise BadValue(f"{field}: {value} is not a multiple of {step}.", field=field)
    return int(exact)

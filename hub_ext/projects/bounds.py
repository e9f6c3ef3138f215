"""Bounds that an admin sets and within which instructors set limits, images, presets. Pure.

``ProjectRow.bounds`` has these columns as an admin last set them; the columns themselves are
what holds now. An instructor lowers and narrows them, and goes back up to the bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hub_ext.db.models import ProjectRow
from hub_ext.errors import Forbidden
from hub_ext.fgpu import FgpuUnit
from hub_ext.projects.limits import MemberLimits

LISTS = ("images", "presets")
COLUMNS = (*LISTS, "member_limits")
"""What an instructor may set."""
_UNBOUNDED: dict[str, Any] = {"images": None, "presets": None, "member_limits": {}}
_SHOWN = 10
"""Names of a list in a sentence."""

Columns = Mapping[str, Any]
"""Values of these columns, as the table holds them."""


def bounds_of(row: ProjectRow) -> dict[str, Any]:
    """As an admin has set them; all of them."""
    return {**_UNBOUNDED, **row.bounds}


def most_for_members(row: ProjectRow) -> MemberLimits:
    """The highest limits that an instructor may give to a member."""
    return MemberLimits.model_validate(bounds_of(row)["member_limits"])


def values_of(row: ProjectRow) -> dict[str, Any]:
    """What holds now."""
    return {column: getattr(row, column) for column in COLUMNS}


def merged(old: Columns, given: Columns, back_to: Columns) -> dict[str, Any]:
    """Those of the columns that are given, as they will be: named limits change, others stay.

    None, or no limits at all: as in ``back_to``, which is an instructor's bounds.
    """
    found = {column: given[column] for column in COLUMNS if column in given}
    for column in LISTS:
        if column in found and found[column] is None:
            found[column] = back_to[column]
    if "member_limits" in found:
        most = back_to["member_limits"]
        named = {
            name: most.get(name) if value is None else value
            for name, value in found["member_limits"].items()
        }
        found["member_limits"] = {**old["member_limits"], **named} if named else dict(most)
    return found


def merged_by_admin(old: Columns, given: Columns) -> dict[str, Any]:
    """The same for an admin, whose None is "everything" and "no limit"."""
    return merged(old, given, _UNBOUNDED)


def check(new: Columns, bounds: Columns, above: Iterable[ProjectRow], unit: FgpuUnit) -> None:
    """What an instructor sets is within the bounds, and the lists of ``above``.

    Raises Forbidden with the numbers.
    """
    lists_above = [{column: getattr(row, column) for column in LISTS} for row in above]
    for column in LISTS:
        if column in new and new[column] != bounds[column]:
            for allowed in [bounds, *lists_above]:
                _check_narrows(new[column], allowed[column], column)
    if "member_limits" in new:
        limits, most = (
            MemberLimits.model_validate(each["member_limits"]) for each in (new, bounds)
        )
        check_limits(limits, most, most, "member_limits", unit)


def check_limits(
    new: MemberLimits, old: MemberLimits, most: MemberLimits, field: str, unit: FgpuUnit
) -> None:
    """No limit above ``most``, unless it was so before. Raises Forbidden."""
    for name in MemberLimits.model_fields:
        value, bound = getattr(new, name), getattr(most, name)
        if value == getattr(old, name) or bound is None or (value is not None and value <= bound):
            continue
        rest = _rest_name(name)
        raise Forbidden(
            f"{rest}: {_say(name, value, unit)} is above {_say(name, bound, unit)}, the most that"
            " an admin allows in the project.",
            field=f"{field}.{rest}",
        )


def overruled(before: Columns, bounds: Columns, after: Columns, unit: FgpuUnit) -> Iterator[str]:
    """What an instructor had set and an admin has set anew."""
    then, most, now = (_fields(each) for each in (before, bounds, after))
    for name, value in then.items():
        if value != most[name] and value != now[name]:
            yield (
                f"An instructor had set {_rest_name(name)} to {_say(name, value, unit)};"
                f" it is {_say(name, now[name], unit)} now."
            )


def put_back(given: Columns, bounds: Columns, unit: FgpuUnit) -> Iterator[str]:
    """Where an instructor asked for everything or no limit, and there is a bound."""
    limits = given.get("member_limits")
    asked = {column for column in LISTS if column in given and given[column] is None}
    if limits is not None:
        asked |= {name for name, value in limits.items() if value is None} or (
            set() if limits else set(MemberLimits.model_fields)
        )
    unbounded = _fields(_UNBOUNDED)
    for name, most in _fields(bounds).items():
        if name in asked and most != unbounded[name]:
            yield f"{_rest_name(name)} is {_say(name, most, unit)} again, as an admin has set it."


def _check_narrows(new: list[str], allowed: list[str] | None, field: str) -> None:
    beyond = next((name for name in new if allowed is not None and name not in allowed), None)
    if allowed is not None and beyond is not None:
        raise Forbidden(
            f"An instructor chooses from {', '.join(allowed[:_SHOWN])}; only an admin allows"
            f" {beyond}.",
            field=field,
        )


def _fields(columns: Columns) -> dict[str, Any]:
    """The columns with each limit by itself."""
    limits = MemberLimits.model_validate(columns["member_limits"]).model_dump()
    return {**{column: columns[column] for column in LISTS}, **limits}


def _rest_name(name: str) -> str:
    return "max_fgpu" if name == "max_gpu_milli" else name


def _say(name: str, value: Any, unit: FgpuUnit) -> str:
    """As people read it: "2", "0.5 fGPU", "3600 s", "no limit", "a, b"."""
    if name in LISTS:
        return "everything" if value is None else ", ".join(value[:_SHOWN])
    if value is None:
        return "no limit"
    if name == "max_gpu_milli":
        return f"{unit.fgpu(value):g} fGPU"
    return f"{value} s" if name.endswith("_s") else str(value)

"""The launch form's fields as a launch request has them, and a refusal's field as the form has it.

Used by the service's page and, inside the hub, by the spawn page: what a browser sends is read
in one place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from hub_ext.errors import BadValue

Fields = Mapping[str, Sequence[str]]
"""Every value of every field, as a form sends them."""

OWN_NUMBERS = "custom"
"""Value of the preset field that means "my own numbers below"."""
_MIB_PER_GIB = 1024
_SECONDS_PER_HOUR = 3600
_SHORTEST_LIFETIME_S = 60
_FLAGS = ("preemptible", "requeue")
_OFFSET = re.compile(r"([+-])([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)

_OF_REQUEST = {
    "memory_mib": "memory_gib",
    "new_folders": "new_folder",
    "folder": "folders",
    "lifetime_s": "lifetime_h",
}
"""Fields of the request whose fields in the form are called otherwise."""


def form_field(field: str | None, fields: Fields) -> str:
    """The form's field that a refusal is about; "" when it is about none."""
    named = (field or "").partition(".")[0]
    name = _OF_REQUEST.get(named, named)
    if name == "image" and _last(fields, "image_by_name"):
        return "image_by_name"
    return name


def launch_values(fields: Fields) -> dict[str, Any]:
    """The values of a launch request; a field left empty is left out.

    Raises BadValue naming the field that is no number, no time, or no yes or no.
    """
    values = {name: _last(fields, name) for name in ("image", "name", "project")}
    values["image"] = _last(fields, "image_by_name") or values["image"]
    read: dict[str, Any] = {name: value for name, value in values.items() if value}
    preset = _last(fields, "preset")
    read |= {"preset": preset} if preset and preset != OWN_NUMBERS else _own_numbers(fields)
    folders = folder_wishes(fields)
    if folders:
        read["folders"] = folders
    if _last(fields, "new_folder"):
        read["new_folders"] = [_last(fields, "new_folder")]
    for name in ("count", "priority"):
        if _last(fields, name):
            read[name] = _whole(fields, name)
    if _last(fields, "lifetime_h"):
        read["lifetime_s"] = _seconds(fields, "lifetime_h")
    if _last(fields, "not_before"):
        read["not_before"] = _moment(fields).isoformat()
    return read | _reclaim(fields)


def folder_wishes(fields: Fields) -> list[dict[str, str]]:
    """The ticked ones, by id; how and where is in fields of their own."""
    chosen = []
    for folder_id in fields.get("folder", []):
        mode = "ro" if _last(fields, f"mode:{folder_id}") == "ro" else "rw"
        places = {name: _last(fields, f"{name}:{folder_id}") for name in ("target", "subpath")}
        given = {name: place for name, place in places.items() if place}
        chosen.append({"id": folder_id, "mode": mode, **given})
    return chosen


def _reclaim(fields: Fields) -> dict[str, bool]:
    """What is said of being reclaimed; what becomes of it then is of no use without."""
    flags = {name: _flag(fields, name) for name in _FLAGS if _last(fields, name)}
    return flags if flags.get("preemptible") else {}


def _own_numbers(fields: Fields) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    if _last(fields, "fgpu"):
        # as typed: the service refuses what is off the step, never a rounded neighbour
        _number(fields, "fgpu")
        numbers["fgpu"] = _last(fields, "fgpu")
    if _last(fields, "cpu"):
        numbers["cpu"] = _number(fields, "cpu")
    if _last(fields, "memory_gib"):
        numbers["memory_mib"] = round(_number(fields, "memory_gib") * _MIB_PER_GIB)
    if _last(fields, "memory_mib"):
        numbers["memory_mib"] = _whole(fields, "memory_mib")
    return numbers


def _number(fields: Fields, field: str) -> float:
    text = _last(fields, field)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e9:
        raise BadValue(f"{field}: {text!r} is not a number.", field=field)
    return value


def _whole(fields: Fields, field: str) -> int:
    value = _number(fields, field)
    if not value.is_integer():
        text = _last(fields, field)
        raise BadValue(f"{field}: {text!r} is not a whole number.", field=field)
    return int(value)


def _seconds(fields: Fields, field: str) -> int:
    """Of a number of hours."""
    seconds = round(_number(fields, field) * _SECONDS_PER_HOUR)
    if seconds < _SHORTEST_LIFETIME_S:
        text = _last(fields, field)
        message = f"{field}: {text!r} hours are less than a minute; leave it empty for no end."
        raise BadValue(message, field=field)
    return seconds


def _moment(fields: Fields) -> datetime:
    """A time of day by the clock of the zone that the form names: the browser's, else the site's.

    A time that the clocks skip in spring is taken as an hour later.
    """
    text, zone = _last(fields, "not_before"), _last(fields, "not_before_zone")
    try:
        local = datetime.fromisoformat(text)
        if local.tzinfo is not None:
            return local
        return local.replace(tzinfo=_zone(zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        message = f"not_before: {text!r} is no time; write it as 2027-01-31T08:00."
        raise BadValue(message, field="not_before") from None


def _zone(name: str) -> tzinfo:
    """By its name, or by its offset from UTC. Raises BadValue."""
    offset = _OFFSET.fullmatch(name)
    if offset:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-ahead if offset[1] == "-" else ahead)
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # no such name, a path, a directory
        message = f"not_before: there is no time zone {name!r}."
        raise BadValue(message, field="not_before") from None


def _flag(fields: Fields, field: str) -> bool:
    text = _last(fields, field)
    if text in {"1", "on", "true"}:
        return True
    if text in {"0", "off", "false"}:
        return False
    raise BadValue(f"{field}: {text!r} is neither 1 nor 0.", field=field)


def _last(fields: Fields, name: str) -> str:
    values = fields.get(name) or [""]
    return values[-1].strip() if isinstance(values[-1], str) else ""

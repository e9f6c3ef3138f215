"""Settings of a project as fields of a form, and back to the JSON of the REST API. Pure.

A form carries what it showed when it was opened. Only what was typed over is sent on, so that
neither rounding on the page nor somebody else's change in between is written back; and what
both have changed can be told apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from hub_ext.errors import BadValue
from hub_ext.hours import DAYS
from hub_ext.web.translation import gettext as _

Fields = dict[str, Any]
"""By name: a text; of lists a list of names, or None for everything; of hours a list of rows."""

AMOUNTS = ("fgpu", "cpu", "memory_mib")
LISTS = ("images", "presets", "resource_groups", "kinds")
HOURS = ("hours", "quota_hours")
_TICKS = ("open_to_all", "stops_at_close")
_TERM = ("valid_from", "valid_until")
_LIMITS = ("max_sessions", "max_fgpu", "max_pending", "max_lifetime_s", "idle_s", "max_priority")
_SECONDS = {
    "max_lifetime_s": 3600,
    "idle_s": 60,
    "reclaim_min_runtime_s": 60,
    "preempt_min_runtime_s": 60,
}
"""How many of them the unit is that the page shows: hours, minutes."""
_GIB = 1024
_MOST_ROWS = 50
_LONGEST_NUMBER = 32

LIMIT_FIELDS = tuple(f"member_limits.{name}" for name in _LIMITS)
INSTRUCTORS = ("title", "description", "images", "presets", "materials_folder_id", *LIMIT_FIELDS)
"""What the form of an instructor has."""
ADMINS = (
    *INSTRUCTORS,
    *("parent", "priority", *_TICKS, *_TERM, *HOURS, "resource_groups", "kinds", "budget_fgpu_h"),
    *(f"{kind}.{name}" for kind in ("quota", "limit", "weight") for name in AMOUNTS),
    *("reclaim_min_runtime_s", "preempt_min_runtime_s"),
)


def fields_of(project: Mapping[str, Any], tz: tzinfo) -> Fields:
    """A project, as ``project_json`` has it, as the form shows it."""
    found: Fields = {name: project[name] or "" for name in ("title", "description", "parent")}
    found["materials_folder_id"] = project["materials_folder_id"] or ""
    found["priority"] = str(project["priority"])
    found |= {name: "1" if project[name] else "" for name in _TICKS}
    found["valid_from"] = _day(project["valid_from"], tz)
    until = project["valid_until"]
    found["valid_until"] = _day(None if until is None else until - 1, tz)
    found |= {name: project[name] for name in LISTS}
    found |= {name: [_row(window) for window in project[name] or ()] for name in HOURS}
    found["budget_fgpu_h"] = _text(project["budget_fgpu_h"])
    for kind in ("quota", "limit", "weight"):
        for name in AMOUNTS:
            of = kind if kind != "weight" else ""
            found[f"{kind}.{name}"] = _shown(name if of else "", project[kind][name])
    for name in ("reclaim_min_runtime_s", "preempt_min_runtime_s"):
        found[name] = _shown(name, project[name])
    return found | limit_fields(project["member_limits"])


def limit_fields(limits: Mapping[str, Any], prefix: str = "member_limits") -> Fields:
    """Limits of members as texts; "" for those that are not there."""
    return {f"{prefix}.{name}": _shown(name, limits.get(name)) for name in _LIMITS}


def blank(tz: tzinfo) -> Fields:
    """A project that nobody has set anything of."""
    nothing = dict.fromkeys(AMOUNTS)
    project: dict[str, Any] = dict.fromkeys((*ADMINS, "title", "description", "parent"))
    project |= {"priority": 0, "quota": nothing, "limit": nothing, "weight": nothing}
    return fields_of(project | {"member_limits": {"max_priority": 0}}, tz)


def typed(
    names: Collection[str], one: Callable[[str], str], several: Callable[[str], list[str]]
) -> Fields:
    """What a form has sent; ``one`` and ``several`` give the values of an input."""
    found: Fields = {}
    for name in names:
        if name in LISTS:
            everything = one(f"{name}.all") == "1"
            found[name] = None if everything else several(name)
        elif name in HOURS:
            found[name] = _typed_rows(name, one, several)
        else:
            found[name] = one(name).replace("\r\n", "\n")
    return found


def read_base(text: str, names: Collection[str]) -> Fields:
    """What the form showed when it was opened. Raises BadValue."""
    try:
        base = json.loads(text)
    except (ValueError, RecursionError):
        base = None
    if not isinstance(base, dict) or not set(names) <= set(base):
        raise BadValue(_("The form is not whole; reload the page and try again."), field="base")
    return {name: base[name] for name in names}


def merged(mine: Fields, base: Fields, now: Fields) -> Fields:
    """What is there now, with my changes on top."""
    changed = changed_in(mine, base)
    return {name: mine[name] if name in changed else now[name] for name in mine}


def changed_in(after: Fields, before: Fields) -> list[str]:
    """Fields that differ."""
    return [name for name in after if name in before and after[name] != before[name]]


def as_body(mine: Fields, base: Fields, tz: tzinfo) -> dict[str, Any]:
    """What was changed, as the REST API takes it. Raises BadValue naming the field."""
    body: dict[str, Any] = {}
    for name in changed_in(mine, base):
        value = _value(name, mine[name], tz)
        above, dot, last = name.partition(".")
        if dot:
            body.setdefault(above, {})[last] = value
        else:
            body[name] = value
    return body


def limits_body(mine: Fields, prefix: str = "limits") -> dict[str, Any]:
    """All limits that are typed; those left empty are the project's."""
    found = {}
    for name, text in mine.items():
        if text.strip():
            found[name.removeprefix(f"{prefix}.")] = _value(name, text, None)
    return found


def _value(name: str, typed: Any, tz: tzinfo | None) -> Any:
    last = name.rpartition(".")[2]
    if name in LISTS:
        return _checked_list(name, typed)
    if name in HOURS:
        return _windows(name, typed) or None
    if name in _TICKS:
        return typed == "1"
    text = typed.strip()
    if name in _TERM and tz is not None:
        return _instant(name, text, tz) if text else None
    if name in {"title", "description"}:
        return text
    if name in {"parent", "materials_folder_id"}:
        return text or None
    if last in {"priority", "max_priority"}:
        return _whole(name, text or "0")
    return _amount(name, last, text) if text else None


def _checked_list(name: str, ticked: list[str] | None) -> list[str] | None:
    if ticked is not None and not ticked:
        raise BadValue(_("Tick at least one, or choose everything."), field=name)
    return ticked


def _amount(name: str, last: str, text: str) -> Any:
    """fGPU stay as they were typed: the unit judges them."""
    if last.endswith("fgpu") and not name.startswith("weight."):
        return text
    number = _decimal(name, text)
    if last in _SECONDS:
        seconds = number * _SECONDS[last]
        return _exact(name, seconds) if last in _LIMITS else float(seconds)
    if last == "memory_mib" and not name.startswith("weight."):
        return _exact(name, number * _GIB)
    if last in {"max_sessions", "max_pending"}:
        return _exact(name, number)
    return float(number)


def _decimal(field: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if len(text) > _LONGEST_NUMBER or not _is_written_short(number):
        raise BadValue(
            _("'%(text)s' is not a number that can be here.") % {"text": text[:40]}, field=field
        )
    return number


def _is_written_short(number: Decimal) -> bool:
    """1e-99999999 is as many zeros, in every message about it."""
    if not number.is_finite() or abs(number) > 10**12:
        return False
    return int(number.as_tuple().exponent) >= -_LONGEST_NUMBER


def _exact(field: str, number: Decimal) -> int:
    """Never rounded in silence."""
    if number != int(number):
        raise BadValue(
            _(
                "%(number)s is not a whole number of what is counted here; the nearest are"
                " %(low)s and %(high)s."
            )
            % {"number": f"{number:f}", "low": int(number), "high": int(number) + 1},
            field=field,
        )
    return int(number)


def _whole(field: str, text: str) -> int:
    return _exact(field, _decimal(field, text))


def _instant(field: str, text: str, tz: tzinfo) -> float:
    """Of a day the beginning; of the last day of a term the end."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=tz)
        return (day + timedelta(days=field == "valid_until")).timestamp()
    except (ValueError, OverflowError):
        raise BadValue(
            _("'%(text)s' is no date; write it like 2026-09-30.") % {"text": text[:40]},
            field=field,
        ) from None


def _day(at: float | None, tz: tzinfo) -> str:
    if at is None:
        return ""
    try:
        return datetime.fromtimestamp(at, tz).strftime("%Y-%m-%d")
    except (ValueError, OverflowError):  # within a day of the year 10000
        return "9999-12-31"


def _row(window: Mapping[str, Any]) -> dict[str, Any]:
    """A window as a row of the form. A time of day has no 24:00; until 00:00 is the same."""
    quota = {name: _shown(name, window[name]) for name in AMOUNTS if name in window}
    until = "00:00" if window["until"] == "24:00" else window["until"]
    return {"days": list(window["days"]), "from": window["from"], "until": until, **quota}


def _typed_rows(
    name: str, one: Callable[[str], str], several: Callable[[str], list[str]]
) -> list[dict[str, Any]]:
    """Those rows in which something is."""
    rows = []
    for number in range(_MOST_ROWS + 5):
        place = f"{name}.{number}"
        days = [day for day in DAYS if day in several(f"{place}.days")]
        row: dict[str, Any] = {"days": days, "from": one(f"{place}.from")}
        row["until"] = one(f"{place}.until")
        quota = {key: one(f"{place}.{key}") for key in AMOUNTS} if name == "quota_hours" else {}
        row |= {key: text for key, text in quota.items() if text}
        if days or row["from"] or row["until"] or any(quota.values()):
            rows.append(row)
    return rows


def _windows(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as windows. Raises BadValue naming the row."""
    found = []
    for number, row in enumerate(rows):
        place = f"{name}.{number}"
        if not row["days"]:
            raise BadValue(_("Tick the days on which these hours hold."), field=f"{place}.days")
        for key in ("from", "until"):
            if not row[key]:
                raise BadValue(_("Say from when until when."), field=f"{place}.{key}")
        quota = {key: _amount(f"{place}.{key}", key, row[key]) for key in AMOUNTS if row.get(key)}
        if name == "quota_hours" and not quota:
            raise BadValue(_("Say the quota of these hours."), field=f"{place}.fgpu")
        found.append({"days": row["days"], "from": row["from"], "until": row["until"], **quota})
    return found


def _shown(name: str, value: float | None) -> str:
    """In the page's unit: GiB, hours, minutes."""
    if value is None:
        return ""
    if name == "memory_mib":
        return _text(Decimal(str(value)) / _GIB)
    if name in _SECONDS:
        return _text(Decimal(str(value)) / _SECONDS[name])
    return _text(value)


def _text(value: float | Decimal | None) -> str:
    """A number without zeros that say nothing; at most six decimals."""
    if value is None:
        return ""
    text = f"{round(Decimal(str(value)), 6):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

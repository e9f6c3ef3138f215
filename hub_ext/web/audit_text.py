"""Entries of the audit log as sentences, in the language of the page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from hub_ext.db.models import AuditRow
from hub_ext.fgpu import FgpuUnit
from hub_ext.folders.quota import size_text
from hub_ext.projects.settings import REST_NAMES
from hub_ext.scheduling.model import UNLIMITED
from hub_ext.web.templating import clock
from hub_ext.web.translation import gettext as _
from hub_ext.web.translation import language

_LONGEST = 200
"""Characters of a value in a sentence; the entry itself has all of it."""
_FIELDS = {
    **REST_NAMES,
    "gpu_milli": "fgpu",
    "cpu_milli": "cpu",
    "max_gpu_milli": "max_fgpu",
    "bytes": "storage",
}
"""What columns are called in the REST API."""
_IN_LEAD = ("state", "drained")
"""What the action says already."""
_TIMES = ("valid_from", "valid_until", "until")


@cache
def _leads(_language: str) -> dict[str, str]:
    """What each action is, in the language of the page.

    Those that set values (``.change``) are told by their values.
    """
    return {
        "project.create": _("%(by)s made the project %(subject)s."),
        "project.archive": _("%(by)s archived the project %(subject)s."),
        "project.restore": _("%(by)s took the project %(subject)s out of the archive."),
        "project.end_sessions": _("%(by)s ended all sessions of %(subject)s."),
        "project.end_called_off": _("%(by)s let the sessions of %(subject)s run on after all."),
        "member.add": _("%(by)s added %(subject)s to %(project)s."),
        "member.remove": _("%(by)s removed %(subject)s from %(project)s."),
        "node.drain": _("%(by)s drained the node %(subject)s."),
        "node.resume": _("%(by)s resumed the node %(subject)s."),
        "resource-group.create": _("%(by)s made the resource group %(subject)s."),
        "resource-group.delete": _("%(by)s deleted the resource group %(subject)s."),
        "preset.create": _("%(by)s made the preset %(subject)s."),
        "preset.delete": _("%(by)s deleted the preset %(subject)s."),
        "announcement.create": _("%(by)s announced: %(text)s"),
        "announcement.end": _("%(by)s took back the announcement: %(text)s"),
        "image.request": _("%(by)s asked for the image %(name)s."),
        "image.approved": _("%(by)s approved a request for an image."),
        "image.declined": _("%(by)s declined a request for an image."),
        "image.cancelled": _("%(by)s cancelled a request for an image."),
        "image.saved": _("The image %(reference)s was made; %(by)s had approved it."),
        "image.failed": _("An image that %(by)s had approved could not be made."),
        "image.give": _("%(by)s changed who may use the image %(subject)s."),
        "image.push": _("%(by)s had the image %(subject)s pushed again."),
        "image.delete": _("%(by)s deleted the image %(subject)s."),
        "folder.create": _("%(by)s made the folder %(subject)s."),
        "folder.clone": _("%(by)s began a copy, the folder %(subject)s."),
        "folder.withdraw": _("The folder %(subject)s that %(by)s wanted could not be made."),
        "folder.invite": _("%(by)s invited %(user)s to the folder %(subject)s."),
        "folder.accepted": _("%(by)s accepted the folder %(subject)s."),
        "folder.rejected": _("%(by)s declined the folder %(subject)s."),
        "folder.left": _("%(by)s left the folder %(subject)s."),
        "folder.cancelled": _("%(by)s cancelled %(user)s's invitation to the folder %(subject)s."),
        "folder.stopped": _("%(by)s stopped sharing the folder %(subject)s with %(user)s."),
        "folder.trash": _("%(by)s moved the folder %(subject)s to the trash."),
        "folder.restore": _("%(by)s restored the folder %(subject)s."),
        "folder.purge": _("%(by)s deleted the folder %(subject)s for good."),
        "folder.transfer": _("%(by)s gave the folder %(subject)s to another owner."),
    }


def known_actions() -> list[str]:
    """What can stand in an entry's ``action``, as far as there are sentences; sorted."""
    changes = ("project", "member", "node", "resource-group", "preset", "folder", "storage_quota")
    more = ("preset.move", "folder.share_mode")
    return sorted({*_leads(language()), *more, *(f"{kind}.change" for kind in changes)})


def sentences(row: AuditRow, unit: FgpuUnit) -> list[str]:
    """One entry: what was done, then each value that is another one."""
    lead = _leads(language()).get(row.action)
    changes = [*_changes(row.before or {}, row.after or {}, "")]
    both = row.before is not None and row.after is not None
    if lead is not None:
        values = _Missing({**(row.before or {}), **(row.after or {}), **_who(row)})
        said = [lead % values]
        more = [change for change in changes if both and change[0] not in _IN_LEAD]
        return [*said, *(_short(*change, unit) for change in more)]
    sets = [_set(row, *change, unit) for change in changes]
    return sets or [_("%(by)s: %(action)s %(subject)s.") % _who(row)]


class _Missing(dict[str, Any]):
    """A value that an old entry lacks."""

    def __missing__(self, key: str) -> str:
        return "?"


def _who(row: AuditRow) -> dict[str, str]:
    columns = ("by", "action", "subject", "project")
    return {column: str(getattr(row, column) or "?") for column in columns}


def _changes(
    before: Mapping[str, Any], after: Mapping[str, Any], above: str
) -> Iterator[tuple[str, Any, Any]]:
    """Field, old and new value; what is in a dict is a field of its own."""
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) or isinstance(new, dict):
            yield from _changes(old or {}, new or {}, f"{above}{key}.")
        else:
            yield above + key, old, new


def _set(row: AuditRow, field: str, old: Any, new: Any, unit: FgpuUnit) -> str:
    kind, _dot, _verb = row.action.partition(".")
    subject = row.subject
    if kind == "member" and row.project:
        subject = _("%(user)s in %(project)s") % {"user": row.subject, "project": row.project}
    words = {
        "by": row.by,
        "field": _name(field),
        "subject": subject,
        "old": _say(field, old, unit),
        "new": _say(field, new, unit),
    }
    if old is None:
        return _("%(by)s set %(field)s of %(subject)s to %(new)s.") % words
    return _("%(by)s set %(field)s of %(subject)s from %(old)s to %(new)s.") % words


def _short(field: str, old: Any, new: Any, unit: FgpuUnit) -> str:
    return (
        f"{_name(field)}: {_say(field, old, unit)} \N{RIGHTWARDS ARROW} {_say(field, new, unit)}."
    )


def _name(field: str) -> str:
    above, dot, last = field.rpartition(".")
    return f"{above}{dot}{_FIELDS.get(last, last)}"


def _say(field: str, value: Any, unit: FgpuUnit) -> str:
    """A value as people read it, with its unit."""
    last = field.rpartition(".")[2]
    if value is None:
        return _("nothing")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, int | float):
        return _number(last, value, unit)
    if isinstance(value, list):
        return ", ".join(map(_part, value))[:_LONGEST] or _("nothing")
    return str(value)[:_LONGEST] or _("nothing")


def _number(field: str, value: float, unit: FgpuUnit) -> str:
    if value == UNLIMITED and field.startswith(("quota_", "limit_")):
        return _("unlimited")
    if field.endswith("gpu_milli"):
        return f"{unit.fgpu(int(value)):.10g}"
    if field == "budget_gpu_h":
        return f"{value * unit.per_gpu:.10g}"
    if field.endswith("cpu_milli"):
        return f"{value / 1000:.10g}"
    if field.endswith("_mib"):
        return f"{value:.10g} MiB"
    if field.endswith("bytes"):
        return size_text(int(value))
    if field in _TIMES:
        return clock(value)
    return f"{value:.10g} s" if field.endswith("_s") else f"{value:.10g}"


def _part(value: Any) -> str:
    """An item of a list; a window of opening hours as one writes it."""
    if isinstance(value, dict) and {"days", "from", "until"} <= set(value):
        return f"{'/'.join(value['days'])} {value['from']}-{value['until']}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)

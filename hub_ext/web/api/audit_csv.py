"""The audit log as lines of CSV. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hub_ext.db.models import AuditRow
from hub_ext.fgpu import FgpuUnit
from hub_ext.projects.report import as_csv
from hub_ext.web.audit_text import sentences
from hub_ext.web.templating import clock

HEADER = ("id", "time", "by", "action", "subject", "project", "what", "before", "after")


def cells(row: AuditRow, unit: FgpuUnit) -> list[str]:
    """One entry; time in UTC, before and after as JSON in the units of the tables."""
    return [
        str(row.id),
        clock(row.at),
        row.by,
        row.action,
        row.subject,
        row.project or "",
        " ".join(sentences(row, unit)),
        _json(row.before),
        _json(row.after),
    ]


def line(texts: Sequence[str]) -> str:
    """RFC 4180, and no cell that a spreadsheet takes for a formula (OWASP, "CSV injection")."""
    return as_csv([texts])


def _json(values: object) -> str:
    return "" if values is None else json.dumps(values, ensure_ascii=False, sort_keys=True)

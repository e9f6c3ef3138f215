"""What the OpenAPI document says of presets, announcements and the audit log."""

from __future__ import annotations

from typing import Any

from hub_ext.announcements import NewAnnouncement
from hub_ext.nodes.presets import NewPreset, PresetChange
from hub_ext.web.api.openapi_parts import operation, parameter, schema_of


def admin_paths(schemas: dict[str, Any]) -> dict[str, Any]:
    """Paths; adds their models to ``schemas``."""
    new, change, announcement = (
        schema_of(model, schemas) for model in (NewPreset, PresetChange, NewAnnouncement)
    )
    name = parameter("name", "path", {"type": "string", "pattern": "^[^/]+$"})
    number = parameter("id", "path", {"type": "integer", "minimum": 0, "maximum": 10**15 - 1})
    limit = parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 500})
    flag = {"type": "string", "enum": ["0", "1"]}
    return {
        "/presets": {
            "get": operation("Bundles of resources", []),
            "post": operation("A new one (admin)", [], body=new, success="201"),
        },
        "/presets/{name}": {
            "patch": operation("Change or move it (admin)", [name], body=change),
            "delete": operation("Remove it, from projects' lists too (admin)", [name]),
        },
        "/announcements": {
            "get": operation(
                "What you are shown; all=1: all to everybody (admin)",
                [limit, parameter("all", "query", flag)],
            ),
            "post": operation("Tell everybody (admin)", [], body=announcement, success="201"),
        },
        "/announcements/{id}": {"delete": operation("Take it back (admin)", [number])},
        "/audit": {"get": operation(_AUDIT, _audit_parameters(limit))},
    }


_AUDIT = "Who changed what, newest first (admins, instructors); format=csv: all of it at once"


def _audit_parameters(limit: dict[str, Any]) -> list[dict[str, Any]]:
    text = {"type": "string", "maxLength": 300}
    date = {"type": "string", "format": "date"}
    return [
        limit,
        parameter("after", "query", {"type": "integer", "minimum": 0}),
        *(parameter(each, "query", text) for each in ("project", "by", "action", "text")),
        *(parameter(each, "query", date) for each in ("since", "until")),
        parameter("format", "query", {"type": "string", "enum": ["json", "csv"]}),
    ]

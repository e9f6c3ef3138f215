"""The OpenAPI document of the REST API, made from the models that validate it."""

from __future__ import annotations

from typing import Any

from hub_ext import __version__
from hub_ext.announcements import NewAnnouncement
from hub_ext.metering.report import NAMES
from hub_ext.nodes.administration import NodeChange
from hub_ext.nodes.groups import GroupChange, NewGroup
from hub_ext.projects import body
from hub_ext.projects.periods import NAMED
from hub_ext.projects.use_over_time import RESOURCES
from hub_ext.sessions.edits import SessionChange
from hub_ext.sessions.launch import LaunchRequest
from hub_ext.sessions.listing import LONGEST_QUERY, SORTS
from hub_ext.sessions.logs import MOST_LINES
from hub_ext.sessions.status import Status
from hub_ext.web.api.openapi_admin import admin_paths
from hub_ext.web.api.openapi_folders import folder_paths
from hub_ext.web.api.openapi_images import image_paths
from hub_ext.web.api.openapi_parts import ERROR, operation, parameter, schema_of
from hub_ext.web.base import ApiHandler


def document() -> dict[str, Any]:
    """The whole document (OpenAPI 3.1)."""
    schemas: dict[str, Any] = {"Error": ERROR}
    launch = schema_of(LaunchRequest, schemas)
    session_id = parameter("id", "path", {"type": "string", "pattern": "^[0-9a-f]{32}$"})
    page = [
        parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 500}),
        parameter("after", "query", {"type": "string", "maxLength": 300}),
        parameter("live", "query", {"type": "string", "enum": ["0", "1"]}),
        parameter("ended", "query", {"type": "string", "enum": ["0", "1"]}),
        parameter("q", "query", {"type": "string", "maxLength": LONGEST_QUERY}),
        parameter("status", "query", {"type": "string", "enum": [*Status]}),
        parameter("node", "query", {"type": "string", "maxLength": 300}),
        parameter("sort", "query", {"enum": [sign + name for name in SORTS for sign in ("", "-")]}),
        parameter("all", "query", {"type": "string", "enum": ["0", "1"]}),
        parameter("project", "query", {"type": "string"}),
    ]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Apportion", "version": __version__},
        "servers": [{"url": "/services/apportion/api/v1"}],
        "security": [{"token": []}],
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "Authorization"}
            },
        },
        "paths": {
            "/sessions": {
                "get": operation("Your sessions, newest first", page),
                "post": operation("Submit", [], body=launch, success="201"),
            },
            "/sessions/{id}": {
                "get": operation("One session", [session_id]),
                "patch": operation(
                    "Change its priority while it waits, or what becomes of it",
                    [session_id],
                    body=schema_of(SessionChange, schemas),
                ),
                "delete": operation("Cancel or stop", [session_id], success="202"),
            },
            "/sessions/{id}/history": {"get": operation("Its transitions", [session_id])},
            "/sessions/{id}/logs": {
                "get": operation(
                    "What it prints, the last lines; for its user and admins",
                    [
                        session_id,
                        parameter(
                            "tail",
                            "query",
                            {"type": "integer", "minimum": 1, "maximum": MOST_LINES},
                        ),
                        parameter(
                            "since",
                            "query",
                            {"type": "string", "pattern": r"^[0-9]{1,10}(\.[0-9]{1,9})?$"},
                        ),
                        parameter("format", "query", {"type": "string", "enum": ["json", "text"]}),
                    ],
                )
            },
            "/sessions/{id}/usage": {
                "get": operation(
                    "What it uses of what it holds",
                    [
                        session_id,
                        parameter("period", "query", {"type": "string", "enum": [*NAMES]}),
                    ],
                )
            },
            "/dry-run": {"post": operation("What would happen", [], body=launch)},
            **admin_paths(schemas),
            **image_paths(lambda model: schema_of(model, schemas), operation, parameter),
            **_node_paths(schemas),
            **folder_paths(schemas),
            **_project_paths(schemas),
            "/usage": {
                "get": operation(
                    "What your projects held over time; of one project also its users' hours",
                    _usage_parameters(),
                )
            },
            "/health": {"get": operation("Whether the service is well", [])},
        },
    }


def _usage_parameters() -> list[dict[str, Any]]:
    """Which time, which resource, whose."""
    return [
        parameter("period", "query", {"type": "string", "enum": [*NAMED]}),
        parameter("step", "query", {"type": "integer", "minimum": 60, "maximum": 53 * 7 * 86400}),
        parameter("resource", "query", {"type": "string", "enum": [*RESOURCES]}),
        parameter("project", "query", {"type": "string", "maxLength": 300}),
        parameter("below", "query", {"type": "string", "enum": ["0", "1"]}),
    ]


def _node_paths(schemas: dict[str, Any]) -> dict[str, Any]:
    """Nodes and resource groups."""
    name = parameter("name", "path", {"type": "string"})
    group = parameter("name", "path", {"type": "string", "pattern": "^[a-z0-9-]+$"})
    limit = parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 200})
    before = parameter("before", "query", {"type": "integer", "minimum": 0})
    node_change, new, change = (
        schema_of(model, schemas) for model in (NodeChange, NewGroup, GroupChange)
    )
    return {
        "/nodes": {"get": operation("Nodes and devices (admin)", [])},
        "/nodes/{name}": {
            "patch": operation(
                "Drain or resume, group, labels, enforcer (admin)", [name], body=node_change
            )
        },
        "/nodes/{name}/events": {
            "get": operation("What happened to its GPUs (admin)", [name, limit, before])
        },
        "/enforcers": {"get": operation("What keeps sessions inside their slices (admin)", [])},
        "/resource-groups": {
            "get": operation("Resource groups (admin)", []),
            "post": operation("A new resource group (admin)", [], body=new, success="201"),
        },
        "/resource-groups/{name}": {
            "patch": operation("Change title, hours or enforcer (admin)", [group], body=change),
            "delete": operation("Remove a group that nothing names (admin)", [group]),
        },
    }


def _project_paths(schemas: dict[str, Any]) -> dict[str, Any]:
    """Projects and their members."""
    text = {"type": "string", "maxLength": 300}
    name = parameter("name", "path", {"type": "string", "pattern": r"^[A-Za-z0-9._-]+$"})
    dry_run = parameter("dry_run", "query", {"type": "string", "enum": ["0", "1"]})
    user = parameter("user", "path", {"type": "string", "pattern": "^[^/]+$"})
    limit = parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 500})
    after_name = parameter("after", "query", text)
    archived = parameter("archived", "query", {"type": "string", "enum": ["0", "1"]})
    new, change, new_member, member_change, members = (
        schema_of(model, schemas)
        for model in (
            body.NewProject,
            body.ProjectChange,
            body.NewMember,
            body.MemberChange,
            body.MemberImport,
        )
    )
    listing = [limit, after_name]
    number = parameter("number", "path", {"type": "integer", "minimum": 1, "maximum": 2**31 - 1})
    form = parameter("format", "query", {"type": "string", "enum": ["json", "csv"]})
    return {
        "/projects": {
            "get": operation("Your projects, each after its parent", [*listing, archived]),
            "post": operation("A new project (admin)", [], body=new, success="201"),
        },
        "/projects/{name}": {
            "get": operation("One project, and what it holds", [name]),
            "patch": operation("Change it, as far as your role goes", [name], body=change),
            "delete": operation("Archive it (admin)", [name]),
        },
        "/projects/{name}/restore": {"post": operation("Out of the archive (admin)", [name])},
        "/projects/{name}/members": {
            "get": operation("Who is listed; for members: its instructors", [name, *listing]),
            "post": operation("List a user", [name], body=new_member, success="201"),
        },
        "/projects/{name}/members/import": {
            "post": operation("List many, or see what would happen", [name], body=members)
        },
        "/projects/{name}/members/{user}": {
            "patch": operation("Role or own limits", [name, user], body=member_change),
            "delete": operation("Take off the list; dry_run=1 only tells", [name, user, dry_run]),
        },
        "/projects/{name}/announcements": {
            "get": operation("Messages to its members, the newest first", [name, limit]),
            "post": operation(
                "Tell its members something (instructors)",
                [name],
                body=schema_of(NewAnnouncement, schemas),
                success="201",
            ),
        },
        "/projects/{name}/announcements/{number}": {
            "delete": operation("Take it back", [name, number])
        },
        "/projects/{name}/stop-sessions": {
            "post": operation(
                "Cancel what waits, warn and stop what runs (instructors)",
                [name],
                body=schema_of(body.SessionsEnd, schemas),
            ),
            "delete": operation("Call that off for what still runs", [name]),
        },
        "/projects/{name}/report": {
            "get": operation("Use by user in its term, also as CSV (instructors)", [name, form])
        },
    }


class OpenApiHandler(ApiHandler):
    """The document itself; no secret, so no login."""

    async def prepare(self) -> None:
        """No login."""

    def get(self) -> None:
        """OpenAPI 3.1."""
        self.reply(document())

"""The OpenAPI document of the REST API, made from the models that validate it."""

from __future__ import annotations

from typing import Any

from hub_ext import __version__
from hub_ext.nodes.administration import NodeChange
from hub_ext.nodes.groups import GroupChange, NewGroup
from hub_ext.projects import body
from hub_ext.sessions.edits import SessionChange
from hub_ext.sessions.launch import LaunchRequest
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
        parameter("after", "query", {"type": "integer", "minimum": 0}),
        parameter("live", "query", {"type": "string", "enum": ["0", "1"]}),
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
            "/dry-run": {"post": operation("What would happen", [], body=launch)},
            "/presets": {"get": operation("Bundles of resources", [])},
            **image_paths(lambda model: schema_of(model, schemas), operation, parameter),
            **_node_paths(schemas),
            **folder_paths(schemas),
            **_project_paths(schemas),
            "/health": {"get": operation("Whether the service is well", [])},
        },
    }


def _node_paths(schemas: dict[str, Any]) -> dict[str, Any]:
    """Nodes and resource groups."""
    name = parameter("name", "path", {"type": "string"})
    group = parameter("name", "path", {"type": "string", "pattern": "^[a-z0-9-]+$"})
    node_change, new, change = (
        schema_of(model, schemas) for model in (NodeChange, NewGroup, GroupChange)
    )
    return {
        "/nodes": {"get": operation("Nodes and devices (admin)", [])},
        "/nodes/{name}": {
            "patch": operation("Drain or resume, group, labels (admin)", [name], body=node_change)
        },
        "/resource-groups": {
            "get": operation("Resource groups (admin)", []),
            "post": operation("A new resource group (admin)", [], body=new, success="201"),
        },
        "/resource-groups/{name}": {
            "patch": operation("Change title or hours (admin)", [group], body=change),
            "delete": operation("Remove a group that nothing names (admin)", [group]),
        },
    }


def _project_paths(schemas: dict[str, Any]) -> dict[str, Any]:
    """Projects, their members, the audit log."""
    text = {"type": "string", "maxLength": 300}
    name = parameter("name", "path", {"type": "string", "pattern": r"^[A-Za-z0-9._-]+$"})
    dry_run = parameter("dry_run", "query", {"type": "string", "enum": ["0", "1"]})
    user = parameter("user", "path", {"type": "string", "pattern": "^[^/]+$"})
    limit = parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 500})
    after_name = parameter("after", "query", text)
    after_id = parameter("after", "query", {"type": "integer", "minimum": 0})
    archived = parameter("archived", "query", {"type": "string", "enum": ["0", "1"]})
    filters = [parameter(each, "query", text) for each in ("project", "by", "action")]
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
        "/audit": {
            "get": operation(
                "Who changed what, newest first (admins, instructors)", [limit, after_id, *filters]
            )
        },
    }


class OpenApiHandler(ApiHandler):
    """The document itself; no secret, so no login."""

    async def prepare(self) -> None:
        """No login."""

    def get(self) -> None:
        """OpenAPI 3.1."""
        self.reply(document())

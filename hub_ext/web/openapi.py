"""The OpenAPI document of the REST API, made from the models that validate it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from hub_ext import __version__
from hub_ext.nodes.administration import NodeChange
from hub_ext.nodes.groups import GroupChange, NewGroup
from hub_ext.projects import body
from hub_ext.sessions.edits import SessionChange
from hub_ext.sessions.launch import LaunchRequest
from hub_ext.web.base import ApiHandler
from hub_ext.web.catalogue_api import NewFolder

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "field": {"type": "string"},
            },
        }
    },
}
_ERRORS = {
    "400": "A bad value; `field` names it.",
    "401": "No login and no valid token.",
    "403": "Not allowed.",
    "404": "Missing, or not yours.",
    "409": "Exists already, or is no longer in a state that allows this.",
    "422": "Over a limit that waiting will not lift.",
    "503": "The storage is not there.",
}


def document() -> dict[str, Any]:
    """The whole document (OpenAPI 3.1)."""
    schemas: dict[str, Any] = {"Error": _ERROR}
    launch = _schema(LaunchRequest, schemas)
    folder = _schema(NewFolder, schemas)
    session_id = _parameter("id", "path", {"type": "string", "pattern": "^[0-9a-f]{32}$"})
    page = [
        _parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 500}),
        _parameter("after", "query", {"type": "integer", "minimum": 0}),
        _parameter("live", "query", {"type": "string", "enum": ["0", "1"]}),
        _parameter("all", "query", {"type": "string", "enum": ["0", "1"]}),
        _parameter("project", "query", {"type": "string"}),
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
                "get": _operation("Your sessions, newest first", page),
                "post": _operation("Submit", [], body=launch, success="201"),
            },
            "/sessions/{id}": {
                "get": _operation("One session", [session_id]),
                "patch": _operation(
                    "Change its priority while it waits, or what becomes of it",
                    [session_id],
                    body=_schema(SessionChange, schemas),
                ),
                "delete": _operation("Cancel or stop", [session_id], success="202"),
            },
            "/sessions/{id}/history": {"get": _operation("Its transitions", [session_id])},
            "/dry-run": {"post": _operation("What would happen", [], body=launch)},
            "/images": {"get": _operation("The image catalogue", [])},
            "/presets": {"get": _operation("Bundles of resources", [])},
            **_node_paths(schemas),
            "/folders": {
                "get": _operation("Your folders", []),
                "post": _operation("A new folder", [], body=folder, success="201"),
            },
            **_project_paths(schemas),
            "/health": {"get": _operation("Whether the service is well", [])},
        },
    }


def _node_paths(schemas: dict[str, Any]) -> dict[str, Any]:
    """Nodes and resource groups."""
    name = _parameter("name", "path", {"type": "string"})
    group = _parameter("name", "path", {"type": "string", "pattern": "^[a-z0-9-]+$"})
    node_change, new, change = (
        _schema(model, schemas) for model in (NodeChange, NewGroup, GroupChange)
    )
    return {
        "/nodes": {"get": _operation("Nodes and devices (admin)", [])},
        "/nodes/{name}": {
            "patch": _operation("Drain or resume, group, labels (admin)", [name], body=node_change)
        },
        "/resource-groups": {
            "get": _operation("Resource groups (admin)", []),
            "post": _operation("A new resource group (admin)", [], body=new, success="201"),
        },
        "/resource-groups/{name}": {
            "patch": _operation("Change title or hours (admin)", [group], body=change),
            "delete": _operation("Remove a group that nothing names (admin)", [group]),
        },
    }


def _project_paths(schemas: dict[str, Any]) -> dict[str, Any]:
    """Projects, their members, the audit log."""
    text = {"type": "string", "maxLength": 300}
    name = _parameter("name", "path", {"type": "string", "pattern": r"^[A-Za-z0-9._-]+$"})
    dry_run = _parameter("dry_run", "query", {"type": "string", "enum": ["0", "1"]})
    user = _parameter("user", "path", {"type": "string", "pattern": "^[^/]+$"})
    limit = _parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 500})
    after_name = _parameter("after", "query", text)
    after_id = _parameter("after", "query", {"type": "integer", "minimum": 0})
    archived = _parameter("archived", "query", {"type": "string", "enum": ["0", "1"]})
    filters = [_parameter(each, "query", text) for each in ("project", "by", "action")]
    new, change, new_member, member_change, members = (
        _schema(model, schemas)
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
            "get": _operation("Your projects, each after its parent", [*listing, archived]),
            "post": _operation("A new project (admin)", [], body=new, success="201"),
        },
        "/projects/{name}": {
            "get": _operation("One project, and what it holds", [name]),
            "patch": _operation("Change it, as far as your role goes", [name], body=change),
            "delete": _operation("Archive it (admin)", [name]),
        },
        "/projects/{name}/restore": {"post": _operation("Out of the archive (admin)", [name])},
        "/projects/{name}/members": {
            "get": _operation("Who is listed; for members: its instructors", [name, *listing]),
            "post": _operation("List a user", [name], body=new_member, success="201"),
        },
        "/projects/{name}/members/import": {
            "post": _operation("List many, or see what would happen", [name], body=members)
        },
        "/projects/{name}/members/{user}": {
            "patch": _operation("Role or own limits", [name, user], body=member_change),
            "delete": _operation("Take off the list; dry_run=1 only tells", [name, user, dry_run]),
        },
        "/audit": {
            "get": _operation(
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


def _schema(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, str]:
    """Adds a model's schema, and those it uses; returns the reference to it."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _parameter(name: str, where: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def _operation(
    summary: str,
    parameters: list[dict[str, Any]],
    *,
    body: dict[str, str] | None = None,
    success: str = "200",
) -> dict[str, Any]:
    def content(schema: dict[str, Any]) -> dict[str, Any]:
        return {"application/json": {"schema": schema}}

    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": parameters,
        "responses": {success: {"description": "Done.", "content": content({"type": "object"})}}
        | {
            status: {
                "description": text,
                "content": content({"$ref": "#/components/schemas/Error"}),
            }
            for status, text in _ERRORS.items()
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": content(body)}
    return operation

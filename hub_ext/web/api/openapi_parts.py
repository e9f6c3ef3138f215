"""The pieces that the OpenAPI document is made of."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

ERROR = {
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


def schema_of(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, str]:
    """Adds a model's schema, and those it uses; returns the reference to it."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def parameter(name: str, where: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter of the path, the query or the headers."""
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def operation(
    summary: str,
    parameters: list[dict[str, Any]],
    *,
    body: dict[str, str] | None = None,
    success: str = "200",
) -> dict[str, Any]:
    """One method of a path; JSON in and out, errors as everywhere."""

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

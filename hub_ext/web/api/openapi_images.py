"""Images and requests for them, in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from hub_ext.images.giving import ImageChange
from hub_ext.images.request_states import State
from hub_ext.images.requests import Decline, NewImageRequest


def image_paths(
    schema: Callable[[type[BaseModel]], dict[str, str]],
    operation: Callable[..., dict[str, Any]],
    parameter: Callable[[str, str, dict[str, Any]], dict[str, Any]],
) -> dict[str, Any]:
    """The paths; made of the parts that the document's own module has."""
    hex_id = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
    request_id = parameter("id", "path", hex_id)
    reference = parameter("reference", "path", {"type": "string", "minLength": 1})
    confirm = parameter("confirm", "query", {"type": "string", "maxLength": 300})
    page = [
        parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 500}),
        parameter("after", "query", {"type": "number", "minimum": 0, "maximum": 1e12}),
        parameter("all", "query", {"type": "string", "enum": ["0", "1"]}),
        parameter("state", "query", {"type": "string", "enum": [str(state) for state in State]}),
    ]
    return {
        "/images": {"get": operation("The image catalogue, as far as you may use it", [])},
        "/images/{reference}": {
            "get": operation("One image", [reference]),
            "patch": operation(
                "Give it to projects or all, or take it back",
                [reference],
                body=schema(ImageChange),
            ),
            "delete": operation("Delete an image made from a session", [reference, confirm]),
        },
        "/sessions/{id}/image-request": {
            "post": operation(
                "Ask for an image of your running session",
                [parameter("id", "path", hex_id)],
                body=schema(NewImageRequest),
                success="201",
            )
        },
        "/image-requests": {"get": operation("Requests for images, newest first", page)},
        "/image-requests/{id}": {
            "get": operation("One request, and how far it is", [request_id]),
            "delete": operation("Cancel it, before it is worked on", [request_id]),
        },
        "/image-requests/{id}/approve": {"post": operation("Approve (admin)", [request_id])},
        "/image-requests/{id}/decline": {
            "post": operation("Decline, with a reason (admin)", [request_id], body=schema(Decline))
        },
        "/image-requests/{id}/push": {
            "post": operation("Push a finished image again (admin)", [request_id])
        },
    }

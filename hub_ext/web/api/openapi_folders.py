"""Folders, invitations, files and uploads in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from hub_ext.folders import body
from hub_ext.web.api.openapi_parts import operation, parameter, schema_of

_HEX = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_TEXT = {"type": "string", "maxLength": 300}
_FLAG = {"type": "string", "enum": ["0", "1"]}
_NUMBER = {"type": "integer", "minimum": 0}


def folder_paths(schemas: dict[str, Any]) -> dict[str, Any]:
    """All paths of the subject."""
    folder = parameter("id", "path", _HEX)
    return {
        **_folders(schemas, folder),
        **_shares(schemas, folder),
        **_files(schemas, folder),
        **_quotas(schemas),
    }


def _page() -> list[dict[str, Any]]:
    limit = {"type": "integer", "minimum": 1, "maximum": 500}
    return [parameter("limit", "query", limit), parameter("after", "query", _TEXT)]


def _folders(schemas: dict[str, Any], folder: dict[str, Any]) -> dict[str, Any]:
    new, change, purge, restore, transfer, clone = (
        schema_of(model, schemas)
        for model in (
            body.NewFolder,
            body.FolderChange,
            body.Purge,
            body.Restore,
            body.Transfer,
            body.Clone,
        )
    )
    states = {"type": "string", "enum": ["live", "trash", "any"]}
    filters = [
        parameter("state", "query", states),
        parameter("owner", "query", _TEXT),
        parameter("shared", "query", _FLAG),
        parameter("all", "query", _FLAG),
    ]
    return {
        "/folders": {
            "get": operation("Your folders, and what they may take", [*_page(), *filters]),
            "post": operation("A new folder", [], body=new, success="201"),
        },
        "/folders/{id}": {
            "get": operation("One folder, and which sessions mount it", [folder]),
            "patch": operation("Name, usage, what members may do", [folder], body=change),
            "delete": operation(
                "For good, out of the trash, by typing its name",
                [folder],
                body=purge,
                success="202",
            ),
        },
        "/folders/{id}/trash": {"post": operation("Into the trash", [folder])},
        "/folders/{id}/restore": {"post": operation("Out of the trash", [folder], body=restore)},
        "/folders/{id}/transfer": {
            "post": operation("To another owner (admin)", [folder], body=transfer)
        },
        "/folders/{id}/clone": {
            "post": operation("A copy of its own", [folder], body=clone, success="202")
        },
        "/folders/{id}/jobs": {"get": operation("Clones and purges, and how far", [folder])},
        "/folders/{id}/uploads": {
            "get": operation("Uploads under way: all to keepers, else your own", [folder])
        },
        "/folders/{id}/jobs/{job}": {
            "delete": operation(
                "Cancel a clone", [folder, parameter("job", "path", _HEX)], success="202"
            )
        },
    }


def _shares(schemas: dict[str, Any], folder: dict[str, Any]) -> dict[str, Any]:
    new, change = (schema_of(model, schemas) for model in (body.NewShares, body.ShareChange))
    share, stop = parameter("share", "path", _HEX), parameter("stop_sessions", "query", _FLAG)
    ended = parameter("ended", "query", _FLAG)
    box = parameter("box", "query", {"type": "string", "enum": ["mine", "sent"]})
    answers = {"type": "string", "enum": ["accept", "reject", "leave"]}
    return {
        "/folders/{id}/shares": {
            "get": operation("With whom it is shared", [folder, *_page(), ended]),
            "post": operation("Invite", [folder], body=new, success="201"),
        },
        "/folders/{id}/shares/{share}": {
            "patch": operation("Another mode", [folder, share, stop], body=change),
            "delete": operation("Cancel, or stop sharing", [folder, share, stop]),
        },
        "/folders/{id}/revoked-sessions": {
            "delete": operation("Stop sessions that have no right to it any more", [folder])
        },
        "/invitations": {"get": operation("Yours, or those you sent", [box, *_page(), ended])},
        "/invitations/{id}/{answer}": {
            "post": operation("Answer it", [folder, parameter("answer", "path", answers)])
        },
    }


def _files(schemas: dict[str, Any], folder: dict[str, Any]) -> dict[str, Any]:
    directory, move, upload = (
        schema_of(model, schemas) for model in (body.NewDirectory, body.Move, body.NewUpload)
    )
    inner = parameter("path", "query", {"type": "string", "maxLength": 4095})
    required = {**inner, "required": True}
    ranges = parameter("Range", "header", {"type": "string"})
    offset = parameter("Upload-Offset", "header", _NUMBER)
    return {
        "/folders/{id}/files": {
            "get": operation("What is in a directory", [folder, inner, *_page()]),
            "post": operation("Make a directory", [folder], body=directory, success="201"),
            "patch": operation("Rename or move", [folder], body=move),
            "delete": operation("Remove a file or a tree, for good", [folder, required]),
        },
        "/folders/{id}/content": {
            "get": operation("Download a file, or a range of it", [folder, required, ranges])
        },
        "/folders/{id}/uploads": {
            "post": operation(
                "Begin an upload (or by the headers of tus 1.0)",
                [folder],
                body=upload,
                success="201",
            )
        },
        "/uploads/{id}": {
            "get": operation("How far it is", [folder]),
            "patch": operation("The next bytes (tus 1.0)", [folder, offset], success="204"),
            "delete": operation("Abort it", [folder], success="204"),
        },
        "/uploads/{id}/finish": {"post": operation("Put the whole file in its place", [folder])},
    }


def _quotas(schemas: dict[str, Any]) -> dict[str, Any]:
    kind = parameter("kind", "path", {"type": "string", "enum": ["user", "project"]})
    owner = parameter("owner", "path", {"type": "string", "pattern": "^[^/]+$"})
    change = schema_of(body.QuotaChange, schemas)
    return {
        "/storage-quotas": {"get": operation("Owners with a quota of their own (admin)", [])},
        "/storage-quotas/{kind}/{owner}": {
            "get": operation("Used and limit", [kind, owner]),
            "put": operation("Set it (admin)", [kind, owner], body=change),
            "delete": operation("Back to the site's default (admin)", [kind, owner]),
        },
    }

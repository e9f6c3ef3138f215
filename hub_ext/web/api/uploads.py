"""Uploads into folders, resumable: tus 1.0 (tus.io, core, creation and termination).

``POST folders/{id}/uploads`` begins one, by JSON or by the headers of tus; ``PATCH uploads/{id}``
adds bytes at ``Upload-Offset``; ``HEAD`` tells how many are there. With the last byte the file
is put in its place; ``POST uploads/{id}/finish`` asks for that again when it was refused.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session
from tornado.web import HTTPError, stream_request_body

from hub_ext.db.folder_models import FolderRow, UploadRow
from hub_ext.errors import BadValue
from hub_ext.folders import body
from hub_ext.folders.access import Action
from hub_ext.folders.quota import check_room, keeps, room_of
from hub_ext.folders.uploads import Upload, WrongOffset
from hub_ext.projects.body import read_body
from hub_ext.web.api.files import ContentApiHandler

_TUS = "1.0.0"
_BYTES = "application/offset+octet-stream"
_PIECE = 4 * 1024 * 1024
"""Bytes in memory at a time; each piece is on the disk before the next one is taken."""


class UploadApiHandler(ContentApiHandler):
    """What tus wants of every answer."""

    def set_default_headers(self) -> None:
        """The protocol's version."""
        super().set_default_headers()
        self.set_header("Tus-Resumable", _TUS)

    async def mine(self, upload_id: str) -> Upload:
        """The caller's unfinished upload, while he may still write there."""
        upload = await self.site.uploads.get(upload_id, self.caller.name)
        with self.site.database.transaction() as db:
            self.allowed(db, upload.folder_id, Action.WRITE)
        return upload

    def check_quota(self, db: Session, folder_id: str, more: int) -> None:
        """Whether ``more`` bytes fit. Raises OverLimit, and what ``allowed`` does."""
        access, folder = self.allowed(db, folder_id, Action.WRITE)
        room = room_of(db, self.site.policy, folder.kind, folder.owner)
        check_room(room, more, field="size", numbers=keeps(access.right(folder)))

    async def finish_upload(self, upload: Upload) -> str:
        """Put the whole file in its place; it counts before it is measured.

        The right to write may have ended while the bytes came. The quota is looked at again:
        what was announced counts already, but other things may have come, or the limit may
        have changed.
        """
        with self.site.database.transaction() as db:
            self.check_quota(db, upload.folder_id, 0)
        path = await self.site.uploads.finish(upload.id, self.caller.name)
        with self.site.database.transaction() as db:
            db.execute(
                update(FolderRow)
                .where(FolderRow.id == upload.folder_id, FolderRow.used_bytes.is_not(None))
                .values(used_bytes=FolderRow.used_bytes + upload.size)
            )
        self.site.measuring.touch(upload.folder_id)
        return path


class UploadsHandler(UploadApiHandler):
    """New ones."""

    async def options(self, folder_id: str) -> None:
        """What of tus is understood."""
        self.set_header("Tus-Version", _TUS)
        self.set_header("Tus-Extension", "creation,termination")
        self.set_header("Tus-Max-Size", str(body.LARGEST_FILE))
        self.set_status(204)
        await self.finish()

    def get(self, folder_id: str) -> None:
        """Unfinished ones into the folder: everybody's for those who keep it, else one's own."""
        with self.site.database.transaction() as db:
            access, folder = self.allowed(db, folder_id, Action.SEE)
            everybody = keeps(access.right(folder))
            rows = self.site.uploads.into(db, folder.id)
        self.reply(
            {
                "uploads": [
                    {
                        "id": row.id,
                        "user": row.user,
                        "path": row.path,
                        "size": row.size,
                        "started_at": row.started_at,
                    }
                    for row in rows
                    if everybody or row.user == self.caller.name
                ]
            }
        )

    async def post(self, folder_id: str) -> None:
        """Begin; 201 with its Location. It counts against the quota from now on."""
        tus = "Upload-Length" in self.request.headers
        new = read_body(body.NewUpload, _tus_values(self.request.headers) if tus else self.body())
        folder = await self.opened(folder_id, Action.WRITE)
        upload = await self.site.uploads.create(
            folder_id=folder.id,
            user=self.caller.name,
            path=new.path,
            size=new.size,
            overwrite=new.overwrite,
            admit=lambda db: self.check_quota(db, folder.id, new.size),
        )
        if upload.size == 0:
            await self.finish_upload(upload)
        base = self.request.path.removesuffix(f"folders/{folder_id}/uploads")
        self.set_header("Location", f"{base}uploads/{upload.id}")
        self.set_header("Upload-Offset", "0")
        self.reply(_upload_json(upload, done=upload.size == 0), 201)


@stream_request_body
class UploadHandler(UploadApiHandler):
    """One of them."""

    async def prepare(self) -> None:
        """Who and where to, before the first byte is taken."""
        self._pieces = bytearray()
        self._upload: Upload | None = None
        self._reached = 0
        await super().prepare()
        if self.request.method != "PATCH":
            return
        upload_id = self.path_args[0]
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip()
        if kind != _BYTES:
            raise HTTPError(415, f"Send the bytes as {_BYTES}.")
        upload = await self.mine(upload_id)
        self._reached = _whole(self.request.headers.get("Upload-Offset", ""), "Upload-Offset")
        if self._reached != upload.offset:
            raise WrongOffset(upload.offset)
        left = upload.size - upload.offset
        if _whole(self.request.headers.get("Content-Length", "0"), "Content-Length") > left:
            raise BadValue(f"{left} bytes are left of this upload.", field="Content-Length")
        self._upload = upload
        connection: Any = self.request.connection
        connection.set_max_body_size(left)

    async def data_received(self, chunk: bytes) -> None:
        """Piece by piece on the disk; the connection waits meanwhile."""
        if self._upload is None:
            return
        self._pieces += chunk
        if len(self._pieces) >= _PIECE:
            await self._write_pieces()

    async def patch(self, upload_id: str) -> None:
        """204 with the new ``Upload-Offset``; at the end of the file it is in its place."""
        upload = self._upload
        if upload is None:
            return
        await self._write_pieces()
        if self._reached == upload.size:
            await self.finish_upload(upload)
        self.set_header("Upload-Offset", str(self._reached))
        self.set_status(204)
        await self.finish()

    async def get(self, upload_id: str) -> None:
        """How far it is."""
        self.reply(_upload_json(await self.mine(upload_id), done=False))

    async def head(self, upload_id: str) -> None:
        """How far it is, by headers."""
        upload = await self.mine(upload_id)
        self.set_header("Upload-Offset", str(upload.offset))
        self.set_header("Upload-Length", str(upload.size))
        self.set_header("Cache-Control", "no-store")
        await self.finish()

    async def delete(self, upload_id: str) -> None:
        """Forget it and its bytes; those who keep the folder cancel uploads of others too."""
        if self._keeps_folder_of(upload_id):
            await self.site.uploads.cancel(upload_id)
        else:
            await self.site.uploads.abort(upload_id, self.caller.name)
        self.set_status(204)
        await self.finish()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Refused before its body was read, a PATCH ends the connection: the client, or a proxy
        that keeps connections, must not send its next request on it."""
        if self.request.method == "PATCH":
            self.set_header("Connection", "close")
        super().write_error(status_code, **kwargs)

    def _keeps_folder_of(self, upload_id: str) -> bool:
        with self.site.database.transaction() as db:
            row = db.get(UploadRow, upload_id)
            folder = None if row is None else db.get(FolderRow, row.folder_id)
            return folder is not None and keeps(self.access(db).right(folder))

    async def _write_pieces(self) -> None:
        """What has come so far, in one piece."""
        upload, pieces = self._upload, self._pieces
        if upload is None or not pieces:
            return
        self._pieces = bytearray()
        self._reached = await self.site.uploads.append(
            upload.id, self.caller.name, self._reached, bytes(pieces)
        )


class FinishHandler(UploadApiHandler):
    """The last step again."""

    async def post(self, upload_id: str) -> None:
        """Put a whole file in its place, after what was in the way has gone."""
        upload = await self.mine(upload_id)
        if upload.offset != upload.size:
            raise WrongOffset(upload.offset)
        await self.finish_upload(upload)
        self.reply(_upload_json(upload, done=True))


def _upload_json(upload: Upload, *, done: bool) -> dict[str, Any]:
    return {
        "id": upload.id,
        "folder_id": upload.folder_id,
        "path": upload.path,
        "size": upload.size,
        "offset": upload.offset,
        "done": done,
    }


def _tus_values(headers: Any) -> dict[str, Any]:
    """As the JSON would be; ``filename`` of the metadata is the path. Raises BadValue."""
    values: dict[str, Any] = {"size": _whole(headers["Upload-Length"], "Upload-Length")}
    for pair in headers.get("Upload-Metadata", "").split(","):
        key, _, encoded = pair.strip().partition(" ")
        if key not in {"filename", "path", "overwrite"}:
            continue
        try:
            text = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise BadValue("Upload-Metadata is not base64 of UTF-8.", field=key) from None
        if key == "overwrite":
            values["overwrite"] = text == "1"
        else:
            values["path"] = text
    return values


def _whole(text: str, field: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadValue(f"{field} must be a whole number of bytes.", field=field)
    return int(text)

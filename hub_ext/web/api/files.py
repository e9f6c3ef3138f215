"""``/api/v1/folders/{id}/files`` and ``.../content``: what is in a folder, and downloads."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from tornado.iostream import StreamClosedError

from hub_ext.db.folder_models import FolderRow
from hub_ext.folders import body
from hub_ext.folders.access import Action
from hub_ext.folders.contents import OpenFile
from hub_ext.folders.safe_path import check_path
from hub_ext.folders.storage import PAGE
from hub_ext.projects.body import read_body
from hub_ext.web.api.folders import FolderApiHandler

_CHUNK = 1 << 18
"""Bytes of a download in memory at a time."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class ContentApiHandler(FolderApiHandler):
    """Folders whose directory is there."""

    async def opened(self, folder_id: str, action: Action) -> FolderRow:
        """The folder, if the caller may; its first use makes the directory of a new one."""
        with self.site.database.transaction() as db:
            _, folder = self.allowed(db, folder_id, action)
        await self.site.folders.ready(self.site.database, folder)
        return folder


class FilesHandler(ContentApiHandler):
    """Directories and names."""

    async def get(self, folder_id: str) -> None:
        """A page of the directory ``path`` (default: the folder), directories first.

        ``after``: how many were shown already.
        """
        path = self.get_query_argument("path", "", strip=False)
        limit = self.whole_number("limit", PAGE, 1, PAGE)
        offset = self.whole_number("after", 0, 0, 2**31)
        folder = await self.opened(folder_id, Action.READ)
        found = await self.site.folders.storage.list(folder.id, path, offset=offset, limit=limit)
        shown = offset + limit
        self.reply(
            {
                "path": path,
                "entries": [asdict(entry) for entry in found.entries],
                "total": found.total,
                "cut": found.cut,
                "after": shown if shown < found.total else None,
            }
        )

    async def post(self, folder_id: str) -> None:
        """Make a directory; 409 when it is there."""
        new = read_body(body.NewDirectory, self.body())
        folder = await self.opened(folder_id, Action.WRITE)
        await self.site.folders.storage.make_directory(folder.id, new.path, parents=new.parents)
        self.reply({"path": check_path(new.path)}, 201)

    async def patch(self, folder_id: str) -> None:
        """Rename or move inside the folder; 409 when something is there."""
        move = read_body(body.Move, self.body())
        to = check_path(move.to, "to")
        folder = await self.opened(folder_id, Action.WRITE)
        await self.site.folders.storage.rename(folder.id, move.path, to)
        self.reply({"path": to})

    async def delete(self, folder_id: str) -> None:
        """Remove ``path``, a directory with all that is in it. For good: no trash."""
        path = self.get_query_argument("path", strip=False)
        folder = await self.opened(folder_id, Action.REMOVE)
        await self.site.folders.storage.remove(folder.id, path)
        self.reply({"path": path})


class ContentHandler(ContentApiHandler):
    """Downloads."""

    async def get(self, folder_id: str) -> None:
        """The bytes of the file ``path``; a range of them when asked for one.

        Always as an attachment: what users upload must never run as a page of this site.
        """
        await self._answer(folder_id)

    async def head(self, folder_id: str) -> None:
        """Size, time and range support."""
        await self._answer(folder_id)

    def compute_etag(self) -> str | None:
        """None by itself: the file's own is set."""
        return None

    async def _answer(self, folder_id: str) -> None:
        path = self.get_query_argument("path", strip=False)
        folder = await self.opened(folder_id, Action.READ)
        opened = await self.site.folders.storage.open_read(folder.id, path)
        try:
            await self._send(opened, path)
        finally:
            os.close(opened.fd)

    async def _send(self, opened: OpenFile, path: str) -> None:
        tag = f'"{int(opened.mtime * 1e6):x}-{opened.size:x}"'
        self._set_headers(path, tag)
        if self.check_etag_header():
            self.set_status(304)
            await self.finish()
            return
        begin, end = 0, opened.size
        wanted = _wanted(self.request.headers, tag, opened.size)
        if wanted is not None:
            begin, end = wanted
            if begin >= end:
                self.set_header("Content-Range", f"bytes */{opened.size}")
                self.reply(_unsatisfiable(opened.size), 416)
                return
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {begin}-{end - 1}/{opened.size}")
        self.set_header("Content-Length", str(end - begin))
        if self.request.method == "GET":
            with suppress(StreamClosedError):
                await self._stream(opened, begin, end)
        if not self._finished:
            await self.finish()

    def _set_headers(self, path: str, tag: str) -> None:
        name = quote(path.rpartition("/")[2], safe="")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Disposition", f"attachment; filename*=UTF-8''{name}")
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Cache-Control", "private, no-cache")
        self.set_header("Etag", tag)

    async def _stream(self, opened: OpenFile, begin: int, end: int) -> None:
        """One piece in memory at a time; the next when the client has taken it."""
        storage = self.site.folders.storage
        while begin < end:
            piece = await storage.read(opened, begin, min(_CHUNK, end - begin))
            if not piece:  # it has become shorter meanwhile: the client must see that it broke
                self.detach().close()
                return
            begin += len(piece)
            self.write(piece)
            await self.flush()


def _wanted(headers: Any, tag: str, size: int) -> tuple[int, int] | None:
    """From and up to which byte; None: all of it (RFC 9110, 14.2). Empty: it cannot be had."""
    found = _RANGE.fullmatch(headers.get("Range", ""))
    if found is None or headers.get("If-Range", tag) != tag:
        return None
    first, last = found.groups()
    if first:
        return int(first), min(int(last) + 1 if last else size, size)
    if last:
        return (max(0, size - int(last)), size) if int(last) else (size, size)
    return None


def _unsatisfiable(size: int) -> dict[str, Any]:
    message = f"The file has {size} bytes; the range is beyond them."
    return {"error": {"code": "bad_range", "message": message, "field": "Range"}}

"""A course with people, and what tests of folders ask of the API again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from hub_ext.nodes import inventory
from hub_ext.projects.membership import Role
from hub_ext.projects.permissions import By
from hub_ext.sessions.queue import Queue
from hub_ext.site import Site

from .rest_client import RestClient, serving

ROOT = By("root", Role.ADMIN)
SPAWNER = "spawner-token"
NO_FOLDER: dict[str, Any] = {
    "error": {"code": "not_found", "message": "There is no such folder."},
}


@dataclass(frozen=True, slots=True)
class FolderLab:
    """The API, asked for folders."""

    site: Site
    rest: RestClient
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def folder(self, by: str, name: str = "data", **values: Any) -> str:
        """A new folder's id."""
        answer = await self.rest("POST", "folders", {"name": name, **values}, by=by)
        assert answer.status == 201, answer.body
        return str(answer.body["id"])

    async def share(self, folder: str, to: str, mode: str = "ro", *, by: str) -> str:
        """An accepted invitation's id."""
        invited = await self.invite(folder, to, mode, by=by)
        answer = await self.rest("POST", f"invitations/{invited}/accept", {}, by=to)
        assert answer.status == 200, answer.body
        return invited

    async def invite(self, folder: str, to: str, mode: str = "ro", *, by: str) -> str:
        """A pending invitation's id."""
        body = {"users": [to], "mode": mode}
        answer = await self.rest("POST", f"folders/{folder}/shares", body, by=by)
        assert answer.status == 201, answer.body
        return str(answer.body["shares"][0]["id"])

    async def names(self, by: str, query: str = "") -> list[str]:
        """Of the folders that somebody is shown, his home left out."""
        answer = await self.rest("GET", f"folders{query}", by=by)
        assert answer.status == 200, answer.body
        return [folder["name"] for folder in answer.body["folders"] if not folder["home"]]

    async def status(self, method: str, path: str, body: Any = None, *, by: str) -> int:
        """Only how a request went."""
        return (await self.rest(method, path, body, by=by)).status

    async def rest_or_raw(self, method: str, path: str, body: Any, *, by: str) -> int:
        """The status, also of what does not answer with JSON."""
        if "/content" in path:
            return (await self.raw(method, path, by=by)).code
        return await self.status(method, path, body, by=by)

    async def raw(
        self, method: str, path: str, *, by: str, body: bytes | None = None, **headers: str
    ) -> HTTPResponse:
        """A request that is not JSON; ``Content_Type`` becomes Content-Type."""
        return await AsyncHTTPClient().fetch(
            f"{self.rest.base}api/v1/{path}",
            method=method,
            headers={
                "Authorization": f"token {by}",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
            body=body,
            allow_nonstandard_methods=True,
            raise_error=False,
        )

    async def upload(self, folder: str, path: str, content: bytes, *, by: str) -> None:
        """A small file, in one piece."""
        new = {"path": path, "size": len(content)}
        begun = await self.rest("POST", f"folders/{folder}/uploads", new, by=by)
        assert begun.status == 201, begun.body
        if content:
            answer = await self.append(begun.body["id"], 0, content, by=by)
            assert answer.code == 204, answer.body

    async def append(self, upload: str, offset: int, piece: bytes, *, by: str) -> HTTPResponse:
        """The next bytes of an upload."""
        return await self.raw(
            "PATCH",
            f"uploads/{upload}",
            by=by,
            body=piece,
            Content_Type="application/offset+octet-stream",
            Upload_Offset=str(offset),
        )

    async def submit(self, by: str, *folders: dict[str, Any], **values: Any) -> str:
        """A session's id; it waits."""
        body = {"folders": list(folders), **values}
        answer = await self.rest("POST", "sessions", body, by=by)
        assert answer.status == 201, answer.body
        return str(answer.body["sessions"][0]["id"])

    async def take_over(self, session: str) -> dict[str, Any]:
        """A spawner asks for a granted session, as after its wait."""
        Queue(self.site).pass_once()
        answer = await self.rest("GET", f"spawner/sessions/{session}/wait", by=SPAWNER)
        assert answer.status == 200, answer.body
        return answer.body

    async def run(self, session: str) -> dict[str, Any]:
        """From the queue to RUNNING; returns the grant."""
        taken = await self.take_over(session)
        body = {"to": "RUNNING", "run_id": taken["run_id"]}
        answer = await self.rest("POST", f"spawner/sessions/{session}/status", body, by=SPAWNER)
        assert answer.status == 200, answer.body
        return dict(answer.body["grant"])

    async def until(self, done: Callable[[], Any]) -> Any:
        """What ``done()`` gives as soon as it is true; the jobs run meanwhile."""
        if not self.tasks:
            self.tasks.append(asyncio.create_task(self.site.folder_jobs.run()))
        async with asyncio.timeout(30):
            while not (found := done()):  # noqa: ASYNC110 (rows tell nobody that they change)
                await asyncio.sleep(0.01)
        return found


@asynccontextmanager
async def folder_lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FolderLab]:
    """ml101: tess teaches, bob learns; cv202 is another course, which ian teaches."""
    await inventory.refresh(site)
    for project, people in {
        "ml101": {"tess": Role.INSTRUCTOR, "bob": Role.MEMBER},
        "cv202": {"ian": Role.INSTRUCTOR, "ivy": Role.MEMBER},
    }.items():
        site.projects.create(project, {}, by=ROOT)
        for user, role in people.items():
            site.projects.roster.add(project, user, role, {}, by=ROOT)
    async with serving(site, monkeypatch) as rest:
        lab = FolderLab(site, rest)
        try:
            yield lab
        finally:
            for task in lab.tasks:
                task.cancel()
            await asyncio.gather(*lab.tasks, return_exceptions=True)

"""Two courses with one of everything in the first, and people of every role to try it all.

ann and bob learn in optics5, tess teaches it; zoe learns in poetry2, dan teaches that; root is an
admin. What there is belongs to ann, or to optics5. zoe has an invitation that she has not
answered. After an answer that may have changed something, the database is put back.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest
from sqlalchemy import text
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from hub_ext.db.announcement_models import AnnouncementRow
from hub_ext.db.folder_models import FolderJobRow, FolderRow, ShareRow, StorageQuotaRow, UploadRow
from hub_ext.db.image_models import ImageRequestRow, ImageRow
from hub_ext.db.models import ResourceGroupRow
from hub_ext.images.catalogue import CatalogueImage
from hub_ext.nodes import inventory
from hub_ext.site import Site
from tests.service.image_engine import ImageEngine
from tests.service.project_rows import add_member, add_project, add_session
from tests.service.rest_client import PREFIX, serving
from tests.small_hub import add_hub

PEOPLE = {"a": "ann", "b": "bob", "z": "zoe", "t": "tess", "d": "dan", "r": "root"}
IDS = {
    "session": "a" * 32,
    "waiting": "b" * 32,
    "folder": "c" * 32,
    "course_folder": "d" * 32,
    "trashed": "e" * 32,
    "share": "f" * 32,
    "invitation": "1" * 32,
    "upload": "2" * 32,
    "job": "3" * 32,
    "request": "4" * 32,
    "image": "apportion-x/u-ann/mine:1",
    "told_all": "1",
    "told_course": "2",
}
MISSING = {name: "9" * 32 for name, value in IDS.items() if len(value) == 32} | {
    "image": "apportion-x/u-ann/none:1",
    "told_all": "999",
    "told_course": "999",
}


@dataclass
class RoleLab:
    """The service, asked as each of them."""

    site: Site
    base: str
    path: Path
    """Of the database file."""
    kept: Path

    async def ask(
        self, method: str, path: str, who: str, body: Any = None, *, form: bool = False
    ) -> HTTPResponse:
        """``who``: a key of PEOPLE, or "-" for somebody who has not logged in."""
        headers = {} if who == "-" else {"Authorization": f"token {PEOPLE[who]}"}
        headers["Content-Type"] = (
            "application/x-www-form-urlencoded" if form else "application/json"
        )
        if method == "PATCH" and "/uploads/" in path:
            headers |= {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
        return await AsyncHTTPClient().fetch(
            self.base + path,
            method=method,
            headers=headers,
            body=urlencode(body, doseq=True) if form else body,
            allow_nonstandard_methods=True,
            follow_redirects=False,
            raise_error=False,
            request_timeout=60,
        )

    async def cookies(self, who: str) -> dict[str, str]:
        """Of a browser in which he has logged in, ``_xsrf`` among them."""
        client, found = AsyncHTTPClient(), dict[str, str]()
        url = f"/hub/login?user={PEOPLE[who]}&next={PREFIX}announcements/shown"
        for _ in range(10):
            answer = await client.fetch(
                urljoin(self.base, url),
                headers={"Cookie": "; ".join(f"{name}={value}" for name, value in found.items())},
                follow_redirects=False,
                raise_error=False,
            )
            for line in answer.headers.get_list("Set-Cookie"):
                name, value = line.partition(";")[0].split("=", 1)
                found[name] = value
            if answer.code == 200:
                return found
            url = answer.headers["Location"]
        raise AssertionError(f"{url}: no end of redirects")

    async def send_form(self, path: str, cookies: dict[str, str], fields: Any) -> HTTPResponse:
        """As a browser without script does."""
        return await AsyncHTTPClient().fetch(
            self.base + path,
            method="POST",
            headers={
                "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Site": "same-origin",
            },
            body=urlencode(fields, doseq=True),
            follow_redirects=False,
            raise_error=False,
        )

    def keep(self) -> None:
        """Remember the database as it is."""
        with self.site.database.engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
            connection.exec_driver_sql("BEGIN")
        shutil.copyfile(self.path, self.kept)

    def put_back(self) -> None:
        """As it was, with the one file in ann's folder."""
        self.site.database.engine.dispose()
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self.kept, self.path)
        self.site.reservations = None
        self.files()

    def files(self) -> None:
        """``a.txt`` in both folders, and the bytes of the upload."""
        for name in ("folder", "course_folder"):
            directory = self.site.folders.storage.path(IDS[name])
            directory.mkdir(exist_ok=True)
            (directory / "a.txt").write_text("a")
        (directory.parent / f".upload-{IDS['upload']}").write_bytes(b"9 bytes..")


@asynccontextmanager
async def role_lab(
    site: Site, monkeypatch: pytest.MonkeyPatch, kept: Path
) -> AsyncIterator[RoleLab]:
    """The world, kept as it begins."""
    engine = ImageEngine()
    site.engine = engine
    await inventory.refresh(site)
    engine.start("c1", {"usr/lib/thing": b"1"})
    site.images[IDS["image"]] = CatalogueImage(
        IDS["image"], "sha256:9", "mine", "Mine", "1", labelled=True, saved=True
    )
    site.images_read_at = time.time() + 1e6
    _write_world(site)
    path = Path(str(site.database.engine.url.database))
    async with serving(site, monkeypatch, add=add_hub) as rest:
        lab = RoleLab(site, rest.base, path, kept)
        lab.files()
        lab.keep()
        yield lab


def _write_world(site: Site) -> None:
    now = time.time()
    with site.database.transaction() as db:
        for project, learns, teaches in (("optics5", "ann bob", "tess"), ("poetry2", "zoe", "dan")):
            add_project(db, project)
            for user in learns.split():
                add_member(db, project, user)
            add_member(db, project, teaches, "instructor")
        started = {"status": "RUNNING", "container_id": "c1", "running_at": now, "node": "gpu-1"}
        times = {"submitted_at": now, "changed_at": now}
        add_session(db, "optics5", id=IDS["session"], **started, **times, lifetime_s=7200)
        add_session(db, "optics5", id=IDS["waiting"], **times)
        _write_folders(db, now)
        _write_images(db, now)
        db.add(ResourceGroupRow(name="extra"))
        for number, project, by in ((1, None, "root"), (2, "optics5", "tess")):
            row = AnnouncementRow(id=number, at=now, by=by, project=project, level="info")
            row.text = f"Told to {project or 'all'}."
            db.add(row)


def _write_folders(db: Any, now: float) -> None:
    for key, kind, owner, trashed in (
        ("folder", "user", "ann", None),
        ("course_folder", "project", "optics5", None),
        ("trashed", "user", "ann", now),
    ):
        folder = FolderRow(id=IDS[key], kind=kind, owner=owner, name=key, created_at=now)
        folder.trashed_at, folder.state = trashed, "ready"
        db.add(folder)
    db.flush()
    for key, user, state in (("share", "ivy", "accepted"), ("invitation", "zoe", "pending")):
        share = ShareRow(id=IDS[key], folder_id=IDS["folder"], user=user, mode="ro", state=state)
        share.invited_by, share.invited_at = "ann", now
        db.add(share)
    upload = UploadRow(id=IDS["upload"], folder_id=IDS["folder"], user="ann", path="b", size=9)
    upload.started_at = upload.changed_at = now
    job = FolderJobRow(id=IDS["job"], kind="clone", folder_id=IDS["folder"], user="ann")
    job.source_id, job.state, job.started_at = IDS["folder"], "running", now
    db.add_all([upload, job, StorageQuotaRow(kind="user", owner="ann", bytes=10**9)])


def _write_images(db: Any, now: float) -> None:
    image = ImageRow(reference=IDS["image"], owner="ann", visibility="user", projects=[])
    image.created_at = now
    request = ImageRequestRow(id=IDS["request"], session_id=IDS["waiting"], user="ann")
    request.project, request.name, request.state = "optics5", "wanted", "requested"
    request.container_id, request.requested_at = "c1", now
    db.add_all([image, request])

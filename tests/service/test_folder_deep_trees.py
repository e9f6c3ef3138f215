"""Folders with 3,000 directories in one another: measured, copied and deleted like any other."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator

import pytest

from hub_ext.db.folder_models import FolderJobRow, FolderRow
from hub_ext.folders.measuring import Measuring
from hub_ext.site import Site
from tests.deep_tree import LEVELS, allocated, listing, planted, removed

from .folder_lab import FolderLab, folder_lab


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FolderLab]:
    async with folder_lab(site, monkeypatch) as made:
        yield made


def state(site: Site, job: str) -> str:
    with site.database.transaction() as db:
        return db.get_one(FolderJobRow, job).state


def row(site: Site, folder: str) -> FolderRow | None:
    with site.database.transaction() as db:
        return db.get(FolderRow, folder)


async def test_a_deep_folder_is_measured_copied_emptied_and_deleted(
    lab: FolderLab, site: Site
) -> None:
    storage = site.folders.storage
    folder = await lab.folder("ann")
    with planted(storage.path(folder)) as names:
        await Measuring(site.database, storage).measure_due(time.time())
        found = row(site, folder)
        assert found is not None
        # Three files have two or three names, and count once.
        wanted = (allocated(storage.path(folder)), names - 4)
        assert (found.used_bytes, found.used_files) == wanted

        begun = await lab.rest("POST", f"folders/{folder}/clone", {"name": "copy"}, by="ann")
        copy, job = begun.body["folder"]["id"], begun.body["job"]["id"]
        with removed(storage.path(copy)):
            await lab.until(lambda: state(site, job) != "running")
            assert state(site, job) == "done"
            assert listing(storage.path(copy)) == listing(storage.path(folder))
            assert len(listing(storage.path(copy))) == names + LEVELS

            path = f"folders/{copy}/files?path=deep-directory"
            assert await lab.status("DELETE", path, by="ann") == 200
            await lab.until(lambda: ".purge-" not in str(os.listdir(storage.root)))
            left = {line.split(" ")[1] for line in listing(storage.path(copy))}
            assert left == {"file", "shared-10", "shared-2900"}

        assert await lab.status("POST", f"folders/{folder}/trash", by="ann") == 200
        assert await lab.status("DELETE", f"folders/{folder}", {"name": "data"}, by="ann") == 202
        await lab.until(lambda: row(site, folder) is None)
        assert folder not in str(os.listdir(storage.root))


async def test_what_lies_deeper_than_a_path_is_not_reached_from_the_page_and_says_so(
    lab: FolderLab,
) -> None:
    folder = await lab.folder("ann")
    path = "/".join(["deep-directory"] * 300)
    refused = await lab.rest("GET", f"folders/{folder}/files?path={path}", by="ann")
    assert (refused.status, refused.field) == (400, "path")
    assert "4095 are allowed" in refused.body["error"]["message"]

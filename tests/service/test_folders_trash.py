"""Trash, restore, purge by name and by time; what running sessions keep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from hub_ext.db.folder_models import FolderJobRow, FolderRow
from hub_ext.errors import Conflict
from hub_ext.folders import trash
from hub_ext.folders.access import Person
from hub_ext.folders.measuring import LONGEST_S, Measuring
from hub_ext.folders.trash_collector import TrashCollector
from hub_ext.site import Site

from .folder_lab import FolderLab, folder_lab

DAY = 86400.0


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FolderLab]:
    async with folder_lab(site, monkeypatch) as made:
        yield made


def row(site: Site, folder: str) -> FolderRow | None:
    with site.database.transaction() as db:
        return site.folders.get(db, folder)


def files_of(site: Site, folder: str) -> int | None:
    found = row(site, folder)
    return found.used_files if found is not None else None


async def never_ends(_job: FolderJobRow) -> str:
    """Work of a job that only its cancellation ends."""
    await asyncio.Event().wait()
    return ""


async def test_a_trashed_folder_leaves_its_name_and_comes_back(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    await lab.upload(folder, "a", b"kept", by="ann")
    trashed = await lab.rest("POST", f"folders/{folder}/trash", by="ann")
    assert (trashed.status, trashed.body["state"]) == (200, "trash")
    assert trashed.body["purged_at"] == pytest.approx(time.time() + 30 * DAY, abs=60)
    assert await lab.names("ann") == []
    assert await lab.names("ann", "?state=trash") == ["data"]
    assert await lab.status("GET", f"folders/{folder}/files", by="ann") == 409
    restored = await lab.rest("POST", f"folders/{folder}/restore", {}, by="ann")
    assert (restored.body["name"], restored.body["warnings"]) == ("data", [])
    content = await lab.raw("GET", f"folders/{folder}/content?path=a", by="ann")
    assert content.body == b"kept"


async def test_restored_beside_its_successor_it_gets_a_new_name(lab: FolderLab) -> None:
    old = await lab.folder("ann")
    await lab.rest("POST", f"folders/{old}/trash", by="ann")
    await lab.folder("ann")
    restored = await lab.rest("POST", f"folders/{old}/restore", {}, by="ann")
    assert restored.body["name"] == "data-2"
    assert restored.body["warnings"] == ["'data' is taken; it is 'data-2' now."]
    await lab.rest("POST", f"folders/{old}/trash", by="ann")
    taken = await lab.rest("POST", f"folders/{old}/restore", {"name": "data"}, by="ann")
    assert (taken.status, taken.field) == (409, "name")
    named = await lab.rest("POST", f"folders/{old}/restore", {"name": "old"}, by="ann")
    assert named.body["name"] == "old"


async def test_only_who_types_its_name_deletes_it_for_good(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    await lab.upload(folder, "a", b"x", by="ann")
    path = f"folders/{folder}"
    assert await lab.status("DELETE", path, {"name": "data"}, by="ann") == 409  # not in the trash
    await lab.rest("POST", f"{path}/trash", by="ann")
    for body in ({}, {"name": "Data"}, {"name": "data "}, {"name": ""}):
        refused = await lab.rest("DELETE", path, body, by="ann")
        assert (refused.status, refused.field) == (400, "name")
    assert await lab.status("DELETE", path, {"name": "data"}, by="zoe") == 404
    purged = await lab.rest("DELETE", path, {"name": "data"}, by="ann")
    assert (purged.status, purged.body["state"]) == (202, "purging")
    assert await lab.status("POST", f"{path}/restore", {}, by="ann") == 409
    await lab.until(lambda: row(site, folder) is None)
    assert not site.folders.storage.path(folder).exists()
    assert await lab.status("GET", path, by="ann") == 404
    jobs = await lab.rest("GET", f"{path}/jobs", by="ann")
    assert [job["state"] for job in jobs.body["jobs"]] == ["done"]
    assert await lab.status("GET", f"{path}/jobs", by="zoe") == 404


async def test_running_sessions_keep_what_is_trashed_and_hold_up_its_end(
    lab: FolderLab, site: Site
) -> None:
    folder = await lab.folder("tess", project="ml101")
    session = await lab.submit("bob", {"name": "data"}, name="lab")
    await lab.run(session)
    trashed = await lab.rest("POST", f"folders/{folder}/trash", by="tess")
    assert "lab of bob still mounts project:ml101/data" in trashed.body["warnings"][0]
    assert [each["name"] for each in trashed.body["sessions"]] == ["lab"]
    refused = await lab.rest("DELETE", f"folders/{folder}", {"name": "data"}, by="tess")
    assert refused.status == 409
    assert "lab of bob" in refused.body["error"]["message"]
    assert TrashCollector(site).once(time.time() + 31 * DAY) == []
    ended = {"outcome": "TERMINATED", "server_gone": True}
    await lab.rest("POST", f"spawner/sessions/{session}/ended", ended, by="spawner-token")
    assert await lab.status("DELETE", f"folders/{folder}", {"name": "data"}, by="tess") == 202


async def test_what_a_session_still_writes_to_in_the_trash_is_measured_to_its_end(
    lab: FolderLab, site: Site
) -> None:
    folder = await lab.folder("ann")
    await lab.upload(folder, "a", b"x", by="ann")
    session = await lab.submit("ann", {"name": "data"}, name="lab")
    await lab.run(session)
    await lab.rest("POST", f"folders/{folder}/trash", by="ann")
    measuring = Measuring(site.database, site.folders.storage)
    now = time.time() + 1
    await measuring.measure_due(now)
    assert files_of(site, folder) == 1

    (site.folders.storage.path(folder) / "b").touch()
    await measuring.measure_due(now + LONGEST_S)
    assert files_of(site, folder) == 2

    (site.folders.storage.path(folder) / "c").touch()
    ended = {"outcome": "TERMINATED", "server_gone": True}
    await lab.rest("POST", f"spawner/sessions/{session}/ended", ended, by="spawner-token")
    measuring.touch(folder)
    await measuring.measure_due(now + 2 * LONGEST_S)
    assert files_of(site, folder) == 3

    (site.folders.storage.path(folder) / "d").touch()
    await measuring.measure_due(now + 9 * LONGEST_S)
    assert files_of(site, folder) == 3


async def test_a_clone_that_reads_a_folder_holds_up_its_end(
    lab: FolderLab, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.folder_jobs, "_clone", never_ends)
    folder = await lab.folder("ann")
    cloned = await lab.rest("POST", f"folders/{folder}/clone", {"name": "copy"}, by="ann")
    assert cloned.status == 202
    await lab.rest("POST", f"folders/{folder}/trash", by="ann")
    refused = await lab.rest("DELETE", f"folders/{folder}", {"name": "data"}, by="ann")
    assert refused.status == 409
    assert "Still being cloned by ann." in refused.body["error"]["message"]
    assert TrashCollector(site).once(time.time() + 31 * DAY) == []
    with site.database.transaction() as db:
        found = site.folders.get(db, folder)
        assert found is not None
        with pytest.raises(Conflict):
            trash.begin_purge(db, found, by="service")
    with site.database.transaction() as db:
        site.folder_jobs.cancel(db, db.get_one(FolderJobRow, cloned.body["job"]["id"]))
    assert await lab.status("DELETE", f"folders/{folder}", {"name": "data"}, by="ann") == 202


async def test_of_what_is_being_deleted_no_clone_begins(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    with site.database.transaction() as db:
        db.get_one(FolderRow, folder).state = "purging"
        with pytest.raises(Conflict, match="being deleted"):
            site.folder_jobs.add_clone(db, folder_id="c" * 32, source_id=folder, by=Person("ann"))
        db.rollback()


async def test_a_waiting_session_does_not_start_with_what_is_trashed(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    session = await lab.submit("ann", {"name": "data"}, name="lab")
    trashed = await lab.rest("POST", f"folders/{folder}/trash", by="ann")
    assert trashed.body["warnings"] == ["lab of ann waits to mount it and will not start."]
    taken = await lab.take_over(session)
    assert (taken["status"], taken["grant"]) == ("ERROR", None)
    assert "user:ann/data" in taken["reason"]["message"]


async def test_after_its_days_in_the_trash_a_folder_goes_by_itself(
    lab: FolderLab, site: Site
) -> None:
    old, young = await lab.folder("ann", "old"), await lab.folder("ann", "young")
    await lab.rest("POST", f"folders/{old}/trash", by="ann")
    with site.database.transaction() as db:
        found = site.folders.get(db, old)
        assert found is not None
        found.trashed_at = time.time() - 31 * DAY
    await lab.rest("POST", f"folders/{young}/trash", by="ann")
    assert TrashCollector(site).once(time.time()) == [old]
    await lab.until(lambda: row(site, old) is None)
    assert row(site, young) is not None


async def test_with_trash_days_0_nothing_goes_by_itself(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    site.policy = replace(site.policy, trash_days=0)
    trashed = await lab.rest("POST", f"folders/{folder}/trash", by="ann")
    assert trashed.body["purged_at"] is None
    assert TrashCollector(site).once(time.time() + 1e9) == []


async def test_who_may_delete_but_does_not_keep_it_trashes_it_for_the_owner(
    lab: FolderLab,
) -> None:
    folder = await lab.folder("ann")
    await lab.share(folder, "bob", "rwd", by="ann")
    trashed = await lab.rest("POST", f"folders/{folder}/trash", by="bob")
    assert (trashed.status, trashed.body["state"]) == (200, "trash")
    assert await lab.status("POST", f"folders/{folder}/restore", {}, by="bob") == 404
    seen = await lab.rest("GET", f"folders/{folder}", by="ann")
    assert seen.body["trashed_by"] == "bob"
    assert await lab.status("POST", f"folders/{folder}/restore", {}, by="ann") == 200


async def test_of_restore_and_purge_at_once_exactly_one_wins(lab: FolderLab, site: Site) -> None:
    for number in range(5):
        folder = await lab.folder("ann", f"d{number}")
        await lab.rest("POST", f"folders/{folder}/trash", by="ann")
        restored, purged = await asyncio.gather(
            lab.status("POST", f"folders/{folder}/restore", {}, by="ann"),
            lab.status("DELETE", f"folders/{folder}", {"name": f"d{number}"}, by="ann"),
        )
        assert (restored, purged) in {(200, 409), (409, 202)}
        found = row(site, folder)
        assert found is not None
        assert found.state == ("ready" if restored == 200 else "purging")

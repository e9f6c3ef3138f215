"""The folder that a project has chosen for all its sessions, as they mount it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub_ext.site import Site

from .folder_lab import FolderLab, folder_lab

PLACE = "/home/work/materials"


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FolderLab]:
    async with folder_lab(site, monkeypatch) as found:
        yield found


def mounted(grant: dict[str, Any]) -> dict[str, bool]:
    """By target, whether it is read-only; the home left out."""
    mounts = [mount for mount in grant["mounts"] if mount["target"] != "/home/work"]
    return {mount["target"]: mount["read_only"] for mount in mounts}


async def chosen(lab: FolderLab, name: str = "week-1", **values: Any) -> str:
    """A folder of ml101 that is its material."""
    folder = await lab.folder("tess", name, project="ml101", **values)
    await choose(lab, folder)
    return folder


async def choose(lab: FolderLab, folder: str | None) -> None:
    change = {"materials_folder_id": folder}
    answer = await lab.rest("PATCH", "projects/ml101", change, by="tess")
    assert answer.status == 200, answer.body


async def started(lab: FolderLab, by: str, *folders: dict[str, Any], **values: Any) -> Any:
    return mounted(await lab.run(await lab.submit(by, *folders, project="ml101", **values)))


async def test_every_session_of_the_project_has_the_materials_read_only(lab: FolderLab) -> None:
    await chosen(lab)
    assert await started(lab, "bob") == {PLACE: True}
    assert await started(lab, "tess") == {PLACE: True}, "also for those who may write"
    elsewhere = mounted(await lab.run(await lab.submit("ivy", project="cv202")))
    assert elsewhere == {}


async def test_the_users_own_choice_of_the_place_goes_first(lab: FolderLab) -> None:
    await chosen(lab)
    await lab.folder("bob", "materials")
    assert await started(lab, "bob", {"name": "materials"}, name="a") == {PLACE: False}
    inside = {"name": "materials", "target": "materials/mine"}
    assert await started(lab, "bob", inside, name="b") == {f"{PLACE}/mine": False}


async def test_the_folder_can_be_mounted_by_its_name_too(lab: FolderLab) -> None:
    await chosen(lab)
    both = await started(lab, "bob", {"name": "week-1"})
    assert both == {PLACE: True, "/home/work/week-1": True}


@pytest.mark.parametrize("there", ["a file", "a directory with a file", "a link"])
async def test_what_the_user_has_there_in_his_home_is_not_hidden(
    lab: FolderLab, site: Site, there: str
) -> None:
    await chosen(lab)
    await started(lab, "bob", name="first")
    with site.database.transaction() as db:
        home = site.folders.home(db, "bob").id
    place = site.folders.storage.path(home) / "materials"
    if there == "a file":
        place.write_text("mine")
    elif there == "a link":
        place.symlink_to("/etc")
    else:
        place.mkdir()
        (place / "notes").write_text("mine")
    assert await started(lab, "bob", name="second") == {}


async def test_an_empty_mount_point_of_earlier_sessions_is_no_choice(
    lab: FolderLab, site: Site
) -> None:
    await chosen(lab)
    await started(lab, "bob", name="first")
    with site.database.transaction() as db:
        home = site.folders.home(db, "bob").id
    (site.folders.storage.path(home) / "materials").mkdir()
    assert await started(lab, "bob", name="second") == {PLACE: True}


async def test_what_is_chosen_at_the_start_counts_not_what_was_at_submission(
    lab: FolderLab,
) -> None:
    first = await chosen(lab)
    waiting = await lab.submit("bob", project="ml101")
    second = await chosen(lab, "week-2")
    grant = await lab.run(waiting)
    (materials,) = [mount for mount in grant["mounts"] if mount["target"] == PLACE]
    assert second in materials["source"]
    assert first not in materials["source"]
    again = await lab.submit("bob", project="ml101", name="later")
    await choose(lab, None)
    assert mounted(await lab.run(again)) == {}


async def test_who_may_not_read_the_folder_starts_without_it(lab: FolderLab) -> None:
    folder = await chosen(lab, members_mode="")
    assert await started(lab, "bob", name="a") == {}
    waiting = await lab.submit("bob", project="ml101", name="b")
    await lab.rest("PATCH", f"folders/{folder}", {"members_mode": "ro"}, by="tess")
    assert mounted(await lab.run(waiting)) == {PLACE: True}
    late = await lab.submit("bob", project="ml101", name="c")
    await lab.rest("POST", f"folders/{folder}/trash", by="tess")
    assert mounted(await lab.run(late)) == {}, "a folder in the trash holds up nobody"


async def test_a_folder_that_another_owner_got_is_no_material_any_more(lab: FolderLab) -> None:
    folder = await chosen(lab)
    given = {"kind": "project", "owner": "cv202"}
    assert await lab.status("POST", f"folders/{folder}/transfer", given, by="root") == 200
    assert await started(lab, "tess") == {}


async def test_only_an_own_folder_outside_the_trash_can_be_chosen(lab: FolderLab) -> None:
    mine = await lab.folder("tess", "mine")
    theirs = await lab.folder("ian", "slides", project="cv202")
    trashed = await lab.folder("tess", "old", project="ml101")
    await lab.rest("POST", f"folders/{trashed}/trash", by="tess")
    refusals = [
        await lab.rest("PATCH", "projects/ml101", {"materials_folder_id": each}, by="tess")
        for each in (mine, theirs, trashed, "f" * 32)
    ]
    assert {answer.status for answer in refusals} == {400}
    assert len({answer.body["error"]["message"] for answer in refusals}) == 1, "nobody learns more"

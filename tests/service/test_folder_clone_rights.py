"""A clone ends when who asked for it may not read its source any more."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hub_ext.db.folder_models import FolderJobRow, FolderRow
from hub_ext.folders import jobs as jobs_module
from hub_ext.folders.file_process import Outcome, run_file_work
from hub_ext.site import Site

from .folder_lab import ROOT, FolderLab, folder_lab

OF_USER = "The folder is not shared with you any more. Nothing of the copy is kept."
OF_PROJECT = "The folder of project ml101 is not open to you any more"


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FolderLab]:
    monkeypatch.setattr(jobs_module, "_RIGHTS_EVERY_S", 0.02)
    async with folder_lab(site, monkeypatch) as made:
        yield made


class HeldCopies:
    """Copies that have written a piece, and go on only when told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go_on = asyncio.Event()

    async def __call__(self, task: dict[str, Any], on_progress: Any = None) -> Outcome:
        if task["task"] != "clone":
            return await run_file_work(task, on_progress)
        half = os.path.join(task["root"], task["target"], "half")
        os.mkdir(half)
        self.begun.append(task["source"])
        await self.go_on.wait()
        os.rmdir(half)
        return await run_file_work(task, on_progress)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> HeldCopies:
    held = HeldCopies()
    monkeypatch.setattr(jobs_module, "run_file_work", held)
    return held


async def cloned(lab: FolderLab, folder: str, by: str, name: str = "copy") -> tuple[str, str]:
    """The job and the new folder."""
    answer = await lab.rest("POST", f"folders/{folder}/clone", {"name": name}, by=by)
    assert answer.status == 202, answer.body
    return str(answer.body["job"]["id"]), str(answer.body["folder"]["id"])


def job(lab: FolderLab, job_id: str) -> FolderJobRow:
    with lab.site.database.transaction() as db:
        return db.get_one(FolderJobRow, job_id)


async def ended_of(lab: FolderLab, job_id: str) -> FolderJobRow:
    await lab.until(lambda: job(lab, job_id).state != "running")
    return job(lab, job_id)


def nothing_left(lab: FolderLab, folder: str) -> Callable[[], bool]:
    """Neither row nor files of a folder, nor what was put away of it."""

    def look() -> bool:
        with lab.site.database.transaction() as db:
            there = db.get(FolderRow, folder)
        names = os.listdir(lab.site.folders.storage.root)
        left = [name for name in names if folder in name or name.startswith(".purge-")]
        return there is None and not left

    return look


@dataclass(frozen=True, slots=True)
class Way:
    """How bob comes to read a folder, how that ends, and what he is told then."""

    keeper: str
    project: str
    told: str
    end: Callable[[FolderLab, str, str], Awaitable[object]]
    """Of the lab, the folder and bob's invitation."""

    async def folder(self, lab: FolderLab) -> tuple[str, str]:
        """With one file in it; and bob's invitation, "" for a member."""
        values = {"project": self.project} if self.project else {}
        folder = await lab.folder(self.keeper, "material", **values)
        await lab.upload(folder, "lesson.txt", b"one", by=self.keeper)
        member = self.project == "ml101"
        return folder, "" if member else await lab.share(folder, "bob", by=self.keeper)


async def taken_off_the_list(lab: FolderLab, _folder: str, _invited: str) -> None:
    lab.site.projects.roster.remove("ml101", "bob", by=ROOT)


async def closed_to_members(lab: FolderLab, folder: str, _invited: str) -> None:
    changed = await lab.rest("PATCH", f"folders/{folder}", {"members_mode": ""}, by="tess")
    assert changed.status == 200, changed.body


async def archived(lab: FolderLab, _folder: str, _invited: str) -> None:
    lab.site.projects.archive("ml101", by=ROOT)


async def stopped_by(lab: FolderLab, folder: str, invited: str, by: str) -> None:
    answer = await lab.rest("DELETE", f"folders/{folder}/shares/{invited}", by=by)
    assert answer.status == 200, answer.body


async def stopped_by_ann(lab: FolderLab, folder: str, invited: str) -> None:
    await stopped_by(lab, folder, invited, "ann")


async def stopped_by_ian(lab: FolderLab, folder: str, invited: str) -> None:
    await stopped_by(lab, folder, invited, "ian")


async def left(lab: FolderLab, _folder: str, invited: str) -> None:
    assert await lab.status("POST", f"invitations/{invited}/leave", {}, by="bob") == 200


WAYS = {
    "taken off the list": Way("tess", "ml101", OF_PROJECT, taken_off_the_list),
    "closed to members": Way("tess", "ml101", OF_PROJECT, closed_to_members),
    "archived": Way("tess", "ml101", OF_PROJECT, archived),
    "stopped, of a project": Way(
        "ian", "cv202", OF_PROJECT.replace("ml101", "cv202"), stopped_by_ian
    ),
    "stopped, of a user": Way("ann", "", OF_USER, stopped_by_ann),
    "left": Way("ann", "", OF_USER, left),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


async def test_a_copy_that_runs_is_cancelled_and_undone(
    lab: FolderLab, copies: HeldCopies, way: Way
) -> None:
    folder, invited = await way.folder(lab)
    job_id, target = await cloned(lab, folder, "bob")
    await lab.until(lambda: copies.begun)
    assert job(lab, job_id).state == "running"

    await way.end(lab, folder, invited)

    ended = await ended_of(lab, job_id)
    assert ended.state == "failed"
    assert ended.error.startswith(way.told)
    await lab.until(nothing_left(lab, target))
    assert await lab.names("bob") == []
    told = await lab.rest("GET", f"folders/{target}/jobs", by="bob")
    assert told.body["jobs"][0]["error"] == ended.error


async def test_a_copy_that_waits_for_others_never_begins(
    lab: FolderLab, copies: HeldCopies
) -> None:
    way = WAYS["taken off the list"]
    folder, invited = await way.folder(lab)
    other = await lab.folder("bob", "own")
    first = [await cloned(lab, other, "bob", f"copy-{number}") for number in range(2)]
    last, target = await cloned(lab, folder, "bob", "copy-last")
    await lab.until(lambda: len(copies.begun) == 2)

    await way.end(lab, folder, invited)
    assert (await ended_of(lab, last)).error.startswith(OF_PROJECT)
    copies.go_on.set()

    for job_id, _ in first:
        assert (await ended_of(lab, job_id)).state == "done"
    await lab.until(nothing_left(lab, target))
    assert folder not in copies.begun


async def test_a_copy_asked_for_before_the_service_went_down_is_looked_at_when_it_begins(
    lab: FolderLab, copies: HeldCopies, way: Way
) -> None:
    folder, invited = await way.folder(lab)
    job_id, target = await cloned(lab, folder, "bob")
    await way.end(lab, folder, invited)
    assert (await ended_of(lab, job_id)).error.startswith(way.told)
    await lab.until(nothing_left(lab, target))
    assert copies.begun == []


async def test_a_copy_that_was_whole_when_the_service_was_killed_is_undone_too(
    lab: FolderLab, way: Way
) -> None:
    folder, invited = await way.folder(lab)
    job_id, target = await cloned(lab, folder, "bob")
    (lab.site.folders.storage.make(target) / "lesson.txt").write_text("one")
    await way.end(lab, folder, invited)
    assert (await ended_of(lab, job_id)).error.startswith(way.told)
    await lab.until(nothing_left(lab, target))


async def test_a_copy_that_is_done_stays_whatever_ends_then(lab: FolderLab, way: Way) -> None:
    folder, invited = await way.folder(lab)
    job_id, _ = await cloned(lab, folder, "bob")
    assert (await ended_of(lab, job_id)).state == "done"
    await way.end(lab, folder, invited)
    assert await lab.names("bob") == ["copy"]


async def test_who_still_reads_keeps_his_copy_whatever_else_changes(
    lab: FolderLab, copies: HeldCopies
) -> None:
    folder = await lab.folder("tess", "material", project="ml101")
    copied = [await cloned(lab, folder, by) for by in ("bob", "ben+course-ml101", "tess")]
    invited = await lab.share(folder, "bob", by="tess")
    await lab.until(lambda: len(copies.begun) == 2)
    await stopped_by(lab, folder, invited, "tess")
    assert not lab.site.folder_jobs._end_without_right()
    assert await lab.status("POST", f"folders/{folder}/trash", by="tess") == 200
    assert not lab.site.folder_jobs._end_without_right()
    copies.go_on.set()
    for job_id, _ in copied:
        assert (await ended_of(lab, job_id)).state == "done"

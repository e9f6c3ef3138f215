"""Clones and purges to their end, whatever ends the service in between."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hub_ext.db.connection import Database
from hub_ext.db.folder_models import FolderJobRow, FolderRow, ShareRow, UploadRow
from hub_ext.errors import Conflict
from hub_ext.folders import file_worker
from hub_ext.folders import jobs as jobs_module
from hub_ext.folders import measuring as measuring_module
from hub_ext.folders.access import Person
from hub_ext.folders.file_process import Outcome, WorkFailed
from hub_ext.folders.jobs import FolderJobs
from hub_ext.folders.leftovers import Leftovers
from hub_ext.folders.measuring import Measuring
from hub_ext.folders.storage import FolderStorage, StorageError
from hub_ext.folders.storage_root import opened_root
from hub_ext.folders.walking import Usage, measure_tree
from hub_ext.site import Policy

SERVICE = """
import asyncio, sys
from pathlib import Path
from hub_ext.db.connection import Database
from hub_ext.folders.jobs import FolderJobs
from hub_ext.folders.storage import FolderStorage
from hub_ext.site import Policy
storage = FolderStorage(Path(sys.argv[2]))
asyncio.run(FolderJobs(Database(sys.argv[1]), storage, Policy()).run())
"""


class Lab:
    """A database, a storage, and what a test asks of both."""

    def __init__(self, database: Database, storage: FolderStorage) -> None:
        self.database = database
        self.storage = storage
        self.jobs = FolderJobs(database, storage, Policy())

    def folder(self, files: int = 0, state: str = "ready") -> str:
        folder_id = uuid.uuid4().hex
        with self.database.transaction() as db:
            db.add(
                FolderRow(
                    id=folder_id,
                    owner="alice",
                    name=folder_id,
                    state=state,
                    created_at=time.time(),
                )
            )
        if state == "ready":
            path = self.storage.make(folder_id)
            for number in range(files):
                directory = path / f"d{number // 100}"
                directory.mkdir(exist_ok=True)
                (directory / f"f{number}").write_text(str(number))
        return folder_id

    def clone(self, source: str) -> tuple[str, str]:
        """(job, folder)"""
        target = self.folder(state="cloning")
        with self.database.transaction() as db:
            job = self.jobs.add_clone(db, folder_id=target, source_id=source, by=Person("alice"))
        self.jobs.wake()
        return job.id, target

    def purge(self, folder_id: str) -> str:
        with self.database.transaction() as db:
            job = self.jobs.add_purge(db, folder_id=folder_id, user="alice")
        self.jobs.wake()
        return job.id

    def job(self, job_id: str) -> FolderJobRow:
        with self.database.transaction() as db:
            return db.get_one(FolderJobRow, job_id)

    def row(self, folder_id: str) -> FolderRow | None:
        with self.database.transaction() as db:
            return db.get(FolderRow, folder_id)

    def names(self) -> set[str]:
        """At the top level of the storage."""
        return set(os.listdir(self.storage.root)) - {".apportion-storage"}

    async def until(self, true: Callable[[], bool], limit_s: float = 60) -> None:
        async with asyncio.timeout(limit_s):
            while not true():  # noqa: ASYNC110 - rows and files have no event
                await asyncio.sleep(0.02)

    async def until_ended(self, job_id: str) -> FolderJobRow:
        await self.until(lambda: self.job(job_id).state != "running")
        return self.job(job_id)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A service that looks after jobs."""
        task = asyncio.create_task(self.jobs.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def lab(database: Database, tmp_path: Path) -> Lab:
    storage = FolderStorage(tmp_path / "folders")
    storage.prepare()
    return Lab(database, storage)


@pytest.fixture
def service(lab: Lab, database_url: str) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a real service process for the jobs."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SERVICE, database_url, str(lab.storage.root)]
        started.append(subprocess.Popen(command))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def mounted() -> Iterator[Callable[[Path], None]]:
    """Mounts something on a directory."""
    places: list[Path] = []

    def mount(place: Path) -> None:
        if subprocess.run(["mount", "-t", "tmpfs", "none", place]).returncode != 0:
            pytest.skip("we may not mount")
        places.append(place)

    yield mount
    for place in places:
        subprocess.run(["umount", "-l", place], check=True)


def content(path: Path) -> dict[str, str]:
    return {
        str(found.relative_to(path)): found.read_text()
        for found in path.rglob("*")
        if found.is_file()
    }


async def test_a_clone_becomes_a_ready_folder_with_the_same_files(lab: Lab) -> None:
    source = lab.folder(files=250)
    async with lab.running():
        job_id, target = lab.clone(source)
        job = await lab.until_ended(job_id)
    assert (job.state, job.error, job.note) == ("done", "", "")
    assert (job.files_done, job.files_total, job.bytes_done) == (250, 250, job.bytes_total)
    row = lab.row(target)
    assert row is not None
    assert row.state == "ready"
    assert content(lab.storage.path(target)) == content(lab.storage.path(source))
    assert lab.names() == {source, target}


async def test_what_a_clone_leaves_out_is_noted(lab: Lab) -> None:
    source = lab.folder(files=1)
    os.mkfifo(lab.storage.path(source) / "pipe")
    async with lab.running():
        job_id, _ = lab.clone(source)
        job = await lab.until_ended(job_id)
    assert job.state == "done"
    assert "pipe" in job.note


async def test_a_clone_that_fails_leaves_neither_folder_nor_files(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_args: object) -> None:
        (lab.storage.root / f".clone-{target}" / "half").write_text("half")
        raise WorkFailed("The storage became full after 1 files (0.0 GB).")

    monkeypatch.setattr(jobs_module, "run_file_work", full)
    source = lab.folder(files=1)
    job_id, target = lab.clone(source)
    async with lab.running():
        job = await lab.until_ended(job_id)
        await lab.until(lambda: lab.names() == {source})
    assert (job.state, job.error) == ("failed", "The storage became full after 1 files (0.0 GB).")
    assert lab.row(target) is None


async def test_a_clone_of_a_folder_without_directory_fails_and_makes_no_empty_one(
    lab: Lab,
) -> None:
    source = lab.folder(state="cloning")
    async with lab.running():
        job_id, _ = lab.clone(source)
        job = await lab.until_ended(job_id)
        await lab.until(lambda: lab.names() == set())
    assert job.state == "failed"
    assert "missing from the storage" in job.error


@pytest.mark.parametrize(("share", "state"), [("accepted", "done"), ("stopped", "failed")])
async def test_a_clone_that_waited_begins_only_if_the_folder_is_still_shared(
    lab: Lab, share: str, state: str
) -> None:
    source, target = lab.folder(files=1), lab.folder(state="cloning")
    with lab.database.transaction() as db:
        db.add(
            ShareRow(
                id=uuid.uuid4().hex,
                folder_id=source,
                user="bob",
                mode="ro",
                state=share,
                invited_by="alice",
                invited_at=time.time(),
                ended_at=time.time() if share == "stopped" else None,
            )
        )
        job = lab.jobs.add_clone(db, folder_id=target, source_id=source, by=Person("bob"))
    async with lab.running():
        ended = await lab.until_ended(job.id)
        kept = {source, target} if state == "done" else {source}
        await lab.until(lambda: lab.names() == kept)
    assert ended.state == state
    refused = "The folder is not shared with you any more. Nothing of the copy is kept."
    assert ended.error == ("" if state == "done" else refused)


async def test_a_cancelled_clone_is_gone_at_once_and_its_files_soon(lab: Lab) -> None:
    source = lab.folder(files=1)
    with (lab.storage.path(source) / "large").open("wb") as file:
        for _ in range(200):
            file.write(os.urandom(1_000_000))
    async with lab.running():
        job_id, target = lab.clone(source)
        half = lab.storage.root / f".clone-{target}" / "large"
        await lab.until(half.exists)
        with lab.database.transaction() as db:
            lab.jobs.cancel(db, db.get_one(FolderJobRow, job_id))
        lab.jobs.wake()
        assert lab.row(target) is None
        await lab.until(lambda: lab.names() == {source})
    assert lab.job(job_id).state == "cancelled"


async def test_what_has_ended_or_is_being_deleted_cannot_be_cancelled(lab: Lab) -> None:
    source = lab.folder(files=1)
    async with lab.running():
        clone, _ = lab.clone(source)
        await lab.until_ended(clone)
        purge = lab.purge(source)
        await lab.until_ended(purge)
    for job_id, why in ((clone, "is done already"), (purge, "cannot be had back")):
        with lab.database.transaction() as db, pytest.raises(Conflict, match=why):
            lab.jobs.cancel(db, db.get_one(FolderJobRow, job_id))


async def test_a_clone_cancelled_in_the_moment_of_its_last_rename_is_swept(lab: Lab) -> None:
    source = lab.folder(files=1)
    job_id, target = lab.clone(source)
    lab.storage.make(target)
    with lab.database.transaction() as db:
        lab.jobs.cancel(db, db.get_one(FolderJobRow, job_id))
    async with lab.running():
        await lab.until(lambda: lab.names() == {source})


async def test_a_purge_takes_files_and_row(lab: Lab) -> None:
    folder = lab.folder(files=150)
    async with lab.running():
        job = await lab.until_ended(lab.purge(folder))
    assert (job.state, job.files_done) == ("done", 150)
    assert lab.row(folder) is None
    assert lab.names() == set()


async def test_what_was_removed_inside_a_folder_is_deleted_in_the_background(lab: Lab) -> None:
    folder = lab.folder(files=150)
    async with lab.running():
        await lab.storage.remove(folder, "d0")
        assert sorted(os.listdir(lab.storage.path(folder))) == ["d1"]
        await lab.until(lambda: lab.names() == {folder})


async def test_a_storage_that_is_away_leaves_jobs_for_later(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "_LOOK_EVERY_S", 0.05)
    source = lab.folder(files=1)
    marker = lab.storage.root / ".apportion-storage"
    marker.unlink()
    clone, _ = lab.clone(source)
    async with lab.running():
        await lab.until(lambda: not lab.jobs._tasks)
        assert lab.job(clone).state == "running"
        marker.touch()
        assert (await lab.until_ended(clone)).state == "done"


async def test_a_storage_that_is_away_is_not_asked_again_at_once(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    source = lab.folder(files=1)
    marker = lab.storage.root / ".apportion-storage"
    marker.unlink()
    clone, _ = lab.clone(source)
    async with lab.running():
        await lab.until(lambda: "waits: " in caplog.text)
        for _ in range(20):
            with pytest.raises(StorageError):
                await lab.storage.at_root(os.listdir)
        marker.touch()
        lab.jobs.wake()
        assert (await lab.until_ended(clone)).state == "done"
    assert caplog.text.count("waits: ") == 1


async def test_a_purge_that_failed_is_begun_again_after_a_pause(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_args: object) -> None:
        raise WorkFailed("The folder storage has a read or write error; tell your admin.")

    folder = lab.folder(files=3)
    with monkeypatch.context() as patch:
        patch.setattr(jobs_module, "run_file_work", broken)
        job_id = lab.purge(folder)
        async with lab.running():
            job = await lab.until_ended(job_id)
    assert (job.state, lab.row(folder).state) == ("failed", "purging")  # type: ignore[union-attr]
    with lab.database.transaction() as db:
        ended = db.get_one(FolderJobRow, job_id)
        assert ended.ended_at is not None
        ended.ended_at -= 61
    async with lab.running():
        await lab.until(lambda: lab.row(folder) is None and lab.names() == set())
        assert (await lab.until_ended(job_id)).error == ""
    assert lab.job(job_id).state == "done"


async def test_a_folder_whose_purge_was_forgotten_is_purged_at_the_start(lab: Lab) -> None:
    folder, kept = lab.folder(files=3), lab.folder(files=1)
    with lab.database.transaction() as db:
        db.get_one(FolderRow, folder).state = "purging"
    async with lab.running():
        await lab.until(lambda: lab.row(folder) is None)
    assert lab.names() == {kept}


@pytest.mark.parametrize("seen", ["begun", "half", "files done"])
async def test_a_clone_is_whole_after_the_service_was_killed_in_the_middle(
    lab: Lab, service: Callable[[], subprocess.Popen[bytes]], seen: str
) -> None:
    source = lab.folder(files=1500)
    with (lab.storage.path(source) / "large").open("wb") as file:
        for _ in range(100):
            file.write(os.urandom(1_000_000))
    wanted = (lab.storage.path(source) / "large").stat().st_size
    job_id, target = lab.clone(source)
    half = lab.storage.root / f".clone-{target}"
    conditions: dict[str, Callable[[], bool]] = {
        "begun": half.exists,
        "half": lambda: half.exists() and any(half.iterdir()),
        "files done": lambda: lab.job(job_id).files_done > 0,
    }
    first = service()
    await lab.until(conditions[seen])
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert target not in lab.names() or not half.exists()
    assert lab.row(target) is not None
    service()
    job = await lab.until_ended(job_id)
    assert job.state == "done", job.error
    assert sum(len(files) for _, _, files in os.walk(lab.storage.path(target))) == 1501
    assert (lab.storage.path(target) / "large").stat().st_size == wanted
    await lab.until(lambda: lab.names() == {source, target})


async def test_a_purge_goes_on_after_the_service_was_killed_in_the_middle(
    lab: Lab, service: Callable[[], subprocess.Popen[bytes]]
) -> None:
    folder, other = lab.folder(files=2000), lab.folder(files=1)
    job_id = lab.purge(folder)
    first = service()
    await lab.until(lambda: f".purge-{folder}" in lab.names())
    first.send_signal(signal.SIGKILL)
    first.wait()
    service()
    assert (await lab.until_ended(job_id)).state == "done"
    assert lab.row(folder) is None
    await lab.until(lambda: lab.names() == {other})


async def test_a_worker_dies_with_its_service(
    lab: Lab, service: Callable[[], subprocess.Popen[bytes]]
) -> None:
    source = lab.folder()
    with (lab.storage.path(source) / "large").open("wb") as file:
        for _ in range(100):
            file.write(os.urandom(1_000_000))
    _, target = lab.clone(source)
    first = service()
    await lab.until((lab.storage.root / f".clone-{target}" / "large").exists)
    children = _children(first.pid)
    assert children
    first.send_signal(signal.SIGKILL)
    first.wait()
    await lab.until(lambda: not any(_alive(child) for child in children))


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_clone_that_was_renamed_but_not_noted_is_done(lab: Lab) -> None:
    source = lab.folder(files=1)
    job_id, target = lab.clone(source)
    (lab.storage.make(target) / "whole").touch()
    async with lab.running():
        assert (await lab.until_ended(job_id)).state == "done"
    assert os.listdir(lab.storage.path(target)) == ["whole"]


async def test_only_leftovers_without_a_row_are_swept(lab: Lab) -> None:
    needed, upload = uuid.uuid4().hex, uuid.uuid4().hex
    folder = lab.folder(files=1)
    with lab.database.transaction() as db:
        lab.jobs.add_clone(db, folder_id=needed, source_id=folder, by=Person("alice"))
        now = time.time()
        db.add(
            UploadRow(
                id=upload,
                folder_id=folder,
                user="alice",
                path="a",
                size=1,
                started_at=now,
                changed_at=now,
            )
        )
    kept = {folder, f".clone-{needed}", f".upload-{upload}", ".upload-young", "f" * 32, "notes"}
    for name in [*kept - {folder}, ".clone-old", ".purge-old", ".upload-old"]:
        path = lab.storage.root / name
        if name.startswith(".upload"):
            path.touch()
        else:
            path.mkdir()
            (path / "file").touch()
    for name in (".upload-old", f".upload-{upload}"):
        os.utime(lab.storage.root / name, (1, 1))
    await Leftovers(lab.database, lab.storage).sweep()
    assert lab.names() == kept


async def test_what_cannot_be_deleted_keeps_nothing_else(
    lab: Lab, mounted: Callable[[Path], None]
) -> None:
    for name in (".purge-a", ".purge-b", ".purge-c"):
        (lab.storage.root / name / "inner").mkdir(parents=True)
    mounted(lab.storage.root / ".purge-b" / "inner")
    with pytest.raises(WorkFailed, match="inner"):
        await Leftovers(lab.database, lab.storage).sweep()
    assert lab.names() == {".purge-b"}


async def test_folders_are_measured_and_again_only_when_it_is_time(lab: Lab) -> None:
    folder, gone = lab.folder(files=3), lab.folder(state="cloning")
    with lab.database.transaction() as db:
        db.get_one(FolderRow, gone).state = "ready"
    measuring = Measuring(lab.database, lab.storage)
    now = time.time()
    await measuring.measure_due(now)
    row, missing = lab.row(folder), lab.row(gone)
    assert row is not None
    assert missing is not None
    path = lab.storage.path(folder)
    du = 512 * sum(found.stat().st_blocks for found in [path, *path.rglob("*")])
    assert (row.used_bytes, row.used_files, row.measured_at) == (du, 3, now)
    assert (missing.used_bytes, missing.measured_at) == (None, now)

    (path / "more").touch()
    await measuring.measure_due(now + 60)
    assert lab.row(folder).used_files == 3  # type: ignore[union-attr]
    measuring.touch(folder)
    await measuring.measure_due(now + 60)
    assert lab.row(folder).used_files == 4  # type: ignore[union-attr]


async def test_a_folder_that_cannot_be_read_keeps_no_other_from_being_measured(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folders = [lab.folder(files=2) for _ in range(3)]
    broken = folders[1]
    inode = lab.storage.path(broken).stat().st_ino

    def measure(folder_fd: int) -> Usage:
        if os.fstat(folder_fd).st_ino == inode:
            raise OSError(errno.EIO, "Input/output error")
        return measure_tree(folder_fd)

    async def in_this_process(task: dict[str, Any]) -> Outcome:
        said: list[dict[str, Any]] = []
        monkeypatch.setattr(file_worker, "say", said.append)
        with opened_root(lab.storage.root) as root_fd:
            file_worker._measure(root_fd, task)
        results = {key: value for line in said for key, value in line["result"].items()}
        return Outcome(results=results)

    monkeypatch.setattr(os, "nice", lambda _by: 0)
    monkeypatch.setattr(file_worker, "_SYS_IOPRIO_SET", {})
    monkeypatch.setattr(file_worker, "measure_tree", measure)
    monkeypatch.setattr(measuring_module, "run_file_work", in_this_process)
    now = time.time()
    await Measuring(lab.database, lab.storage).measure_due(now)
    rows = [lab.row(folder) for folder in folders]
    assert [row and (row.used_files, row.measured_at) for row in rows] == [
        (2, now),
        (None, now),
        (2, now),
    ]
    assert f"Folder {broken} was not measured" in capfd.readouterr().err


async def test_stopping_the_service_stops_its_jobs_and_forgets_none(lab: Lab) -> None:
    source = lab.folder(files=1500)
    job_id, target = lab.clone(source)
    async with lab.running():
        await lab.until(lambda: f".clone-{target}" in lab.names())
    assert lab.job(job_id).state == "running"
    async with lab.running():
        assert (await lab.until_ended(job_id)).state == "done"
    assert len(content(lab.storage.path(target))) == 1500

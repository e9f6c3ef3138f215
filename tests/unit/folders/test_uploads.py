"""Uploads in pieces: continued, finished once, refused early, forgotten in the end."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.folder_models import FolderRow, ShareRow, UploadRow
from hub_ext.errors import BadValue, Conflict, NotFound, OverLimit
from hub_ext.folders import uploads as uploads_module
from hub_ext.folders.leftovers import Leftovers
from hub_ext.folders.safe_path import BadPath
from hub_ext.folders.storage import FolderStorage, StorageError, StorageFull
from hub_ext.folders.uploads import IDLE_S, MOST_AT_ONCE, Upload, Uploads, WrongOffset
from tests.unit.folders.conftest import FOLDER


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'apportion.sqlite'}")
    database.upgrade()
    with database.transaction() as db:
        db.add(FolderRow(id=FOLDER, owner="alice", name="data", created_at=0.0))
    yield database
    database.engine.dispose()


@pytest.fixture
def uploads(database: Database, storage: FolderStorage) -> Uploads:
    return Uploads(database, storage)


async def begin(uploads: Uploads, path: str = "file", size: int = 10, **more: object) -> Upload:
    return await uploads.create(folder_id=FOLDER, user="alice", path=path, size=size, **more)  # type: ignore[arg-type]


def waiting(storage: FolderStorage) -> list[str]:
    return [name for name in os.listdir(storage.root) if name.startswith(".upload-")]


async def test_a_file_arrives_in_pieces_and_is_the_users(
    uploads: Uploads, storage: FolderStorage, folder: Path
) -> None:
    upload = await begin(uploads, "new/dir/file")
    assert await uploads.append(upload.id, "alice", 0, b"01234") == 5
    assert os.listdir(folder) == []
    assert (await uploads.get(upload.id, "alice")).offset == 5
    assert await uploads.append(upload.id, "alice", 5, b"56789") == 10
    assert await uploads.finish(upload.id, "alice") == "new/dir/file"
    placed = folder / "new/dir/file"
    assert placed.read_bytes() == b"0123456789"
    owner = 1000 if os.geteuid() == 0 else os.geteuid()
    found = placed.stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (owner, 0o644)
    assert (folder / "new").stat().st_uid == owner
    assert waiting(storage) == []
    with pytest.raises(NotFound):
        await uploads.get(upload.id, "alice")


async def test_a_piece_at_the_wrong_place_is_told_the_right_one(uploads: Uploads) -> None:
    upload = await begin(uploads)
    await uploads.append(upload.id, "alice", 0, b"0123")
    for offset in (0, 3, 5):
        with pytest.raises(WrongOffset) as refused:
            await uploads.append(upload.id, "alice", offset, b"x")
        assert refused.value.offset == 4
        assert refused.value.as_json()["error"]["offset"] == 4
    assert (await uploads.get(upload.id, "alice")).offset == 4


async def test_more_than_announced_is_refused(uploads: Uploads) -> None:
    upload = await begin(uploads, size=4)
    with pytest.raises(BadValue, match="0 \\+ 5 are more"):
        await uploads.append(upload.id, "alice", 0, b"01234")


async def test_a_file_that_is_not_whole_is_not_put_in_its_place(
    uploads: Uploads, folder: Path
) -> None:
    upload = await begin(uploads)
    await uploads.append(upload.id, "alice", 0, b"0123")
    with pytest.raises(WrongOffset):
        await uploads.finish(upload.id, "alice")
    assert os.listdir(folder) == []


async def test_an_empty_file_can_be_uploaded(uploads: Uploads, folder: Path) -> None:
    upload = await begin(uploads, size=0)
    await uploads.finish(upload.id, "alice")
    assert (folder / "file").read_bytes() == b""


async def test_what_is_there_is_replaced_only_when_asked(uploads: Uploads, folder: Path) -> None:
    early = await begin(uploads, size=3)
    (folder / "file").write_text("old")
    with pytest.raises(Conflict):
        await begin(uploads)
    await uploads.append(early.id, "alice", 0, b"new")
    with pytest.raises(Conflict):
        await uploads.finish(early.id, "alice")
    assert (folder / "file").read_text() == "old"
    replacing = await begin(uploads, size=3, overwrite=True)
    await uploads.append(replacing.id, "alice", 0, b"new")
    await uploads.finish(replacing.id, "alice")
    assert (folder / "file").read_text() == "new"


async def test_a_directory_is_never_replaced(uploads: Uploads, folder: Path) -> None:
    upload = await begin(uploads, size=0, overwrite=True)
    (folder / "file").mkdir()
    with pytest.raises(Conflict):
        await begin(uploads, overwrite=True)
    with pytest.raises(Conflict):
        await uploads.finish(upload.id, "alice")
    assert (folder / "file").is_dir()


async def test_a_planted_symlink_neither_receives_nor_redirects_a_file(
    uploads: Uploads, folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    through = await begin(uploads, "door/file", size=0, overwrite=True)
    onto = await begin(uploads, "link", size=0, overwrite=True)
    (folder / "door").symlink_to(outside)
    (folder / "link").symlink_to(outside / "file")
    with pytest.raises((BadPath, BadValue, Conflict)):
        await uploads.finish(through.id, "alice")
    await uploads.finish(onto.id, "alice")
    assert (outside / "file").read_text() == "kept"
    assert not (folder / "link").is_symlink()


@pytest.mark.parametrize("path", ["../x", "/x", "a\0", "", "x" * 256])
async def test_a_hostile_path_begins_nothing(
    uploads: Uploads, storage: FolderStorage, path: str
) -> None:
    with pytest.raises(BadPath):
        await begin(uploads, path)
    assert waiting(storage) == []


async def test_quota_and_free_space_are_looked_at_first(
    uploads: Uploads, storage: FolderStorage
) -> None:
    def full(_db: Session) -> None:
        raise OverLimit("no room")

    with pytest.raises(OverLimit, match="no room"):
        await begin(uploads, admit=full)
    with pytest.raises(StorageFull, match="the folder storage has"):
        await begin(uploads, size=10**18)
    with pytest.raises(BadValue):
        await begin(uploads, size=-1)
    assert waiting(storage) == []


async def test_uploads_that_begin_together_keep_to_the_most_of_a_user(
    uploads: Uploads, storage: FolderStorage
) -> None:
    beginnings = (begin(uploads, f"file{number}") for number in range(MOST_AT_ONCE + 20))
    outcomes = await asyncio.gather(*beginnings, return_exceptions=True)
    assert sum(isinstance(outcome, Upload) for outcome in outcomes) == MOST_AT_ONCE
    assert sum(isinstance(outcome, OverLimit) for outcome in outcomes) == 20
    assert len(waiting(storage)) == MOST_AT_ONCE


async def test_what_others_announced_is_not_free_any_more(
    uploads: Uploads, storage: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def free_bytes() -> int:
        return 10**9

    monkeypatch.setattr(storage, "free_bytes", free_bytes)
    first = await begin(uploads, "one", size=7 * 10**8)
    with pytest.raises(StorageFull):
        await begin(uploads, "two", size=3 * 10**8)
    await uploads.abort(first.id, "alice")
    await begin(uploads, "two", size=3 * 10**8)


async def test_what_one_user_announced_leaves_room_for_others(
    uploads: Uploads, storage: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def free_bytes() -> int:
        return 4 * 2**30

    monkeypatch.setattr(storage, "free_bytes", free_bytes)
    await begin(uploads, "one", size=3 * 2**30)
    await uploads.create(folder_id=FOLDER, user="bob", path="two", size=2 * 2**30)
    with pytest.raises(StorageFull):
        await begin(uploads, "three", size=2**30)


async def test_a_user_has_only_so_many_at_once(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "MOST_AT_ONCE", 2)
    for number in range(2):
        await begin(uploads, f"file-{number}")
    with pytest.raises(OverLimit):
        await begin(uploads, "third")


async def test_another_user_learns_nothing_of_it(uploads: Uploads) -> None:
    upload = await begin(uploads)
    for call in (
        uploads.get(upload.id, "bob"),
        uploads.append(upload.id, "bob", 0, b"x"),
        uploads.finish(upload.id, "bob"),
        uploads.abort(upload.id, "bob"),
        uploads.get("missing", "alice"),
    ):
        with pytest.raises(NotFound):
            await call


async def test_a_full_disk_takes_the_whole_piece_back(
    uploads: Uploads, storage: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await begin(uploads)
    await uploads.append(upload.id, "alice", 0, b"0123")

    def full(fd: int, piece: bytes, offset: int) -> int:
        really(fd, piece[:1], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    really = os.pwrite
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageFull):
        await uploads.append(upload.id, "alice", 4, b"456789")
    monkeypatch.undo()
    assert (await uploads.get(upload.id, "alice")).offset == 4
    await uploads.append(upload.id, "alice", 4, b"456789")
    await uploads.finish(upload.id, "alice")


async def test_a_really_full_disk_does_so_too(
    database: Database,
    tmp_path: Path,
    mount: Callable[[Path, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "small"
    root.mkdir()
    mount(root, "size=1m")
    storage = FolderStorage(root)
    storage.prepare()
    storage.make(FOLDER)
    monkeypatch.setattr(uploads_module, "_KEEP_FREE", 0)
    uploads = Uploads(database, storage)
    upload = await begin(uploads, size=1_000_000)
    (root / FOLDER / "grown").write_bytes(b"x" * 500_000)
    with pytest.raises(StorageFull):
        await uploads.append(upload.id, "alice", 0, b"x" * 1_000_000)
    assert (await uploads.get(upload.id, "alice")).offset == 0


async def test_it_goes_on_after_a_restart(
    uploads: Uploads, database: Database, storage: FolderStorage, folder: Path
) -> None:
    upload = await begin(uploads)
    await uploads.append(upload.id, "alice", 0, b"0123")
    again = Uploads(database, FolderStorage(storage.root))
    await Leftovers(database, storage).sweep()
    found = await again.get(upload.id, "alice")
    assert (found.path, found.size, found.offset) == ("file", 10, 4)
    await again.append(upload.id, "alice", 4, b"456789")
    await again.finish(upload.id, "alice")
    assert (folder / "file").read_bytes() == b"0123456789"


async def test_a_finish_whose_row_outlived_it_is_finished(
    uploads: Uploads, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await begin(uploads, size=3)
    await uploads.append(upload.id, "alice", 0, b"new")

    def killed(_upload_id: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(uploads, "_forget", killed)
    with pytest.raises(KeyboardInterrupt):
        await uploads.finish(upload.id, "alice")
    after = Uploads(database, uploads._storage)
    assert await after.finish(upload.id, "alice") == "file"
    assert (folder / "file").read_bytes() == b"new"
    with database.transaction() as db:
        assert db.get(UploadRow, upload.id) is None


async def test_a_cancelled_upload_leaves_nothing(
    uploads: Uploads, storage: FolderStorage, folder: Path
) -> None:
    upload = await begin(uploads)
    await uploads.append(upload.id, "alice", 0, b"0123")
    await uploads.abort(upload.id, "alice")
    assert waiting(storage) == []
    assert os.listdir(folder) == []


async def test_an_upload_idle_for_a_week_is_forgotten(
    uploads: Uploads, storage: FolderStorage
) -> None:
    upload = await begin(uploads)
    await uploads.expire(time.time() + IDLE_S - 60)
    assert len(waiting(storage)) == 1
    await uploads.expire(time.time() + IDLE_S + 60)
    assert waiting(storage) == []
    with pytest.raises(NotFound):
        await uploads.get(upload.id, "alice")


async def test_uploads_of_those_who_may_write_no_more_are_forgotten(
    uploads: Uploads, storage: FolderStorage, database: Database
) -> None:
    kept = await begin(uploads, "kept")
    for user, mode in (("bob", "rw"), ("eve", "ro")):
        invitation = {"mode": mode, "state": "accepted", "invited_by": "alice", "invited_at": 0.0}
        with database.transaction() as db:
            db.add(ShareRow(id=user, folder_id=FOLDER, user=user, **invitation))
    guests = await uploads.create(folder_id=FOLDER, user="bob", path="guests", size=1)
    lost = await uploads.create(folder_id=FOLDER, user="eve", path="lost", size=1)
    await uploads.expire(time.time())
    assert sorted(waiting(storage)) == sorted([f".upload-{kept.id}", f".upload-{guests.id}"])
    with pytest.raises(NotFound):
        await uploads.get(lost.id, "eve")


async def test_a_storage_that_is_away_loses_no_upload(
    uploads: Uploads, storage: FolderStorage
) -> None:
    upload = await begin(uploads)
    marker = storage.root / ".apportion-storage"
    marker.unlink()
    with pytest.raises(StorageError):
        await uploads.get(upload.id, "alice")
    marker.touch()
    assert (await uploads.get(upload.id, "alice")).offset == 0

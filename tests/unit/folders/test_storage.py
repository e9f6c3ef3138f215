"""What the service does in folders, and what it says when the storage is not well."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hub_ext.errors import BadValue, Conflict, Forbidden, NotFound
from hub_ext.folders import contents
from hub_ext.folders.file_calls import FileCalls
from hub_ext.folders.safe_path import BadPath
from hub_ext.folders.storage import FolderStorage, StorageError, StorageFull
from tests.unit.folders.conftest import FOLDER, until

OTHER = "f" * 32


async def test_a_listing_shows_directories_first_and_symlinks_as_such(
    storage: FolderStorage, folder: Path
) -> None:
    (folder / "b.txt").write_text("four")
    (folder / "A.txt").write_text("")
    (folder / "zoo").mkdir()
    (folder / "out").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    listing = await storage.list(FOLDER)
    assert [(found.name, found.type, found.size) for found in listing.entries] == [
        ("zoo", "directory", 0),
        ("A.txt", "file", 0),
        ("b.txt", "file", 4),
        ("out", "link", 0),
        ("pipe", "other", 0),
    ]
    assert listing.total == 5
    assert not listing.cut


async def test_a_listing_comes_in_pages(storage: FolderStorage, folder: Path) -> None:
    for number in range(25):
        (folder / f"file-{number:02}").touch()
    page = await storage.list(FOLDER, offset=20, limit=10)
    assert [found.name for found in page.entries] == [f"file-{n}" for n in range(20, 25)]
    assert page.total == 25


async def test_a_huge_directory_is_cut_and_says_so(
    storage: FolderStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "MOST_NAMES", 10)
    for number in range(11):
        (folder / f"file-{number}").touch()
    listing = await storage.list(FOLDER)
    assert listing.cut
    assert listing.total == 10


async def test_names_that_cannot_be_given_back_are_shown_but_not_usable(
    storage: FolderStorage, folder: Path
) -> None:
    for name in (b"bytes-\xff", b"new\nline", "e\u0301".encode(), b"plain"):
        (folder / os.fsdecode(name)).touch()
    usable = {found.name: found.usable for found in (await storage.list(FOLDER)).entries}
    assert usable == {"bytes-\ufffd": False, "new\nline": False, "e\u0301": False, "plain": True}


async def test_directories_are_made_once_and_belong_to_the_user(
    storage: FolderStorage, folder: Path
) -> None:
    await storage.make_directory(FOLDER, "a")
    with pytest.raises(Conflict):
        await storage.make_directory(FOLDER, "a")
    with pytest.raises(NotFound):
        await storage.make_directory(FOLDER, "b/c")
    await storage.make_directory(FOLDER, "b/c", parents=True)
    await storage.make_directory(FOLDER, "b/c", parents=True)
    owner = 1000 if os.geteuid() == 0 else os.geteuid()
    assert {(folder / path).stat().st_uid for path in ("a", "b", "b/c", ".")} == {owner}


async def test_a_rename_never_replaces_and_never_moves_a_directory_into_itself(
    storage: FolderStorage, folder: Path
) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "file").write_text("a")
    (folder / "b").write_text("b")
    with pytest.raises(Conflict, match="'b' is there already"):
        await storage.rename(FOLDER, "a/file", "b")
    with pytest.raises(BadValue, match="into itself"):
        await storage.rename(FOLDER, "a", "a/inner")
    with pytest.raises(NotFound):
        await storage.rename(FOLDER, "missing", "c")
    await storage.rename(FOLDER, "a/file", "c")
    assert (folder / "c").read_text() == "a"
    assert (folder / "b").read_text() == "b"


async def test_what_is_removed_is_out_of_the_folder_at_once(
    storage: FolderStorage, folder: Path
) -> None:
    (folder / "tree" / "inner").mkdir(parents=True)
    (folder / "link").symlink_to(storage.root / ".apportion-storage")
    await storage.remove(FOLDER, "tree")
    await storage.remove(FOLDER, "link")
    assert os.listdir(folder) == []
    assert storage.discarded.is_set()
    assert ".apportion-storage" in os.listdir(storage.root)
    with pytest.raises(NotFound):
        await storage.remove(FOLDER, "tree")


async def test_a_file_is_read_in_pieces(storage: FolderStorage, folder: Path) -> None:
    (folder / "file").write_bytes(b"0123456789")
    opened = await storage.open_read(FOLDER, "file")
    try:
        assert opened.size == 10
        assert await storage.read(opened, 4, 3) == b"456"
        assert await storage.read(opened, 10) == b""
    finally:
        os.close(opened.fd)


@pytest.mark.parametrize("kind", ["directory", "pipe", "link", "link-to-pipe", "through-link"])
async def test_only_regular_files_are_downloaded_and_a_pipe_does_not_hang(
    storage: FolderStorage, folder: Path, kind: str
) -> None:
    (folder / "directory").mkdir()
    (folder / "directory" / "file").touch()
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("directory/file")
    (folder / "link-to-pipe").symlink_to("pipe")
    (folder / "through").symlink_to("directory")
    path = "through/file" if kind == "through-link" else kind
    with pytest.raises(BadPath):
        await asyncio.wait_for(storage.open_read(FOLDER, path), 5)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a\0b", "a/../b"])
async def test_no_call_takes_a_hostile_path(storage: FolderStorage, path: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: storage.list(FOLDER, path),
        lambda: storage.stat(FOLDER, path),
        lambda: storage.make_directory(FOLDER, path),
        lambda: storage.remove(FOLDER, path),
        lambda: storage.open_read(FOLDER, path),
        lambda: storage.rename(FOLDER, path, "b"),
        lambda: storage.rename(FOLDER, "a", path),
    ]
    for call in calls:
        with pytest.raises(BadPath):
            await call()  # type: ignore[misc]


def test_an_id_that_is_none_is_refused(storage: FolderStorage) -> None:
    for hostile in ("..", "a/b", "", FOLDER + "\n", FOLDER.upper()):
        with pytest.raises(ValueError, match="not a folder id"):
            storage.path(hostile)


async def test_without_its_marker_the_storage_is_not_there_and_nothing_is_made(
    storage: FolderStorage,
) -> None:
    (storage.root / ".apportion-storage").unlink()
    shutil.rmtree(storage.path(FOLDER))
    for call in (storage.ensure(FOLDER), storage.list(FOLDER), storage.free_bytes()):
        with pytest.raises(StorageError, match="is not there: is it mounted"):
            await call
    assert os.listdir(storage.root) == []


async def test_a_root_that_is_gone_is_not_made_again(storage: FolderStorage) -> None:
    shutil.rmtree(storage.root)
    with pytest.raises(StorageError, match="is not there"):
        await storage.ensure(FOLDER)
    assert not storage.root.exists()


async def test_a_missing_folder_is_never_replaced_by_an_empty_one(storage: FolderStorage) -> None:
    for call in (storage.check(OTHER), storage.list(OTHER), storage.make_directory(OTHER, "a")):
        with pytest.raises(StorageError, match="missing from the storage"):
            await call
    assert not storage.path(OTHER).exists()


async def test_a_symlink_in_place_of_a_folder_is_not_taken_for_it(
    storage: FolderStorage, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    storage.path(OTHER).symlink_to(tmp_path / "elsewhere")
    for call in (storage.check(OTHER), storage.ensure(OTHER)):
        with pytest.raises(StorageError):
            await call


async def test_a_full_storage_says_so_and_leaves_nothing_half(
    tmp_path: Path, mount: Callable[[Path, str], None]
) -> None:
    root = tmp_path / "small"
    root.mkdir()
    mount(root, "size=1m,nr_inodes=12")
    storage = FolderStorage(root)
    storage.prepare()
    await storage.ensure(FOLDER)
    for number in range(20):
        with suppress(StorageFull):
            await storage.make_directory(FOLDER, f"d{number}")
    with pytest.raises(StorageFull, match="is full") as refused:
        await storage.make_directory(FOLDER, "one-more")
    assert refused.value.status == 507
    with pytest.raises(StorageFull):
        await storage.ensure(OTHER)
    assert not (root / OTHER).exists()


async def test_a_read_only_storage_is_read_and_says_so_of_the_rest(
    storage: FolderStorage, folder: Path, mount: Callable[[Path, str], None]
) -> None:
    (folder / "file").write_text("here")
    mount(storage.root, "ro")
    assert (await storage.list(FOLDER)).total == 1
    changes: list[Callable[[], object]] = [
        lambda: storage.ensure(OTHER),
        lambda: storage.make_directory(FOLDER, "a"),
        lambda: storage.remove(FOLDER, "file"),
        lambda: storage.rename(FOLDER, "file", "b"),
    ]
    for change in changes:
        with pytest.raises(StorageError, match="read-only"):
            await change()  # type: ignore[misc]


async def test_a_stale_handle_is_the_admins_to_cure(
    storage: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(*_args: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(contents, "list_directory", stale)
    with pytest.raises(StorageError, match="stale file handle"):
        await storage.list(FOLDER)


async def test_what_the_service_may_not_do_is_named(
    storage: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(contents, "list_directory", closed)
    with pytest.raises(Forbidden, match="'private' may not be read"):
        await storage.list(FOLDER, "private")


class DeadShare:
    """Calls to it do not return until its server is back."""

    def __init__(self) -> None:
        self.back = threading.Event()
        self.asked = 0

    def __call__(self, *_args: object) -> contents.Listing:
        self.asked += 1
        self.back.wait()
        return contents.Listing((), 0, False)


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeadShare]:
    """Every listing hangs."""
    share = DeadShare()
    monkeypatch.setattr(contents, "list_directory", share)
    yield share
    share.back.set()


@pytest.fixture
def impatient(storage: FolderStorage) -> FolderStorage:
    """Three threads, and patience for a fifth of a second."""
    return FolderStorage(storage.root, FileCalls(threads=3, patience_s=0.2))


async def test_a_dead_share_gives_an_error_and_then_refuses_at_once(
    impatient: FolderStorage, dead: DeadShare
) -> None:
    waiting = [asyncio.create_task(impatient.list(FOLDER)) for _ in range(10)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {StorageError}
    assert dead.asked == 3
    asked = time.thread_time()
    for _ in range(100):
        with pytest.raises(StorageError, match="has not answered for") as refused:
            await impatient.stat(FOLDER, "")
        assert refused.value.status == 503
    # No refused call waits: a hundred of them cost computing only, and none reached a thread.
    assert time.thread_time() - asked < 5
    assert dead.asked == 3


async def test_it_works_again_when_the_share_is_back(
    impatient: FolderStorage, dead: DeadShare
) -> None:
    with pytest.raises(StorageError):
        await impatient.list(FOLDER)
    dead.back.set()

    async def until_it_answers() -> None:
        while True:
            try:
                await impatient.stat(FOLDER, "")
                return
            except StorageError:
                await asyncio.sleep(0)

    await asyncio.wait_for(until_it_answers(), 10)


async def test_the_event_loop_runs_on_while_the_share_hangs(
    storage: FolderStorage, dead: DeadShare
) -> None:
    hanging = asyncio.create_task(storage.list(FOLDER))
    await until(lambda: dead.asked > 0)
    assert (await storage.stat(FOLDER, "")).type == "directory"
    assert not hanging.done()
    hanging.cancel()


def test_a_caller_inside_a_transaction_waits_no_longer(
    impatient: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = threading.Event()
    monkeypatch.setattr("hub_ext.folders.storage.create", lambda *_args: back.wait())
    try:
        with pytest.raises(StorageError, match="has not answered"):
            impatient.make(OTHER)
    finally:
        back.set()


async def test_a_file_opened_for_nobody_is_closed(
    impatient: FolderStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").touch()
    may_open, opened = threading.Event(), []
    really = contents.open_file

    def late(folder_fd: int, path: str) -> contents.OpenFile:
        may_open.wait()
        opened.append(really(folder_fd, path))
        return opened[0]

    monkeypatch.setattr(contents, "open_file", late)
    with pytest.raises(StorageError):
        await impatient.open_read(FOLDER, "file")
    may_open.set()

    def is_closed() -> bool:
        if not opened:
            return False
        try:
            os.fstat(opened[0].fd)
        except OSError:
            return True
        return False

    await until(is_closed)


def test_an_empty_mount_point_is_never_taken_for_a_storage_that_was_used(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    storage.prepare(used=True)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageError, match="is it mounted"):
        storage.make(FOLDER)


def test_a_fresh_file_system_is_a_fresh_storage(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    storage = FolderStorage(tmp_path)
    storage.prepare()
    storage.make(FOLDER)
    assert (tmp_path / FOLDER).is_dir()

"""Part of a folder as a mount's source: what users do with names cannot redirect it."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub_ext.errors import BadValue, NotFound
from hub_ext.folders import mounting
from hub_ext.folders.mounting import SubpathMounts
from hub_ext.folders.safe_path import BadPath
from hub_ext.folders.storage import FolderStorage
from tests.unit.folders.conftest import FOLDER

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")


@pytest.fixture
async def mounts(storage: FolderStorage) -> AsyncIterator[SubpathMounts]:
    mounts = SubpathMounts(storage)
    yield mounts
    await mounts.reconcile(set)


def mounted_below(path: Path) -> list[str]:
    """Mount points, by the kernel's own list."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if line.split()[4].startswith(str(path))]


@needs_root
async def test_a_subpath_is_mounted_and_gone_after_the_session(
    mounts: SubpathMounts, storage: FolderStorage, folder: Path
) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("inside")
    source = await mounts.add("s1", 0, FOLDER, "a/b")
    assert source == storage.root / ".mounts" / "s1" / "0"
    assert (source / "file").read_text() == "inside"
    (source / "new").touch()
    assert (folder / "a" / "b" / "new").exists()
    await mounts.remove("s1")
    assert mounted_below(storage.root) == []
    assert os.listdir(storage.root / ".mounts") == []
    assert (folder / "a" / "b" / "file").read_text() == "inside"


@needs_root
async def test_renaming_and_replacing_the_directory_changes_nothing(
    mounts: SubpathMounts, folder: Path, tmp_path: Path
) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "file").write_text("inside")
    source = await mounts.add("s1", 0, FOLDER, "data")
    (folder / "data").rename(folder / "moved")
    (folder / "data").symlink_to(tmp_path)
    assert os.listdir(source) == ["file"]


@needs_root
async def test_a_directory_and_a_symlink_swapped_all_the_time_never_mount_the_outside(
    mounts: SubpathMounts, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").touch()
    (folder / "door").mkdir()
    (folder / "door" / "file").touch()
    (folder / "link").symlink_to(tmp_path / "outside")
    stopped = threading.Event()

    def flip() -> None:
        while not stopped.is_set():
            for old, new in (
                ("door", "real"),
                ("link", "door"),
                ("door", "link"),
                ("real", "door"),
            ):
                os.rename(folder / old, folder / new)

    flipper = threading.Thread(target=flip)
    flipper.start()
    seen = set()
    try:
        for _ in range(300):
            try:
                source = await mounts.add("s1", 0, FOLDER, "door")
            except (BadValue, NotFound):
                continue
            seen.update(os.listdir(source))
    finally:
        stopped.set()
        flipper.join()
    assert seen == {"file"}


@needs_root
@pytest.mark.parametrize("path", ["link", "link/inner", "dangling", "loop", "proc", "pipe", "file"])
async def test_what_is_no_directory_of_the_folder_is_refused(
    mounts: SubpathMounts, storage: FolderStorage, folder: Path, path: str
) -> None:
    (folder / "link").symlink_to("/")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    (folder / "proc").symlink_to("/proc/self/root")
    os.mkfifo(folder / "pipe")
    (folder / "file").touch()
    for make in (False, True):
        with pytest.raises(BadValue) as refused:
            await mounts.add("s1", 0, FOLDER, path, make=make)
        assert refused.value.field in {"subpath", "path"}
    assert mounted_below(storage.root) == []


@needs_root
async def test_a_missing_directory_is_made_only_when_asked(
    mounts: SubpathMounts, folder: Path
) -> None:
    with pytest.raises(NotFound):
        await mounts.add("s1", 0, FOLDER, "new/inner")
    assert os.listdir(folder) == []
    await mounts.add("s1", 0, FOLDER, "new/inner", make=True)
    assert (folder / "new" / "inner").stat().st_uid == 1000


@needs_root
@pytest.mark.parametrize("path", ["..", "../x", "/etc", "a\0", "a\nb"])
async def test_a_hostile_subpath_is_refused(mounts: SubpathMounts, path: str) -> None:
    with pytest.raises(BadPath) as refused:
        await mounts.add("s1", 0, FOLDER, path)
    assert refused.value.field == "subpath"


@needs_root
async def test_mounting_again_replaces_and_piles_up_nothing(
    mounts: SubpathMounts, storage: FolderStorage, folder: Path
) -> None:
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    (folder / "b" / "of-b").touch()
    for path in ("a", "a", "b"):
        source = await mounts.add("s1", 0, FOLDER, path)
    assert len(mounted_below(storage.root)) == 1
    assert os.listdir(source) == ["of-b"]


@needs_root
async def test_at_the_start_only_mounts_of_live_sessions_stay(
    storage: FolderStorage, folder: Path, mounts: SubpathMounts
) -> None:
    (folder / "a").mkdir()
    for session in ("live", "ended"):
        for number in range(2):
            await mounts.add(session, number, FOLDER, "a")
    await SubpathMounts(storage).reconcile(lambda: {"live"})
    assert os.listdir(storage.root / ".mounts") == ["live"]
    assert len(mounted_below(storage.root)) == 2


@needs_root
async def test_a_place_without_its_mount_lets_nobody_in(
    mounts: SubpathMounts, folder: Path
) -> None:
    (folder / "a").mkdir()
    source = await mounts.add("s1", 0, FOLDER, "a")
    mounting._unmount(source)
    assert source.stat().st_mode & 0o777 == 0


async def test_who_may_not_mount_says_so(
    mounts: SubpathMounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BadValue, match="mount the whole folder"):
        await mounts.add("s1", 0, FOLDER, "a")


async def test_a_session_without_mounts_has_nothing_to_remove(mounts: SubpathMounts) -> None:
    await mounts.remove("never")
    with pytest.raises(ValueError, match="not a session id"):
        await mounts.remove("../x")

"""A copy is what ``cp -a`` makes, for the user of the containers."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hub_ext.folders import copying, descent
from hub_ext.folders.copying import CopyFailed, TreeCopy
from tests.deep_tree import listing, planted, removed
from tests.unit.folders.conftest import few_open_files

AS_ROOT = os.geteuid() == 0


def copy_tree(
    source: Path, target: Path, on_progress: Callable[[int, int], None] = lambda *_: None
) -> TreeCopy:
    """Into a new directory."""
    target.mkdir(exist_ok=True)
    umask = os.umask(0o22)
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target)]
    try:
        copy = TreeCopy(*fds, on_progress)
        copy.run()
    finally:
        os.umask(umask)
        for fd in fds:
            os.close(fd)
    return copy


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    return source


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def test_content_modes_times_and_links_are_kept(source: Path, target: Path) -> None:
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "small").write_text("small")
    (source / "large").write_bytes(os.urandom(3_000_000))
    (source / "empty").touch()
    (source / "a" / "tool").write_text("#!/bin/sh")
    (source / "a" / "tool").chmod(0o4755)
    (source / "a" / "closed").write_text("x")
    (source / "a" / "closed").chmod(0o400)
    (source / "a" / "name").symlink_to("b/small")
    (source / "out").symlink_to("/etc/passwd")
    (source / "dangling").symlink_to("nowhere")
    os.link(source / "large", source / "a" / "again")
    os.setxattr(source / "empty", "user.tag", b"value")
    (source / "a" / "b").chmod(0o500)
    for number, path in enumerate(["a/b/small", "large", "empty", "a/tool", "a/b", "a", "."]):
        os.utime(source / path, ns=(10**18 + number, 10**18 + 7 * number + 123))

    copy = copy_tree(source, target)

    listing = "cd {} && find . -printf '%P %y %m %n %s %T@ %l\n' | sort"
    seen = [
        subprocess.check_output(["sh", "-c", listing.format(path)]) for path in (source, target)
    ]
    # Sizes of directories are the file system's own affair; these are all small.
    assert seen[0] == seen[1]
    assert (target / "large").read_bytes() == (source / "large").read_bytes()
    assert os.path.samefile(target / "large", target / "a" / "again")
    assert not os.path.samefile(target / "large", source / "large")
    assert os.getxattr(target / "empty", "user.tag") == b"value"
    assert copy.files_done == 9
    assert copy.note() == ""


@pytest.mark.skipif(not AS_ROOT, reason="only root gives files away")
def test_everything_belongs_to_the_user_of_the_containers(source: Path, target: Path) -> None:
    (source / "inner").mkdir()
    (source / "inner" / "file").touch()
    (source / "link").symlink_to("inner")
    copy_tree(source, target)
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in [target, *target.rglob("*")]}
    assert owners == {(1000, 1000)}


def test_holes_stay_holes(source: Path, target: Path) -> None:
    with (source / "sparse").open("wb") as file:
        file.seek(50_000_000)
        file.write(b"middle")
        file.truncate(100_000_000)
    copy = copy_tree(source, target)
    found = (target / "sparse").stat()
    assert found.st_size == 100_000_000
    assert found.st_blocks * 512 < 1_000_000
    with (target / "sparse").open("rb") as file:
        file.seek(50_000_000)
        assert file.read(7) == b"middle\0"
    assert copy.bytes_done == 100_000_000


def test_a_wholly_empty_sparse_file_keeps_its_length(source: Path, target: Path) -> None:
    with (source / "sparse").open("wb") as file:
        file.truncate(10_000_000)
    copy_tree(source, target)
    assert (target / "sparse").stat().st_size == 10_000_000


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS])
def test_where_the_kernel_cannot_copy_reading_and_writing_does(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def cannot(*_args: object) -> int:
        raise OSError(code, "cannot")

    monkeypatch.setattr(os, "copy_file_range", cannot)
    (source / "large").write_bytes(os.urandom(5_000_000))
    copy_tree(source, target)
    assert (target / "large").read_bytes() == (source / "large").read_bytes()


def test_special_files_are_left_out_and_named(source: Path, target: Path) -> None:
    os.mkfifo(source / "pipe")
    (source / "file").touch()
    copy = copy_tree(source, target)
    assert os.listdir(target) == ["file"]
    assert copy.note() == "1 left out (pipes, sockets or devices): pipe."


def test_of_many_special_files_a_few_are_named_and_briefly(source: Path, target: Path) -> None:
    deep = source.joinpath(*["d" * 100] * 5)
    deep.mkdir(parents=True)
    for number in range(5):
        os.mkfifo(deep / f"pipe-{number}")
    note = copy_tree(source, target).note()
    assert note.startswith("5 left out (pipes, sockets or devices): ...ddd")
    assert note.endswith(" and 2 more.")
    assert len(note) < 500


def test_files_that_cannot_be_read_fail_the_copy_and_are_named(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.open

    def closed(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path).startswith("private") and not flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return really(path, flags, mode, dir_fd=dir_fd)

    (source / "file").touch()
    (source / "private-file").touch()
    (source / "inner" / "private-directory").mkdir(parents=True)
    monkeypatch.setattr(os, "open", closed)
    with pytest.raises(CopyFailed, match="2 cannot be read") as failed:
        copy_tree(source, target)
    assert "'private-file' (Permission denied)" in str(failed.value)
    assert "'inner/private-directory' (Permission denied)" in str(failed.value)


def test_a_full_disk_fails_the_copy_and_says_how_far_it_came(
    source: Path, target: Path, mount: Callable[[Path, str], None]
) -> None:
    for number in range(4):
        (source / f"file-{number}").write_bytes(b"x" * 400_000)
    target.mkdir()
    mount(target, "size=1m")
    with pytest.raises(CopyFailed, match="became full after 2 files"):
        copy_tree(source, target)


def test_what_vanishes_meanwhile_is_tolerated(source: Path, target: Path) -> None:
    for number in range(100):
        directory = source / f"d{number}"
        directory.mkdir()
        (directory / "file").write_text("x")

    def vanish(_bytes_done: int, files_done: int) -> None:
        if files_done == 10:
            subprocess.run(["rm", "-rf", *source.iterdir()], check=True)

    copy = copy_tree(source, target, vanish)
    assert 10 <= copy.files_done < 20


def test_a_file_that_grows_is_copied_as_long_as_it_was(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_CHUNK", 1_000_000)
    (source / "log").write_bytes(b"x" * 5_000_000)

    def grow(_bytes_done: int, _files_done: int) -> None:
        with (source / "log").open("ab") as file:
            file.write(b"y" * 1_000_000)

    copy_tree(source, target, grow)
    assert (target / "log").read_bytes() == b"x" * 5_000_000


def test_a_directory_swapped_for_a_symlink_is_not_followed(
    source: Path, target: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (source / "first").touch()
    (source / "inner").mkdir()

    def swap(_bytes_done: int, _files_done: int) -> None:
        (source / "inner").rmdir()
        (source / "inner").symlink_to(outside)

    copy_tree(source, target, swap)
    assert sorted(os.listdir(target)) == ["first"]


def test_a_tree_deeper_than_any_path_is_copied_whole_with_few_open_files(
    source: Path, target: Path
) -> None:
    with planted(source) as names, removed(target), few_open_files():
        copy = copy_tree(source, target)
        assert listing(source) == listing(target)
    assert copy.files_done == names


def test_directories_moved_out_meanwhile_fail_the_copy_and_lead_nowhere_else(
    source: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descent, "KEPT_OPEN", 3)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").touch()
    moved = source.joinpath(*["d"] * 6)
    (moved / "e" / "f" / "g").mkdir(parents=True)
    (moved / "e" / "f" / "g" / "deepest").touch()

    def move(_bytes_done: int, _files_done: int) -> None:
        moved.rename(tmp_path / "outside" / "taken")

    with pytest.raises(CopyFailed, match="Directories were moved while they were copied"):
        copy_tree(source, target, move)
    assert not list(target.rglob("secret"))


def test_progress_moves_inside_one_large_file(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_CHUNK", 1_000_000)
    (source / "large").write_bytes(b"x" * 10_000_000)
    seen: list[int] = []
    copy_tree(source, target, lambda bytes_done, _: seen.append(bytes_done))
    assert len(set(seen)) >= 10
    assert seen == sorted(seen)


@pytest.mark.skipif(not AS_ROOT, reason="only root becomes somebody else")
def test_an_ordinary_user_copies_without_giving_away(tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, 65534, 65534)
    (tmp_path / "source" / "file").write_text("x")
    (tmp_path / "source" / "file").chmod(0o644)
    source, target = (
        os.open(tmp_path / name, os.O_RDONLY | os.O_DIRECTORY) for name in ("source", "target")
    )
    code = (
        "import os; from hub_ext.folders.copying import TreeCopy;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        f"TreeCopy({source}, {target}, lambda *_: None).run()"
    )
    subprocess.run([sys.executable, "-c", code], pass_fds=(source, target), check=True)
    for fd in (source, target):
        os.close(fd)
    found = (tmp_path / "target" / "file").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (65534, 0o644)

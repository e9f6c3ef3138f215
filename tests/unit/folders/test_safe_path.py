"""Paths that users write, and what users plant: nothing leads out of a folder."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hub_ext.folders import safe_path
from hub_ext.folders.safe_path import (
    BadPath,
    check_path,
    open_beneath,
    parent_beneath,
    rename_new,
)

REFUSED = [
    "",
    ".",
    "..",
    "/",
    "///",
    "/etc/passwd",
    "../secret",
    "a/../../secret",
    "a/..",
    "./a",
    "a/./b",
    "a\0b",
    "a\nb",
    "a\rb",
    "a\tb",
    "\x1b[31mred",
    "a\x7f",
    "a\x85b",
    "a\u2028b",
    "\u202egpj.exe",
    "a\u200bb",
    "\ufeffa",
    "..\u2215secret",
    "a\uff0fb",
    "a\u2044b",
    "x" * 256,
    "\u00e9" * 128,
    "/".join(["x" * 200] * 21),
    "\udcff",
    "\udc80/a",
]

HARMLESS = [
    ("a", "a"),
    ("a//b/", "a/b"),
    ("e\u0301t\u00e9", "\u00e9t\u00e9"),
    ("{user.name}/{0}/%s/$HOME/`id`", "{user.name}/{0}/%s/$HOME/`id`"),
    ("-rf", "-rf"),
    ("~/x", "~/x"),
    ("...", "..."),
    ("\u2024\u2024/x", "\u2024\u2024/x"),
    ("CON", "CON"),
    ("con.txt:stream", "con.txt:stream"),
    ("a\\..\\b", "a\\..\\b"),
    ("%2e%2e/x", "%2e%2e/x"),
    ("\U0001f469\u200d\U0001f52c", "\U0001f469\u200d\U0001f52c"),
    ("x" * 255, "x" * 255),
]


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_a_hostile_path_is_refused_in_plain_letters(text: str) -> None:
    with pytest.raises(BadPath) as refused:
        check_path(text, "subpath")
    assert refused.value.field == "subpath"
    assert refused.value.message.isascii()
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 700


@pytest.mark.parametrize(("text", "canonical"), HARMLESS, ids=ascii)
def test_an_odd_path_is_only_a_name(text: str, canonical: str) -> None:
    assert check_path(text) == canonical


@pytest.fixture(params=["openat2", "walk"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kernel's own way, and ours for kernels without it."""
    if request.param == "walk":
        monkeypatch.setattr(safe_path, "has_openat2", lambda: False)
    elif not safe_path.has_openat2():
        pytest.skip("this kernel has no openat2")
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """A folder with hostile things in it, beside a secret."""
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "folder"
    (folder / "inner" / "deep").mkdir(parents=True)
    (folder / "inner" / "deep" / "file").write_text("mine")
    for name, leads_to in PLANTED.items():
        (folder / name).symlink_to(str(leads_to).replace("TMP", str(tmp_path)))
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


PLANTED = {
    "absolute": "TMP/secret",
    "relative": "../secret",
    "up": "..",
    "host": "/",
    "dangling": "/nowhere/at/all",
    "loop": "loop",
    "ping": "pong",
    "pong": "ping",
    "proc-root": "/proc/self/root",
    "proc-cwd": "/proc/self/cwd",
    "device": "/dev/zero",
    "inside": "inner",
    "inside-file": "inner/deep/file",
}


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("below", ["", "/secret", "/etc/passwd", "/deep/file"])
def test_a_planted_symlink_is_not_followed(kernel: str, root: int, name: str, below: str) -> None:
    with pytest.raises((BadPath, NotADirectoryError)):
        os.close(open_beneath(root, name + below, os.O_RDONLY))


@pytest.mark.parametrize("path", ["..", "inner/../../secret", "../secret"])
def test_even_an_unchecked_path_does_not_leave(kernel: str, root: int, path: str) -> None:
    with pytest.raises(BadPath):
        os.close(open_beneath(root, path, os.O_RDONLY))


def test_a_file_inside_is_opened_and_one_is_made(kernel: str, root: int) -> None:
    fd = open_beneath(root, "inner/deep/file", os.O_RDONLY)
    assert os.read(fd, 10) == b"mine"
    os.close(fd)
    os.close(open_beneath(root, "inner/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))
    assert stat.S_IMODE(os.stat("inner/new", dir_fd=root).st_mode) == 0o640


def test_nothing_is_made_through_a_symlink(kernel: str, root: int, tmp_path: Path) -> None:
    (tmp_path / "folder" / "out").symlink_to(tmp_path / "made")
    with pytest.raises((BadPath, FileExistsError)):
        os.close(open_beneath(root, "out", os.O_WRONLY | os.O_CREAT, 0o600))
    assert not (tmp_path / "made").exists()


def test_an_open_directory_that_is_swapped_all_the_time_never_leads_outside(
    kernel: str, tmp_path: Path
) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    (folder / "real").mkdir(parents=True)
    (folder / "real" / "file").write_text("inside")
    outside.mkdir()
    (outside / "file").write_text("outside")
    (folder / "link").symlink_to(outside)
    os.rename(folder / "real", folder / "door")
    stopped = threading.Event()

    def flip() -> None:
        while not stopped.is_set():
            os.rename(folder / "door", folder / "real")
            os.rename(folder / "link", folder / "door")
            os.rename(folder / "door", folder / "link")
            os.rename(folder / "real", folder / "door")

    flipper = threading.Thread(target=flip)
    flipper.start()
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    read = {"inside": 0, "refused": 0}
    try:
        for _ in range(5000):
            try:
                fd = open_beneath(root, "door/file", os.O_RDONLY)
            except (BadPath, FileNotFoundError, NotADirectoryError):
                read["refused"] += 1
                continue
            content = os.read(fd, 20).decode()
            os.close(fd)
            read[content] += 1
    finally:
        stopped.set()
        flipper.join()
        os.close(root)
    assert set(read) == {"inside", "refused"}
    assert read["inside"] > 0


def test_a_new_name_never_replaces_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        with pytest.raises(FileExistsError):
            rename_new(fd, "new", fd, "old")
        assert (tmp_path / "old").read_text() == "old"
        rename_new(fd, "new", fd, "fresh")
    finally:
        os.close(fd)
    assert (tmp_path / "fresh").read_text() == "new"


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_nor_does_it_where_the_file_system_has_no_such_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(safe_path, "_SYS_RENAMEAT2", {})
    for name in ("new", "old"):
        if kind == "file":
            (tmp_path / name).write_text(name)
        else:
            (tmp_path / name).mkdir()
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        with pytest.raises(FileExistsError):
            rename_new(fd, "new", fd, "old")
        rename_new(fd, "new", fd, "fresh")
    finally:
        os.close(fd)
    assert sorted(os.listdir(tmp_path)) == ["fresh", "old"]


def test_the_parent_is_opened_not_the_symlink_at_the_end(kernel: str, root: int) -> None:
    with parent_beneath(root, "absolute") as (directory, name):
        os.unlink(name, dir_fd=directory)
    assert "absolute" not in os.listdir(f"/proc/self/fd/{root}")


def test_a_socket_cannot_be_opened(kernel: str, root: int, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "folder" / "socket"))
    with pytest.raises(OSError, match="No such device or address"):
        os.close(open_beneath(root, "socket", os.O_RDONLY))


def test_a_kernel_without_openat2_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_args: object, **_named: object) -> int:
        raise OSError(errno.ENOSYS, "no such system call")

    monkeypatch.setattr(safe_path, "_openat2", missing)
    safe_path.has_openat2.cache_clear()
    try:
        assert not safe_path.has_openat2()
    finally:
        with suppress(AttributeError):
            safe_path.has_openat2.cache_clear()

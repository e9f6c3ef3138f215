"""A tree is deleted whole, whatever its users made of it, and nothing beside it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub_ext.folders import deleting
from hub_ext.folders.deleting import delete_tree


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_nothing_is_followed(root: int, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner" / "file").write_text("12345")
    (tree / "link").symlink_to(outside)
    (tree / "inner" / "up").symlink_to("../..")
    os.mkfifo(tree / "pipe")
    assert sum(delete_tree(root, "tree")) == 5
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(outside) == ["kept"]


def test_a_symlink_in_place_of_the_tree_is_itself_deleted(root: int, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    (tmp_path / "tree").symlink_to("outside")
    list(delete_tree(root, "tree"))
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(tmp_path / "outside") == ["kept"]


def test_what_is_not_there_is_fine(root: int) -> None:
    assert list(delete_tree(root, "missing")) == []


def test_a_tree_deeper_than_any_path_goes_with_few_open_files(root: int, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    here = os.open(tmp_path / "tree", os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=here)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        inner = os.open("deep", os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 150, limits[1]))
    try:
        assert len(list(delete_tree(root, "tree"))) == 3000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert os.listdir(tmp_path) == []


def test_more_subdirectories_than_fit_into_memory_at_once(
    root: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting, "_BATCH", 7)
    for number in range(50):
        (tmp_path / "tree" / f"d{number}" / "inner").mkdir(parents=True)
    list(delete_tree(root, "tree"))
    assert os.listdir(tmp_path) == []


def test_what_comes_in_meanwhile_goes_too(root: int, tmp_path: Path) -> None:
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    for number in range(5):
        (tmp_path / "tree" / "inner" / f"{number}").touch()
    deleted = delete_tree(root, "tree")
    next(deleted)
    (tmp_path / "tree" / "late").mkdir()
    list(deleted)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes somebody else")
def test_directories_closed_by_their_owner_are_opened(tmp_path: Path) -> None:
    (tmp_path / "tree" / "closed" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "closed" / "inner" / "file").touch()
    (tmp_path / "tree" / "read-only").mkdir()
    (tmp_path / "tree" / "read-only" / "file").touch()
    subprocess.run(["chown", "-R", "65534:65534", tmp_path], check=True)
    for closed in ("closed/inner", "closed", "read-only"):
        (tmp_path / "tree" / closed).chmod(0o500 if closed == "read-only" else 0)
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    code = (
        "import os; from hub_ext.folders.deleting import delete_tree;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        f"list(delete_tree({fd}, 'tree'))"
    )
    subprocess.run([sys.executable, "-c", code], pass_fds=(fd,), check=True)
    os.close(fd)
    assert os.listdir(tmp_path) == []


def test_what_is_mounted_inside_is_not_emptied(
    root: int, tmp_path: Path, mount: Callable[[Path, str], None]
) -> None:
    (tmp_path / "tree" / "mounted").mkdir(parents=True)
    mount(tmp_path / "tree" / "mounted", "size=1m")
    (tmp_path / "tree" / "mounted" / "kept").touch()
    with pytest.raises(OSError, match="cross-device"):
        list(delete_tree(root, "tree"))
    assert os.listdir(tmp_path / "tree" / "mounted") == ["kept"]

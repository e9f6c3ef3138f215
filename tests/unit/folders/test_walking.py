"""What a tree takes: allocated bytes, files once, nothing followed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hub_ext.folders import descent, walking
from hub_ext.folders.walking import count_tree, measure_tree
from tests.deep_tree import allocated, planted
from tests.unit.folders.conftest import few_open_files


def opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").write_bytes(os.urandom(100_000))
    os.link(tree / "a" / "file", tree / "a" / "b" / "again")
    with (tree / "sparse").open("wb") as file:
        file.truncate(10**9)
    (tree / "out").symlink_to("/usr")
    (tree / "up").symlink_to("..")
    (tmp_path / "beside").write_bytes(b"x" * 10**6)
    return tree


def test_the_measure_is_that_of_du(tree: Path) -> None:
    fd = opened(tree)
    usage = measure_tree(fd)
    os.close(fd)
    assert usage.bytes == allocated(tree)
    # file (once, with both its names), sparse, and two symlinks
    assert usage.files == 4


def test_a_copy_counts_lengths(tree: Path) -> None:
    fd = opened(tree)
    assert count_tree(fd) == (10**9 + 100_000, 4)
    os.close(fd)


def test_a_tree_deeper_than_any_path_is_counted_whole_with_few_open_files(tmp_path: Path) -> None:
    with planted(tmp_path) as names:
        used = allocated(tmp_path)
        fd = opened(tmp_path)
        with few_open_files():
            measured, counted = measure_tree(fd), count_tree(fd)
        os.close(fd)
    assert measured.bytes == used
    # Three files have two or three names, and count once.
    assert (measured.files, counted[1]) == (names - 4, names - 4)
    assert counted[0] > 4_000_000


def test_directories_moved_out_meanwhile_lead_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descent, "KEPT_OPEN", 3)
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (outside / "inner").mkdir(parents=True)
    (outside / "secret").write_text("x" * 100_000)
    moved = tree.joinpath(*["d"] * 6)
    (moved / "e" / "f" / "g").mkdir(parents=True)
    (moved / "e" / "f" / "g" / "deepest").touch()
    (tree / "later").touch()
    fd = opened(tree)
    found = []
    for seen in walking._walk(fd):
        found.append(seen.st_size)
        if len(found) == 11:
            moved.rename(outside / "inner" / "taken")
    os.close(fd)
    # nine directories and two files, of which none is outside
    assert len(found) == 11
    assert 100_000 not in found


AS_NOBODY = """
import os, sys
from hub_ext.folders.walking import count_tree, measure_tree
fd = os.open(sys.argv[1], os.O_RDONLY)
if os.geteuid() == 0:
    for found, directories, files in os.walk(sys.argv[1]):
        for name in directories + files:
            os.chown(name, 65534, 65534, dir_fd=os.open(found, os.O_RDONLY))
    os.fchown(fd, 65534, 65534)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print(measure_tree(fd).files, count_tree(fd))
"""


@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_what_a_user_has_closed_is_not_counted_and_stops_nothing(tmp_path: Path, mode: int) -> None:
    tree = tmp_path / "tree"
    (tree / "closed").mkdir(parents=True)
    (tree / "closed" / "file").write_text("hidden")
    (tree / "seen").write_text("seen")
    (tree / "closed").chmod(mode)
    said = subprocess.check_output([sys.executable, "-c", AS_NOBODY, tree], text=True)
    (tree / "closed").chmod(0o755)
    assert said == "1 (4, 1)\n"

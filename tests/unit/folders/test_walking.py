"""What a tree takes: allocated bytes, files once, nothing followed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hub_ext.folders import walking
from hub_ext.folders.walking import count_tree, measure_tree


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
    assert usage.bytes == int(subprocess.check_output(["du", "-sB1", tree]).split()[0])
    # file (once, with both its names), sparse, and two symlinks
    assert usage.files == 4


def test_a_copy_counts_lengths(tree: Path) -> None:
    fd = opened(tree)
    assert count_tree(fd) == (10**9 + 100_000, 4)
    os.close(fd)


def test_what_is_too_deep_is_not_counted_and_stops_nothing(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "DEEPEST", 10)
    tree.joinpath(*["d"] * 15).mkdir(parents=True)
    (tree / "d" / "counted").touch()
    tree.joinpath(*["d"] * 15, "not-counted").touch()
    fd = opened(tree)
    assert measure_tree(fd).files == 5
    os.close(fd)


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

"""The way down into a tree and up again never leaves it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub_ext.folders import descent
from hub_ext.folders.descent import Descent

NAMES = [f"d{number}" for number in range(1, 9)]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight directories in one another; three levels stay open."""
    monkeypatch.setattr(descent, "KEPT_OPEN", 3)
    tmp_path.joinpath("tree", *NAMES).mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    return tmp_path / "tree"


@pytest.fixture
def way(tree: Path) -> Iterator[Descent]:
    """Down to the innermost."""
    top = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    before = len(os.listdir("/proc/self/fd"))
    way = Descent(top)
    for name in NAMES:
        way.enter(name)
    yield way
    way.close()
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(top)


def is_at(way: Descent, path: Path) -> bool:
    return os.path.samestat(os.fstat(way.fd), path.stat())


def test_the_way_up_leads_through_all_that_it_came_through(way: Descent, tree: Path) -> None:
    for number in range(len(NAMES), -1, -1):
        assert is_at(way, tree.joinpath(*NAMES[:number]))
        assert way.depth == number + 1
        assert way.leave() == 0
    assert way.depth == 0


def test_few_stay_open_at_any_depth(way: Descent) -> None:
    assert sum(level.fd is not None for level in way._levels) == 5


def test_from_a_directory_that_was_moved_out_it_leads_to_what_is_still_open(
    way: Descent, tree: Path
) -> None:
    tree.joinpath(*NAMES[:5]).rename(tree.parent / "outside" / "taken")
    assert [way.leave() for _ in range(3)] == [0, 0, 0]
    assert is_at(way, tree.parent / "outside" / "taken")
    # d4 and d3 are closed, and cannot be found from here
    assert way.leave() == 2
    assert is_at(way, tree / "d1" / "d2")
    assert way.depth == 3


def test_a_link_in_place_of_a_directory_is_not_entered(way: Descent, tree: Path) -> None:
    (tree.joinpath(*NAMES) / "link").symlink_to(tree)
    with pytest.raises(OSError, match="Not a directory"):
        way.enter("link")
    assert is_at(way, tree.joinpath(*NAMES))

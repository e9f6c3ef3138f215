"""A tree that is deeper than any path, made and looked at as a user's programs do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEVELS = 3000

_PLANT = """
import os, sys
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(1000); os.setuid(1000)
top = os.open(".", os.O_RDONLY)
for level in range(int(sys.argv[2])):
    with open("file", "w") as file:
        file.write("x" * level)
    if level in (10, 2900):
        # Two files of two names each, above and below what a path can name.
        os.link("file", f"shared-{level}", dst_dir_fd=top)
        os.symlink("../file", "link")
    os.mkdir("deep-directory")
    os.chdir("deep-directory")
with open("bottom", "w") as file:
    file.write("here")
os.link("bottom", "bottom-too")
os.chdir("..")
os.link("deep-directory/bottom", "bottom-above")
"""


@contextmanager
def planted(place: Path, levels: int = LEVELS) -> Iterator[int]:
    """``levels`` directories in one another; how many names of files and links are in them.

    It takes them away again: what empties a temporary directory cannot.
    """
    if os.geteuid() == 0:
        os.chown(place, 1000, 1000)
    with removed(place / "deep-directory"):
        subprocess.run([sys.executable, "-c", _PLANT, place, str(levels)], check=True)
        yield len(listing(place)) - levels


@contextmanager
def removed(tree: Path) -> Iterator[None]:
    """In the end, at any depth, whatever happened."""
    try:
        yield
    finally:
        subprocess.run(["rm", "-rf", tree], check=True)


def allocated(tree: Path) -> int:
    """Bytes of a tree as du counts them."""
    return int(subprocess.check_output(["du", "-sB1", tree]).split()[0])


def listing(tree: Path) -> list[str]:
    """Depth, name, kind, mode, names, length, time and target of all that is in a tree."""
    what = "%d %f %y %m %n %s %T@ %l\n"
    found = subprocess.check_output(["find", tree, "-mindepth", "1", "-printf", what], text=True)
    return sorted(_without_size_of_directory(line) for line in found.splitlines())


def _without_size_of_directory(line: str) -> str:
    """That is the file system's own affair, as is the number of its names."""
    depth, name, kind, mode, names, size, *rest = line.split(" ")
    if kind == "d":
        names = size = ""
    return " ".join((depth, name, kind, mode, names, size, *rest))

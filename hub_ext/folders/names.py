"""Which names and mount points folders may have (DESIGN 6)."""

from __future__ import annotations

import posixpath
import re

from hub_ext.errors import BadValue

HOME = "/home/work"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_RESERVED = frozenset({".", ".jupyter", ".ipython", ".apportion"})


def check_folder_name(name: str, *, field: str = "name") -> str:
    """The name itself if it is allowed. Raises BadValue that says what is."""
    if not _NAME.fullmatch(name) or name.startswith("..") or name in _RESERVED:
        raise BadValue(
            f"{_shown(name)} cannot be a folder's name: use 1 to 64 of letters, digits, '.', '_'"
            " and '-', not starting with '..'.",
            field=field,
        )
    return name


def check_target(target: str, *, field: str = "target") -> str:
    """An absolute mount point strictly inside the home. Raises BadValue."""
    path = target if target.startswith("/") else f"{HOME}/{target}"
    parts = path.removeprefix(f"{HOME}/").split("/")
    inside = path.startswith(f"{HOME}/") and posixpath.normpath(path) == path
    if not inside or not all(_NAME.fullmatch(part) and part not in {".", ".."} for part in parts):
        raise BadValue(
            f"{_shown(target)} is no place to mount a folder: use a path inside {HOME} made of"
            " letters, digits, '.', '_' and '-'.",
            field=field,
        )
    return path


def is_dot_folder(name: str) -> bool:
    """Mounted by itself at ~/NAME in every session of its owner."""
    return name.startswith(".")


def _shown(text: str) -> str:
    """User text for an error message: escaped, and not too long."""
    return repr(text if len(text) <= 80 else text[:77] + "...")

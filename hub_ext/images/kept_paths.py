"""Which paths of a session's own layer become part of an image. Pure."""

from __future__ import annotations

import re
from posixpath import basename, dirname

_TREES = (
    "dev",
    "home/work",
    "proc",
    "root/.cache",
    "root/.ipython/profile_default/history.sqlite",
    "root/.ipython/profile_default/log",
    "root/.ipython/profile_default/pid",
    "root/.ipython/profile_default/security",
    "root/.jupyter/lab/workspaces",
    "root/.local/share/Trash",
    "root/.local/share/jupyter/nbsignatures.db",
    "root/.local/share/jupyter/notebook_secret",
    "root/.local/share/jupyter/runtime",
    "run",
    "sys",
    "tmp",
    "var/lib/sudo",
    "var/run",
    "var/tmp",
)
"""Gone with everything below: state of this one session, or not its own to keep."""

_FILES = re.compile(
    r"\.dockerenv|(usr/)?sbin/docker-init"
    r"|etc/(hostname|hosts|ld\.so\.preload|mtab|resolv\.conf|\.pwd\.lock)"
    r"|usr/local/apportion/libvgpu\.so"
    r"|root/\.(\w+_history|lesshst|viminfo|wget-hsts|sudo_as_admin_successful)"
    r"|var/cache/apt/(archives/.*\.deb|archives/partial/.*|pkgcache\.bin|srcpkgcache\.bin)"
    r"|var/cache/debconf/.*-old|var/lib/dpkg/.*-old"
    r"|var/lib/apt/lists/.*"
    r"|var/log/.*"
)
"""Gone as files; directories of these names stay, with their owners."""

WHITEOUT = ".wh."
"""Begins the name of an entry that deletes what lower layers have there."""


def is_kept(path: str, *, is_directory: bool) -> bool:
    """Whether an entry of the layer stays. ``path``: as in a tar file, without a leading /."""
    path = path.removeprefix("./").strip("/")
    name = basename(path)
    is_whiteout = name.startswith(WHITEOUT)
    meant = f"{dirname(path)}/{name.removeprefix(WHITEOUT)}".strip("/") if is_whiteout else path
    if any(f"{each}/".startswith(f"{tree}/") for tree in _TREES for each in (path, meant)):
        return False
    return is_directory or is_whiteout or _FILES.fullmatch(path) is None

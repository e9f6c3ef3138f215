"""Looks for what a session was told in confidence: values of its environment."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST = 8
"""Characters; what is shorter is in any file."""

_NAMES = {
    "APPORTION_PUBLIC_URL",
    "APPORTION_SESSION_NAME",
    "HOME",
    "JUPYTERHUB_SERVER_NAME",
    "JUPYTERHUB_USER",
    "JUPYTER_IMAGE_SPEC",
    "USER",
}
"""Names that people chose, the site's public address, and what every session is told. A
session called "tensorflow" would be found in the package of that name."""


class LeakFound(Exception):
    """A value of the session's environment is where it must not be. Says where, never what."""

    def __init__(self, variable: str, path: str) -> None:
        path = path.encode("utf-8", "replace").decode()
        super().__init__(f"the value of {variable} is in {path}")
        self.variable = variable
        self.path = path


def secret_values(environment: Iterable[str], inherited: Iterable[str]) -> dict[bytes, str]:
    """Values to look for, with the variable of each.

    Both as the engine has them, NAME=VALUE. What the parent image says itself is no secret,
    nor is a plain number.
    """
    known = {entry.partition("=")[2] for entry in inherited}
    pairs = [entry.partition("=")[::2] for entry in environment]
    known |= {value for name, value in pairs if name in _NAMES}
    return {
        value.encode("utf-8", "surrogateescape"): name
        for name, value in pairs
        if len(value) >= SHORTEST and value not in known and not _is_number(value)
    }


def _is_number(value: str) -> bool:
    return re.fullmatch(r"[\d.]+", value) is not None


class Leaks:
    """Looks at a stream of bytes, in which names tell where one is."""

    def __init__(self, secrets: dict[bytes, str]) -> None:
        self._secrets = secrets
        self._keep = max(map(len, secrets), default=1) - 1
        self._tail = b""
        self._path = ""

    def begin(self, path: str) -> None:
        """What comes next is of this path; what crosses the border counts to it."""
        self._path = path

    def look(self, chunk: bytes) -> None:
        """Raises LeakFound."""
        window = self._tail + chunk
        for secret, name in self._secrets.items():
            if secret in window:
                raise LeakFound(name, self._path or "the image's configuration")
        self._tail = window[-self._keep :] if self._keep else b""

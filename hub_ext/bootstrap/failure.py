"""What stops a start: one sentence on what is wrong, one on how to go on."""

from __future__ import annotations


class BootstrapError(Exception):
    """A start that cannot go on, in words for the person at the terminal."""

    def __init__(self, message: str, way_out: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.way_out = way_out

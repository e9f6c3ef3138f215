"""What the scheduling core raises when its input cannot be right."""

from __future__ import annotations


class SnapshotError(ValueError):
    """Bad input; ``field`` names what is wrong. Nothing has been decided."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.message = message
        self.field = field

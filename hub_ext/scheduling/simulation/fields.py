"""Read values out of JSON objects; a wrong one is refused by the name of its field."""

from __future__ import annotations

import math
from typing import Any

from hub_ext.scheduling.errors import SnapshotError


class Fields:
    """One JSON object, with the path that leads to it for messages ("jobs[3]")."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise SnapshotError(f"{path or 'A scenario'} must be an object.", field=path)
        self._value = value
        self._path = path

    def name_of(self, field: str) -> str:
        """The full name of a field of this object."""
        return f"{self._path}.{field}" if self._path else field

    def wrong(self, field: str, what: str) -> SnapshotError:
        """The error to raise about a field."""
        name = self.name_of(field)
        return SnapshotError(f"{name} {what}", field=name)

    def has(self, field: str) -> bool:
        """True when the field is there and not null."""
        return self._value.get(field) is not None

    def raw(self, field: str) -> Any:
        """The value as it is, or None."""
        return self._value.get(field)

    def text(self, field: str, default: str | None = None) -> str:
        """A string that is not empty."""
        value = self._value.get(field, default)
        if not isinstance(value, str) or not value:
            raise self.wrong(field, "must be a name." if self.has(field) else "is missing.")
        return value

    def text_or_none(self, field: str) -> str | None:
        """A string, or None when the field is null or missing."""
        return self.text(field) if self.has(field) else None

    def number(
        self, field: str, default: float | None = None, low: float = 0, special: float | None = None
    ) -> float:
        """A finite number of at least ``low`` (or exactly ``special``)."""
        value = self._value.get(field)
        if value is None:
            value = default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(field, "must be a number." if self.has(field) else "is missing.")
        if not math.isfinite(value):
            raise self.wrong(field, f"must be a finite number, not {value}.")
        if value < low and value != special:
            raise self.wrong(field, f"must be at least {low:g}, not {value:g}.")
        return float(value)

    def number_or_none(self, field: str) -> float | None:
        """A number of at least 0, or None when it is missing."""
        return self.number(field) if self.has(field) else None

    def integer(self, field: str, default: int | None = None, low: int | None = None) -> int:
        """A whole number."""
        floor = -math.inf if low is None else low
        value = self.number(field, default, low=floor)
        if value != int(value):
            raise self.wrong(field, f"must be a whole number, not {value:g}.")
        return int(value)

    def flag(self, field: str, default: bool) -> bool:
        """True or false."""
        value = self._value.get(field, default)
        if not isinstance(value, bool):
            raise self.wrong(field, "must be true or false.")
        return value

    def choice(self, field: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """One of a few words."""
        value = self._value.get(field, default)
        if value not in allowed:
            raise self.wrong(field, f"must be one of {', '.join(allowed)}.")
        return str(value)

    def objects(self, field: str) -> list[Fields]:
        """A list of objects."""
        value = self._value.get(field)
        if not isinstance(value, list):
            raise self.wrong(field, "must be a list." if self.has(field) else "is missing.")
        return [Fields(item, self.name_of(f"{field}[{i}]")) for i, item in enumerate(value)]

    def numbers_by_name(self, field: str) -> dict[str, float]:
        """An object of numbers of at least 0."""
        inner = Fields(self._value.get(field, {}), self.name_of(field))
        return {name: inner.number(name) for name in inner._value}

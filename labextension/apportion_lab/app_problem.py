"""Why an app does not run: a code for pages, which have their own words, and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_SENTENCES = {
    "ended": "It has ended.",
    "no_port": "It has not opened its port in {detail} s.",
    "port_taken": "Port {detail} is used by another program.",
    "cannot_start": "It cannot be started: {detail}.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """code: ended, no_port (detail: seconds), port_taken (the port), cannot_start (why).

    printed: the last line of what the app has printed.
    """

    code: str
    detail: str = ""
    printed: str = ""

    @property
    def sentence(self) -> str:
        """In English, for those without words of their own."""
        return f"{_SENTENCES[self.code].format(detail=self.detail)} {self.printed}".strip()

    def as_json(self) -> dict[str, Any]:
        """For pages."""
        return {"code": self.code, "detail": self.detail, "printed": self.printed}

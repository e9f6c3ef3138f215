"""An address as a log may have it."""

from __future__ import annotations

import re

_SECRET = re.compile(r"(?<=[?&])(_xsrf|code|state|token)=[^&\s]*")
"""What opens something for whoever reads it; the hub leaves the same out of its own log."""


def without_secrets(summary: str) -> str:
    """The same, with names but no values of what is secret in its query."""
    return _SECRET.sub(r"\1=[secret]", summary)

"""Refuses a change that somebody makes from an old view of a thing.

The thing needs no column for it: its version is made of its values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hub_ext.errors import Conflict


def version_of(values: Mapping[str, Any]) -> str:
    """16 hex digits that are others as soon as a value is another one."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_version(
    given: str | None, before: Mapping[str, Any], after: Mapping[str, Any], what: str
) -> None:
    """Raises Conflict when ``before`` is not what ``given`` was read from. None: do not look.

    Whoever asks for what is there already gets it: a form that is sent twice is no conflict.
    """
    if given is None or before == after or given == version_of(before):
        return
    raise Conflict(
        f"{what} has been changed by somebody else since you opened it."
        " Look at what it is now, and make your change again.",
        field="version",
    )

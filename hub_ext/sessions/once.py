"""The same form sent twice is one launch: a double click, a reload, a broken connection.

A form carries a key of its own. Ids of the sessions are made of it and of what was asked for,
so that the second sending finds what the first has stored, also after a restart.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import SessionRow
from hub_ext.errors import BadValue
from hub_ext.sessions.launch import LaunchRequest

_KEY = re.compile(r"[0-9a-f]{32}")


def new_key() -> str:
    """For one form; nobody can guess it."""
    return secrets.token_hex(16)


def check_key(key: str) -> str:
    """Raises BadValue."""
    if not _KEY.fullmatch(key):
        raise BadValue("This form is damaged; reload the page and try again.", field="key")
    return key


def once_ids(user: str, key: str, request: LaunchRequest) -> list[str]:
    """Ids of the sessions that this sending makes. Another request with the same key (a form
    that was changed after the back button) makes others."""
    asked = f"{key}\n{user}\n{request.model_dump_json()}"
    return [
        hashlib.sha256(f"{asked}\n{number}".encode()).hexdigest()[:32]
        for number in range(1, request.count + 1)
    ]


def stored(db: Session, ids: Sequence[str]) -> list[SessionRow]:
    """What an earlier sending has stored: all of it or nothing."""
    query = select(SessionRow).where(SessionRow.id.in_(ids)).order_by(SessionRow.order)
    return list(db.scalars(query))

"""Which sessions an address asks for: the same parameters for the page and the REST API."""

from __future__ import annotations

from hub_ext.errors import BadValue, NotFound
from hub_ext.projects.permissions import Action, may
from hub_ext.sessions.listing import LONGEST_QUERY
from hub_ext.sessions.status import Status
from hub_ext.web.base import BaseHandler

_LONGEST_NAME = 300


def read_text(handler: BaseHandler) -> str:
    """``q``: words to look for. Raises BadValue."""
    text = " ".join(handler.get_query_argument("q", "").split())
    if len(text) > LONGEST_QUERY:
        raise BadValue(f"'q' has at most {LONGEST_QUERY} letters.", field="q")
    return _printable(text, "q")


def read_node(handler: BaseHandler) -> str:
    """``node``: its name. Raises BadValue."""
    return _printable(handler.get_query_argument("node", "")[:_LONGEST_NAME], "node")


def read_statuses(handler: BaseHandler) -> list[Status]:
    """``status``, which may be repeated or be several with commas. Raises BadValue."""
    found = []
    for text in ",".join(handler.get_query_arguments("status")).split(","):
        name = text.strip().upper()
        if not name:
            continue
        if name not in Status.__members__:
            known = ", ".join(Status)
            raise BadValue(f"There is no status '{text[:40]}'; there are: {known}.", field="status")
        found.append(Status[name])
    return found


def projects_looked_after(handler: BaseHandler) -> list[str]:
    """The projects whose sessions the caller sees, not for being an admin of all."""
    if handler.caller.admin:
        return []
    return sorted(name for name, role in handler.roles().items() if may(role, Action.ROSTER))


def check_looked_after(handler: BaseHandler, project: str) -> str:
    """A project whose sessions the caller sees; for missing and others' the same NotFound."""
    if may(handler.roles().get(project), Action.ROSTER):
        return project
    raise NotFound("There is no such project, or you do not look after it.")


def _printable(text: str, field: str) -> str:
    if not text.isprintable():
        raise BadValue(f"'{field}' has control characters in it.", field=field)
    return text

"""Which session somebody means by an id, the start of one, or a name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from hub_ext.cli.client import Client, ClientError
from hub_ext.cli.tables import ago

SHORT_ID = 8
"""Digits of an id that lists show; so many or more stand for the whole."""
_ID = re.compile(r"[0-9a-f]{32}")
_START_OF_ID = re.compile(rf"[0-9a-f]{{{SHORT_ID},31}}")


def find_session(client: Client, reference: str, *, ended: bool = False) -> dict[str, Any]:
    """The one session that is meant. ended: if none lives, the newest of that name that ended.

    A name is of the caller's own live sessions; an id may be of anybody's whom he may see.
    Raises ClientError when there is none, or more than one.
    """
    if _ID.fullmatch(reference):
        return client.get("sessions", reference)
    mine = client.whole("sessions", "sessions", live=1)["sessions"]
    named = [each for each in mine if reference == each["name"]]
    named = named or [each for each in mine if reference == each["server_name"]]
    if not named and _START_OF_ID.fullmatch(reference):
        named = list({each["id"]: each for each in _by_id(client, reference)}.values())
    if not named and ended:
        named = _newest(client, reference)
    if not named:
        way_out = "See which there are: apportion list" + ("" if ended else " --ended")
        raise ClientError(f"You have no {'' if ended else 'live '}session '{reference}'.", way_out)
    if len(named) > 1:
        listed = "; ".join(
            f"{each['id']} ({each['status']}, {ago(each['submitted_at'])} old)" for each in named
        )
        raise ClientError(f"'{reference}' may be {len(named)} sessions: {listed}.", "Give the id.")
    return dict(named[0])


def _by_id(client: Client, start: str) -> Iterator[dict[str, Any]]:
    """Live sessions of all whom the caller may see: of everybody, or in his projects."""
    yield from _starting(client.whole("sessions", "sessions", live=1, all=1)["sessions"], start)
    for project in client.whole("projects", "projects")["projects"]:
        if project["role"] == "instructor":
            here = client.whole("sessions", "sessions", live=1, project=project["name"])
            yield from _starting(here["sessions"], start)


def _starting(sessions: Iterable[dict[str, Any]], start: str) -> Iterator[dict[str, Any]]:
    return (session for session in sessions if session["id"].startswith(start))


def _newest(client: Client, name: str) -> list[dict[str, Any]]:
    """The caller's newest session of this name or start of an id; lists are newest first."""
    for page in client.pages("sessions"):
        for session in page["sessions"]:
            if session["name"] == name:
                return [session]
            if _START_OF_ID.fullmatch(name) and session["id"].startswith(name):
                return [session]
    return []

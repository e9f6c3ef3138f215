"""``submit --wait``: follow sessions until they run, over restarts of the service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hub_ext.cli.client import Client, ClientError, ServiceAway
from hub_ext.cli.tables import span

PATIENCE_S = 600.0
"""So long may the service be away before the waiting ends. Its sessions keep their places."""
_PAUSES_S = (0.5, 1.0, 2.0, 5.0)


class AwayTooLong(ClientError):
    """The service did not come back."""


def follow(
    client: Client,
    ids: Sequence[str],
    *,
    on_away: Callable[[ServiceAway], None],
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """The sessions as they are now, then each whenever it changes, for as long as one asks.

    Raises ClientError: refused, or away for longer than PATIENCE_S.
    """
    paused_s, tries = 0.0, 0
    while True:
        try:
            with client.events("events") as changes:
                # The stream is open before the sessions are read: no change falls between.
                for session_id in ids:
                    yield client.get("sessions", session_id)
                paused_s, tries = 0.0, 0
                yield from (change for change in changes if change.get("id") in ids)
        except ServiceAway as error:
            on_away(error)
            if paused_s >= PATIENCE_S:
                raise AwayTooLong(
                    f"The service has been away for {span(paused_s)}: {error.message}",
                    "Your sessions keep their places; see apportion list.",
                ) from None
        length = _PAUSES_S[min(tries, len(_PAUSES_S) - 1)]
        pause(length)
        paused_s, tries = paused_s + length, tries + 1


def wait_until_they_run(
    client: Client,
    sessions: Sequence[dict[str, Any]],
    tell: Callable[[str], None],
    *,
    pause: Callable[[float], None] = time.sleep,
) -> list[dict[str, Any]]:
    """The sessions when each of them runs or has ended. tell: gets a line at each change."""
    known = {session["id"]: session for session in sessions}
    told = ""

    def tell_news(line: str) -> None:
        nonlocal told
        if line != told:
            tell(line)
            told = line

    changes = follow(client, [*known], on_away=lambda e: tell_news(e.message), pause=pause)
    for session in changes:
        known[session["id"]] = session
        tell_news(_line([*known.values()]))
        if all(map(is_settled, known.values())):
            break
    changes.close()  # type: ignore[attr-defined]
    return [*known.values()]


def is_settled(session: dict[str, Any]) -> bool:
    """Whether there is nothing more to wait for."""
    return session["status"] == "RUNNING" or session["ended_at"] is not None


def _line(sessions: list[dict[str, Any]]) -> str:
    """How it stands, in one line: of several, how many run, and the next that does not."""
    waiting = [session for session in sessions if not is_settled(session)]
    if not waiting:
        return "All run." if len(sessions) > 1 else "It runs."
    line = f"{waiting[0]['name']}: {standing(waiting[0])}"
    if len(sessions) == 1:
        return line
    running = sum(session["status"] == "RUNNING" for session in sessions)
    return f"{running} of {len(sessions)} run; {line}"


def standing(session: dict[str, Any]) -> str:
    """Status, place in line, estimate and reason of one session."""
    return _sentence([session["status"].lower(), *_place(session)], session)


def place_in_line(session: dict[str, Any]) -> str:
    """The same without the status."""
    return _sentence(_place(session), session)


def _place(session: dict[str, Any]) -> list[str]:
    words = []
    if session["position"] is not None:
        words.append(f"place {session['position']} in line")
    if session["estimate_s"] is not None:
        words.append(f"about {span(session['estimate_s'])}")
    return words


def _sentence(words: list[str], session: dict[str, Any]) -> str:
    reason = [session["reason"]["message"]] if session["reason"] else []
    return ": ".join([*([", ".join(words)] if words else []), *reason])

"""States of a request for an image, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """requested -> approved -> committing -> cleaning -> (pushing ->) done."""

    REQUESTED = "requested"
    APPROVED = "approved"
    COMMITTING = "committing"
    CLEANING = "cleaning"
    PUSHING = "pushing"
    DONE = "done"
    DECLINED = "declined"
    FAILED = "failed"
    CANCELLED = "cancelled"


_NEXT = {
    State.REQUESTED: {State.APPROVED, State.DECLINED, State.CANCELLED, State.FAILED},
    State.APPROVED: {State.COMMITTING, State.CANCELLED, State.FAILED},
    State.COMMITTING: {State.CLEANING, State.FAILED},
    State.CLEANING: {State.PUSHING, State.DONE, State.FAILED},
    State.PUSHING: {State.DONE},
    State.DONE: {State.PUSHING},
}

WORKED_ON = (State.APPROVED, State.COMMITTING, State.CLEANING, State.PUSHING)
"""What the service carries on with, whenever it starts."""

UNFINISHED = (State.REQUESTED, State.APPROVED, State.COMMITTING, State.CLEANING)
"""They count to the limit of a user; from ``pushing`` on the image itself does."""


def may_follow(before: str, after: State) -> bool:
    """Whether a request in one state may come to another."""
    return after in _NEXT.get(State(before), set())

"""What a waiting user reads, and that every tab reads all of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from spawner.grant import Reason, SessionView
from spawner.progress import (
    MAX_EVENTS,
    ProgressJournal,
    human_estimate,
    queue_event,
    rounded_estimate,
)


async def read_all(journal: ProgressJournal) -> list[dict[str, Any]]:
    return [event async for event in journal.follow()]


async def test_two_tabs_each_see_every_event() -> None:
    journal = ProgressJournal()
    journal.publish({"message": "one"})
    tabs = [asyncio.create_task(read_all(journal)) for _ in range(2)]
    await asyncio.sleep(0)
    journal.publish({"message": "two"})
    journal.close()

    for tab in tabs:
        assert [event["message"] for event in await tab] == ["one", "two"]


async def test_an_event_that_changes_nothing_is_not_told_again() -> None:
    journal = ProgressJournal()
    for message in ("one", "one", "two", "two", "one"):
        journal.publish({"message": message})
    journal.close()

    assert [event["message"] for event in await read_all(journal)] == ["one", "two", "one"]


async def test_a_late_tab_reads_the_latest_part_of_a_long_story() -> None:
    journal = ProgressJournal()
    for number in range(MAX_EVENTS + 10):
        journal.publish({"message": number})
    journal.close()

    messages = [event["message"] for event in await read_all(journal)]
    assert messages == list(range(10, MAX_EVENTS + 10))


async def test_a_tab_that_changes_its_copy_changes_nobody_elses() -> None:
    journal = ProgressJournal()
    journal.publish({"message": "one", "ready": True})
    journal.close()
    async for event in journal.follow():
        event.pop("ready")

    assert await read_all(journal) == [{"message": "one", "ready": True}]


def test_a_queue_event_says_place_time_and_reason() -> None:
    reason = Reason(code="c", message="Needs 2.0 fGPU on one device.", help="Ask for less.")
    session = SessionView(
        id="s", status="PENDING", position=3, estimate_s=733, reason=reason, version=2
    )
    event = queue_event(session)

    assert event["message"] == (
        "Number 3 in the queue, about 12 minutes: Needs 2.0 fGPU on one device."
    )
    assert event["queue"] == {
        "session_id": "s",
        "status": "PENDING",
        "position": 3,
        "setback": "",
        "reason": "Needs 2.0 fGPU on one device.",
        "help": "Ask for less.",
        "estimate_s": 720,
    }


@pytest.mark.parametrize(
    ("reason", "position", "sentence"),
    [
        (
            "No slice is free.",
            1,
            "Reclaimed for project bio; back in the queue: number 1: No slice is free.",
        ),
        (
            "Reclaimed for project bio.",
            2,
            "Reclaimed for project bio; back in the queue: number 2.",
        ),
        ("Reclaimed for project bio.", None, "Reclaimed for project bio; back in the queue."),
    ],
)
def test_who_has_lost_a_slice_reads_for_whom_and_where_it_stands_now(
    reason: str, position: int | None, sentence: str
) -> None:
    session = SessionView(
        id="s", status="PENDING", position=position, reason=Reason(message=reason)
    )
    event = queue_event(session, "Reclaimed for project bio.")

    assert event["message"] == sentence
    assert event["queue"]["setback"] == "Reclaimed for project bio; back in the queue."
    assert event["queue"]["reason"] == ("" if "bio" in reason else reason)


def test_a_ticking_estimate_within_the_same_minute_is_no_change() -> None:
    views = [
        SessionView(id="s", status="PENDING", position=1, estimate_s=seconds)
        for seconds in (718, 715.5)
    ]
    assert queue_event(views[0]) == queue_event(views[1])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "time unknown"),
        (0, "less than a minute"),
        (59, "less than a minute"),
        (61, "about a minute"),
        (700, "about 12 minutes"),
        (3600, "about an hour"),
        (9000, "about 2.5 hours"),
    ],
)
def test_estimates_read_like_a_person_says_them(seconds: float | None, words: str) -> None:
    assert human_estimate(seconds) == words


def test_an_unknown_estimate_stays_unknown() -> None:
    assert rounded_estimate(None) is None

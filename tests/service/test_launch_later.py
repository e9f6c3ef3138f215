"""A session that is set to start later: accepted times, the wait, the start."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from hub_ext.errors import ApportionError, BadValue
from hub_ext.nodes import inventory
from hub_ext.sessions import queue as queue_module
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.status import Status
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.sessions.views import forecast_json, session_json
from hub_ext.site import Site

ANN = Submitter("ann")
HOUR = 3600.0


@pytest.fixture
async def desk(site: Site) -> Submissions:
    await inventory.refresh(site)
    return Submissions(site)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (1_900_000_000, 1_900_000_000.0),
        ("2030-03-17T17:46:40Z", 1_900_000_000.0),
        ("2030-03-18T02:46:40+09:00", 1_900_000_000.0),
        (" 2030-03-18 02:46:40+09:00 ", 1_900_000_000.0),
    ],
)
def test_a_start_is_given_in_unix_seconds_or_iso_8601(written: object, seconds: float) -> None:
    assert read_launch_request({"not_before": written}).not_before == seconds


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("2030-03-17T17:46", "time zone"),
        ("tomorrow", "this is no time"),
        ("", "this is no time"),
        (True, "Unix seconds"),
        (-1, "greater than or equal to 0"),
        (1e300, "less than or equal"),
        (float("nan"), "greater than or equal to 0"),
        ([1], "valid number"),
        ("9999-12-31T23:59:59-23:59", "less than or equal"),
        ("0001-01-01T00:00:00+23:59", "greater than or equal|no time"),
    ],
)
def test_what_is_no_time_is_refused_by_its_name(written: object, words: str) -> None:
    with pytest.raises(BadValue, match=words) as caught:
        read_launch_request({"not_before": written})
    assert caught.value.field == "not_before"


@pytest.mark.parametrize(
    ("from_now_s", "words"),
    [(-HOUR, "has passed; now it is"), (367 * 24 * HOUR, "more than a year ahead")],
)
async def test_a_slip_is_refused_and_nothing_is_stored(
    desk: Submissions, site: Site, from_now_s: float, words: str
) -> None:
    request = read_launch_request({"not_before": time.time() + from_now_s})
    for ask in (desk.submit, desk.forecast):
        with pytest.raises(ApportionError, match=words) as caught:
            ask(ANN, request)
        assert caught.value.field == "not_before"
    assert site.store.find(user="ann") == []


async def test_it_waits_though_there_is_room_and_says_until_when(
    desk: Submissions, site: Site
) -> None:
    site.policy = replace(site.policy, timezone=ZoneInfo("Asia/Tokyo"))
    start = datetime.now(UTC).timestamp() + 2 * HOUR
    request = read_launch_request({"not_before": start})
    forecast = forecast_json(desk.forecast(ANN, request))
    row = desk.submit(ANN, request)[0]
    Queue(site).pass_once()
    told = session_json(site, site.store.get(row.id))

    said = datetime.fromtimestamp(start, ZoneInfo("Asia/Tokyo")).strftime("%Y-%m-%d %H:%M")
    assert told["status"] == "PENDING"
    assert told["not_before"] == start
    assert f"It is set to start at {said} (Asia/Tokyo), not before." == told["reason"]["message"]
    assert told["estimate_s"] == pytest.approx(2 * HOUR, abs=60)
    assert forecast["sentence"] == told["reason"]["message"]
    assert forecast["estimate_s"] == pytest.approx(2 * HOUR, abs=60)


async def test_it_holds_up_nobody_while_it_waits(desk: Submissions, site: Site) -> None:
    later = {"fgpu": 2, "not_before": time.time() + HOUR, "name": "later"}
    held = desk.submit(ANN, read_launch_request(later))[0]
    other = desk.submit(Submitter("bob"), read_launch_request({"fgpu": 2}))[0]
    Queue(site).pass_once()

    assert site.store.get(other.id).status == Status.SCHEDULED
    assert site.store.get(held.id).status == Status.PENDING


async def test_the_queue_wakes_when_its_time_has_come_and_not_before(
    desk: Submissions, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "_TICK_S", 3600.0)
    start = time.time() + 1.0
    row = desk.submit(ANN, read_launch_request({"not_before": start}))[0]
    running = asyncio.create_task(Queue(site).run())
    try:
        async with asyncio.timeout(30):
            while site.store.get(row.id).status == Status.PENDING:
                await site.changes.wait(row.id, 0.2)
    finally:
        running.cancel()

    scheduled_at = site.store.get(row.id).scheduled_at
    assert scheduled_at is not None
    assert scheduled_at >= start


async def test_the_limit_of_waiting_counts_from_its_time(desk: Submissions, site: Site) -> None:
    site.policy = replace(site.policy, pending_timeout_s=HOUR)
    row = desk.submit(ANN, read_launch_request({"not_before": time.time() + 5 * HOUR}))[0]
    with site.database.transaction() as db:
        db.merge(row).changed_at = time.time() - 2 * HOUR
    Queue(site).pass_once()

    assert site.store.get(row.id).status == Status.PENDING


async def test_the_hub_starts_a_server_again_whose_time_has_passed(
    desk: Submissions, site: Site
) -> None:
    past = read_launch_request({"not_before": time.time() - 9 * HOUR})

    row = desk.submit(ANN, past, server_name="")[0]

    assert row.not_before is None
    assert "not_before" not in row.options
    desk.check_same(row, past)

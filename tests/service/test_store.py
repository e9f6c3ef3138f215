"""Transitions are whole, recorded, and races have one winner."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from hub_ext.db.models import SliceRow
from hub_ext.errors import Conflict, NotFound
from hub_ext.nodes import inventory
from hub_ext.sessions.decisions import Grant, GrantedSlice, Wait, write_decisions
from hub_ext.sessions.launch import LaunchRequest
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.site import Site


@pytest.fixture
async def session_id(site: Site) -> str:
    await inventory.refresh(site)
    rows = Submissions(site).submit(Submitter("ann"), LaunchRequest(fgpu=0.5))
    return rows[0].id


def grant(site: Site, session_id: str) -> None:
    part = GrantedSlice(device=0, uuid="GPU-0", milli=500, memory_mib=4096, simulated=True)
    why = Why("Starts on node gpu-1.")
    write_decisions(site.store, [Grant(session_id, "gpu-1", [part], False, why)])


def booked(site: Site) -> list[int]:
    with site.database.transaction() as db:
        return [row.milli for row in db.scalars(select(SliceRow))]


async def test_every_transition_has_its_row_in_the_history(site: Site, session_id: str) -> None:
    grant(site, session_id)
    site.store.transition(session_id, Status.PREPARING, Why(), by="spawner")
    site.store.transition(session_id, Status.ERROR, Why("The image is broken."), by="spawner")
    steps = [(step.from_status, step.to_status) for step in site.store.history(session_id)]
    assert steps == [
        ("", "PENDING"),
        ("PENDING", "SCHEDULED"),
        ("SCHEDULED", "PREPARING"),
        ("PREPARING", "ERROR"),
    ]
    assert site.store.history(session_id)[-1].message == "The image is broken."


async def test_an_end_frees_the_slice(site: Site, session_id: str) -> None:
    grant(site, session_id)
    assert booked(site) == [500]
    site.store.transition(session_id, Status.CANCELLED, Why(), by="ann")
    assert booked(site) == []


async def test_a_transition_that_does_not_exist_changes_nothing(
    site: Site, session_id: str
) -> None:
    before = site.store.get(session_id)
    with pytest.raises(Conflict, match="is PENDING; it cannot become RUNNING"):
        site.store.transition(session_id, Status.RUNNING, Why(), by="spawner")
    after = site.store.get(session_id)
    assert (after.status, after.version) == (before.status, before.version)
    assert len(site.store.history(session_id)) == 1


async def test_of_a_cancel_and_a_grant_exactly_one_wins(site: Site) -> None:
    await inventory.refresh(site)
    for _ in range(25):
        row = Submissions(site).submit(Submitter("ann"), LaunchRequest(fgpu=0.5))[0]
        start, wins = threading.Barrier(2), []

        def cancel(key: str = row.id, start=start, wins=wins) -> None:
            start.wait()
            try:
                site.store.transition(
                    key, Status.CANCELLED, Why(), by="ann", allowed={Status.PENDING}
                )
                wins.append("cancel")
            except Conflict:
                pass

        def give(key: str = row.id, start=start, wins=wins) -> None:
            start.wait()
            grant(site, key)
            if site.store.get(key).status == Status.SCHEDULED:
                wins.append("grant")

        threads = [threading.Thread(target=work) for work in (cancel, give)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(wins) == 1
        assert bool(booked(site)) == (wins == ["grant"])
        if wins == ["grant"]:
            site.store.transition(row.id, Status.CANCELLED, Why(), by="ann")
    assert booked(site) == []


async def test_a_server_has_at_most_one_live_session(site: Site, session_id: str) -> None:
    name = site.store.get(session_id).server_name
    with pytest.raises(Conflict, match="already have a session"):
        Submissions(site).submit(Submitter("ann"), LaunchRequest(), server_name=name)
    site.store.transition(session_id, Status.CANCELLED, Why(), by="ann")
    again = Submissions(site).submit(Submitter("ann"), LaunchRequest(), server_name=name)
    assert again[0].status == "PENDING"


async def test_news_of_a_wait_raise_the_version_once(site: Site, session_id: str) -> None:
    wait = Wait(session_id, Why("Two are before it.", "busy"), 3, 1000.0)
    version = site.store.get(session_id).version
    write_decisions(site.store, waits=[wait])
    write_decisions(site.store, waits=[wait])
    row = site.store.get(session_id)
    assert (row.version, row.position, row.reason_message) == (version + 1, 3, "Two are before it.")


async def test_an_unknown_session_is_not_found(site: Site) -> None:
    with pytest.raises(NotFound):
        site.store.get("0" * 32)


async def test_the_tables_survive_a_second_upgrade(site: Site, session_id: str) -> None:
    site.database.upgrade()
    assert site.store.get(session_id).status == "PENDING"
    assert site.database.revision() == site.database.head()

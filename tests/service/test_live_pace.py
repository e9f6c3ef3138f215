"""A change of status is told at once; a new place in line waits a moment for others."""

from __future__ import annotations

import asyncio

from hub_ext.sessions.changes import Change
from hub_ext.site import Site
from hub_ext.web.live import LiveTopics


async def test_a_new_place_in_line_is_told_after_what_has_started_and_is_not_lost(
    site: Site,
) -> None:
    live = LiveTopics(site.changes, site.database.changed_tables)
    waits, runs = live.subscribe(["sessions"], "ann"), live.subscribe(["sessions"], "bob")
    told = {name: asyncio.create_task(each.changed(0.0)) for name, each in
            (("ann", waits), ("bob", runs))}  # fmt: skip

    site.changes.announce(Change("1", "ann", "default", of_status=False))
    site.changes.announce(Change("2", "bob", "default"))

    first, _ = await asyncio.wait(told.values(), return_when=asyncio.FIRST_COMPLETED)
    assert first == {told["bob"]}
    async with asyncio.timeout(10):
        assert await told["ann"] == ["sessions"]


async def test_a_start_takes_the_new_place_in_line_with_it(site: Site) -> None:
    live = LiveTopics(site.changes, site.database.changed_tables)
    page = live.subscribe(["sessions", "sessions:ml101"], "ann")

    site.changes.announce(Change("1", "ann", "default", of_status=False))
    site.changes.announce(Change("2", "bob", "ml101"))

    async with asyncio.timeout(10):
        assert await page.changed(0.0) == ["sessions", "sessions:ml101"]

"""How soon open pages show a change, and what 200 of them cost the service.

``.venv/bin/python benchmarks/live_pages.py [--pages 200] [--seconds 30] [--rates 1,5,20]``

A lab of 200 students, with the real queue, in a process of its own; the open pages are in this
process (``live_client.py`` says what they do). 194 students look at their sessions, five
instructors at the sessions of their course, an admin at the dashboard. In the service, sessions
of random students go on at a steady rate: submitted, granted by the queue, prepared, started,
running, stopped.

What rate is realistic: a session has seven changes in its life. 200 students with two sessions
each in a class of 90 minutes make 0.5 changes a second; a class of 200 that launches within
three minutes makes 200 x 5 / 180 = 5.6. So 1 a second is a busy lab, 5 the rush when a class
begins, and 20 nothing that a lab of this size sees.

CPU: of the service's process by the kernel's count, as a share of one core, with queue and
changes. "without pages" is the same with nobody looking.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx
from tornado.httpclient import AsyncHTTPClient

from benchmarks.live_client import LivePage
from benchmarks.seeded_site import ADMIN, COURSE, Size, fill
from benchmarks.served_site import Served, served
from hub_ext.db.connection import Database
from hub_ext.db.models import MemberRow
from hub_ext.sessions.status import ENDED, Status
from tests.service.rest_client import PREFIX

LAB = Size(
    nodes=8,
    running=160,
    pending=4,
    ended=20_000,
    projects=16,
    members=45,
    users=200,
    folders=400,
    images=20,
    audit=20_000,
)
INSTRUCTORS = 5
MOST_S, MOST_CPU = 2.0, 0.30
CLASS_BEGINS = 5.0
"""Changes a second up to which the target for CPU is meant."""
_OPEN_LIMIT_S = 120.0
_SETTLE_S = 5.0
_LAST_S = 3.0
_ROWS_SHOWN = 50
_ORDER = list(Status)


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody and the page he has open."""

    user: str
    path: str
    project: str = ""
    """Whose sessions it shows; "": his own, or "*" for a page without rows."""


def visits(database: Database, count: int) -> list[Visit]:
    """An admin, five instructors, and students."""
    with database.transaction() as db:
        members = db.query(MemberRow).order_by(MemberRow.user, MemberRow.project).all()
    teachers = [row for row in members if row.role == "instructor" and row.project >= COURSE[:7]]
    taught = [row for row in teachers if row.project.startswith("course-")][:INSTRUCTORS]
    students = dict.fromkeys(row.user for row in members if row.role == "member")
    found = [Visit(ADMIN, "dashboard", "*")]
    found += [Visit(row.user, f"?project={row.project}", row.project) for row in taught]
    busy = {visit.user for visit in found}
    found += [Visit(user, "") for user in students if user not in busy]
    return found[:count]


def log_in(site: Served, user: str) -> str:
    """The cookies of a browser in which he has logged in."""
    front = f"{PREFIX}announcements/shown"
    with httpx.Client(base_url=site.url, timeout=60, follow_redirects=True) as client:
        client.get(f"/hub/login?user={user}&next={front}").raise_for_status()
        pairs = [(each.name, each.value) for each in client.cookies.jar if each.path != "/hub/"]
    return "; ".join(f"{name}={value}" for name, value in pairs)


class Lab:
    """The open pages."""

    def __init__(self, site: Served, who: Sequence[Visit]) -> None:
        self.site = site
        self.pages = {
            visit: LivePage(site.url, PREFIX + visit.path, visit.user, log_in(site, visit.user))
            for visit in who
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """All of them; returns when every stream is there and the parts have been asked for."""
        everybody = asyncio.Barrier(len(self.pages) + 1)
        waiting = []

        def one_more() -> None:
            waiting.append(asyncio.create_task(everybody.wait()))

        for page in self.pages.values():
            self._tasks.append(asyncio.create_task(page.open(one_more)))
            await asyncio.sleep(0.02)
        try:
            async with asyncio.timeout(_OPEN_LIMIT_S):
                await everybody.wait()
        except TimeoutError:
            failures = [failure for page in self.pages.values() for failure in page.failures]
            raise SystemExit(f"{len(waiting)} streams are open: {failures[:3]}") from None
        await asyncio.sleep(_SETTLE_S)

    def close(self) -> None:
        """All of them; that streams break then is no news."""
        logging.disable(logging.ERROR)
        for task in self._tasks:
            task.cancel()


async def drive(site: Served, rate: float, seconds: float) -> tuple[list[dict[str, Any]], float]:
    """The changes that were made, and the share of a core that the service took meanwhile."""
    before, begun = (await ask(site, "figures"))["cpu_s"], time.monotonic()
    changes = (await ask(site, f"drive?rate={rate}&seconds={seconds}"))["changes"]
    await asyncio.sleep(1.0)  # what the last changes lead to
    after = (await ask(site, "figures"))["cpu_s"]
    return changes, (after - before) / (time.monotonic() - begun)


async def ask(site: Served, path: str) -> dict[str, Any]:
    """As ``Served.ask``, while the pages go on."""
    return await asyncio.to_thread(site.ask, path)


def delays(lab: Lab, changes: Sequence[dict[str, Any]]) -> list[float]:
    """Seconds from each change to each page that shows it: infinity for one that never did."""
    found = []
    for change in changes:
        for visit, page in lab.pages.items():
            if visit.project in {"*", change["project"]} or (
                not visit.project and visit.user == change["user"]
            ):
                found.append(_delay(page, change, with_rows=visit.project != "*"))
    return found


def _delay(page: LivePage, change: dict[str, Any], *, with_rows: bool) -> float:
    """Until an answer arrived that has the state, or one that followed it."""
    for seen in page.seen:
        after = seen.asked > change["at"]
        full = len(seen.statuses) >= _ROWS_SHOWN  # the row may be on the next page of the list
        if seen.arrived > change["at"] and (
            _shows(seen.statuses, change) or (after and (full or not with_rows))
        ):
            return seen.arrived - change["at"]
    return float("inf")


def _shows(statuses: dict[str, str], change: dict[str, Any]) -> bool:
    now, then = statuses.get(change["session"]), Status(change["status"])
    if now is None:
        return then in ENDED or then is Status.TERMINATING
    return _ORDER.index(Status(now)) >= _ORDER.index(then)


async def measure(site: Served, lab: Lab, rate: float, seconds: float) -> bool:
    """Print one line; whether it is within the targets."""
    for page in lab.pages.values():
        page.seen.clear()
    requests = sum(page.requests for page in lab.pages.values())
    received = sum(page.received for page in lab.pages.values())
    changes, cpu = await drive(site, rate, seconds)
    await asyncio.sleep(_LAST_S)
    asked = sum(page.requests for page in lab.pages.values()) - requests
    kib = (sum(page.received for page in lab.pages.values()) - received) / 1024
    found = sorted(delays(lab, changes))
    if not found:
        raise SystemExit("No open page shows any of the sessions that changed.")
    median, p95 = statistics.median(found), found[int(0.95 * (len(found) - 1))]
    print(
        f"{rate:5g} {len(changes):8} {100 * cpu:6.1f} {asked / seconds:10.1f} {kib / seconds:8.0f}"
        f" {len(found):7} {median:8.2f} {p95:7.2f} {found[-1]:7.2f}",
        flush=True,
    )
    return found[-1] <= MOST_S and (cpu <= MOST_CPU or rate > CLASS_BEGINS)


async def run(site: Served, database: Database, arguments: argparse.Namespace) -> bool:
    """All rates."""
    AsyncHTTPClient.configure(None, max_clients=4 * arguments.pages + 100)
    _, alone = await drive(site, CLASS_BEGINS, 10)
    lab = Lab(site, visits(database, arguments.pages))
    await lab.open()
    before, begun = (await ask(site, "figures"))["cpu_s"], time.monotonic()
    await asyncio.sleep(10)
    idle = ((await ask(site, "figures"))["cpu_s"] - before) / (time.monotonic() - begun)
    print(f"{len(lab.pages)} pages are open; {arguments.seconds:g} s each")
    print(f"CPU at {CLASS_BEGINS:g}/s without pages {100 * alone:.1f} %; with pages and no changes"
          f" {100 * idle:.1f} %")  # fmt: skip
    print("rate/s  changes  CPU %  requests/s   KiB/s   shown  median s   p95 s  worst s")
    good = [
        await measure(site, lab, float(rate), arguments.seconds)
        for rate in arguments.rates.split(",")
    ]
    failures = [failure for page in lab.pages.values() for failure in page.failures]
    lab.close()
    if failures:
        print(f"{len(failures)} requests failed, as: {failures[0]}")
    return all(good) and not failures


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each rate")
    parser.add_argument("--rates", default="1,5,20", help="changes a second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="apportion-live-") as directory:
        url = f"sqlite:///{directory}/site.sqlite"
        database = Database(url)
        database.upgrade()
        fill(database, LAB)
        with served(url, Path(directory), "--images", str(LAB.images), "--queue") as site:
            good = asyncio.run(run(site, database, arguments))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

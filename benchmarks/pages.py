"""How fast every page answers on a large site, as student, instructor and admin.

``.venv/bin/python benchmarks/pages.py [--postgresql] [--small] [--keep FILE] [--only TEXT]``

The site: 5,000 live sessions, 100,000 ended ones, 500 projects, 50 nodes of 8 devices, 2,000
folders, 200 images, 100,000 entries of the audit log. The service runs in a process of its own;
pages are found by following links. Exit code 1: a page answered an error, took longer than
300 ms (the median), or cannot be reached by anybody.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx

from benchmarks.own_postgresql import postgresql
from benchmarks.reachable_pages import Answer, Found, reachable, unreached
from benchmarks.seeded_site import ADMIN, COURSE, HEAD, INSTRUCTOR, SMALL, STUDENT, Size, fill
from benchmarks.served_site import Served, served
from hub_ext.db.connection import Database
from tests.service.rest_client import PREFIX

ASKED = 20
MOST_MS = 300.0
ROLES = (STUDENT, INSTRUCTOR, HEAD, ADMIN)
_STARTS = {INSTRUCTOR: ("", f"projects/{COURSE}")}
"""Where they come in, other than at the first page."""
_AFTER_FORMS = {
    "sessions/stopped",
    "sessions/([0-9a-f]{32})/port",
    "launch/again",
    "launch/forecast",
}
"""To these only forms and scripts lead."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A page as somebody: milliseconds, KiB, SQL statements of one request."""

    who: str
    found: Found
    median_ms: float
    worst_ms: float
    kib: float
    statements: int
    cpu_ms: float
    """Of the service, a request: what the median would be on a machine that is idle otherwise."""

    @property
    def failed(self) -> bool:
        """An error, or too slow. A file of the whole log is no page."""
        is_file = self.found.answer.kind.startswith("text/csv")
        return self.found.answer.status >= 400 or (self.median_ms > MOST_MS and not is_file)

    def line(self) -> str:
        """As printed."""
        mark = "!" if self.failed else " "
        part = "part" if self.found.is_part else "page"
        return (
            f"{mark} {self.who:10} {part} {self.found.answer.status} {self.median_ms:8.1f}"
            f" {self.worst_ms:8.1f} {self.cpu_ms:8.1f} {self.kib:8.1f} {self.statements:5}"
            f"  /{self.found.path}"
        )


class Visitor:
    """Somebody who has logged in through the service's OAuth."""

    def __init__(self, site: Served, who: str) -> None:
        self._site, self.who = site, who
        self.client = httpx.Client(base_url=site.url, timeout=120)
        front = f"{PREFIX}announcements/shown"
        login = self.client.get(f"/hub/login?user={who}&next={front}", follow_redirects=True)
        login.raise_for_status()

    def get(self, path: str, is_part: bool) -> Answer:
        """One page; a part is asked for as htmx does."""
        headers = {"HX-Request": "true"} if is_part else {}
        answer = self.client.get(PREFIX + path, headers=headers)
        return Answer(answer.status_code, answer.headers.get("Content-Type", ""), answer.text)

    def measure(self, found: Found) -> Measured:
        """Ask for it again and again."""
        times = []
        before = self._site.ask("figures")
        for _ in range(ASKED):
            begun = time.perf_counter()
            answer = self.get(found.path, found.is_part)
            times.append(1000 * (time.perf_counter() - begun))
        after = self._site.ask("figures")
        return Measured(
            who=self.who,
            found=found,
            median_ms=statistics.median(times),
            worst_ms=max(times),
            kib=len(answer.text.encode()) / 1024,
            statements=(after["statements"] - before["statements"]) // ASKED,
            cpu_ms=1000 * (after["cpu_s"] - before["cpu_s"]) / ASKED,
        )


def measure_all(site: Served, only: str) -> tuple[list[Measured], list[str]]:
    """Everything, as everybody; the patterns that nobody reached."""
    print(f"medians of {ASKED}; milliseconds, KiB, SQL statements of one request", flush=True)
    print(f"  {'':10} {'':4} {'':3} {'median':>8} {'worst':>8} {'CPU':>8} {'KiB':>8} {'SQL':>5}")
    measured, everything = [], []
    for who in ROLES:
        visitor = Visitor(site, who)
        found = reachable(visitor.get, *_STARTS.get(who, ()))
        everything += found
        for each in found:
            if only in each.path:
                measured.append(visitor.measure(each))
                print(measured[-1].line(), flush=True)
    return measured, [path for path in unreached(everything) if path not in _AFTER_FORMS]


@contextmanager
def seeded(size: Size, keep: Path | None, postgres: bool) -> Iterator[str]:
    """URL of a database with the site in it; ``keep``: an SQLite file to make, or to use again."""
    with tempfile.TemporaryDirectory(prefix="apportion-pages-") as directory:
        if postgres:
            with postgresql(Path(directory)) as url:
                yield _filled(url, size)
            return
        path = keep or Path(directory) / "site.sqlite"
        url = f"sqlite:///{path}"
        yield url if path.exists() else _filled(url, size)


def _filled(url: str, size: Size) -> str:
    begun = time.monotonic()
    database = Database(url)
    database.upgrade()
    fill(database, size)
    database.engine.dispose()
    print(f"seeded in {time.monotonic() - begun:.0f} s", flush=True)
    return url


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--postgresql", action="store_true", help="a server of its own is started")
    parser.add_argument("--small", action="store_true", help="100 running sessions, 20 projects")
    parser.add_argument("--keep", type=Path, help="SQLite file to make, or to use again")
    parser.add_argument("--only", default="", help="only pages with this in their path")
    arguments = parser.parse_args()
    size = SMALL if arguments.small else Size()
    with (
        tempfile.TemporaryDirectory(prefix="apportion-pages-") as data,
        seeded(size, arguments.keep, arguments.postgresql) as url,
        served(url, Path(data), "--images", str(size.images)) as site,
    ):
        measured, missing = measure_all(site, arguments.only)
    for pattern in missing:
        print(f"! nobody reached /{pattern}")
    slowest = max(measured, key=lambda each: each.median_ms)
    print(f"{len(measured)} measured; the slowest: {slowest.line().strip()}")
    sys.exit(1 if missing or any(each.failed for each in measured) else 0)


if __name__ == "__main__":
    main()

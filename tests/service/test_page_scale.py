"""What a page asks of the database does not grow with the site: no query a row, no whole table."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from benchmarks.reachable_pages import Answer, reachable
from benchmarks.seeded_site import ADMIN, INSTRUCTOR, SMALL, STUDENT, Size, fill
from benchmarks.served_site import make_site
from hub_ext.db.connection import Database
from tests.service.rest_client import serving

BASE = replace(SMALL, ended=400, audit=400)
LARGE = replace(
    SMALL,
    running=400,
    pending=120,
    ended=2400,
    projects=80,
    users=400,
    folders=400,
    images=60,
    audit=2400,
)
"""Four to six times of everything but nodes and the members of a course."""
_STATEMENTS = 8
"""So many more are no sign of a query a row."""
_ROWS = 400
"""So many more rows are no sign of a whole table: lists show up to 200 each."""


_WHOLE_SITE = ("dashboard", "folders", "launch", r"admin/audit\.csv")
"""What an admin sees whole here: each slice, all folders, where he may launch, the whole log."""
_TIMES = 8
"""Their rows may grow as the site does."""


@dataclass
class Counted:
    """SQL statements, and rows that they have fetched."""

    statements: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Cost:
    """Of one page."""

    statements: int
    rows: int


@contextmanager
def counting(database: Database) -> Iterator[Counted]:
    """Count what goes through this database's connections, from now on."""
    counted = Counted()

    class Cursor(sqlite3.Cursor):
        """Counts the rows that it hands out."""

        def fetchall(self) -> list[Any]:
            found = super().fetchall()
            counted.rows += len(found)
            return found

        def fetchmany(self, *size: int) -> list[Any]:
            found = super().fetchmany(*size)
            counted.rows += len(found)
            return found

        def fetchone(self) -> Any:
            found = super().fetchone()
            counted.rows += found is not None
            return found

    class Connection(sqlite3.Connection):
        """Hands out those."""

        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

    def connect(_dialect: Any, _record: Any, _args: Any, options: dict[str, Any]) -> None:
        options["factory"] = Connection

    def execute(*_: Any) -> None:
        counted.statements += 1

    event.listen(database.engine, "do_connect", connect)
    event.listen(database.engine, "before_cursor_execute", execute)
    database.engine.dispose()
    yield counted


async def costs(
    template: Path, directory: Path, size: Size, who: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Cost]:
    """Of each kind of page that somebody reaches, by its route and query fields."""
    database = _seeded(template, directory, size)
    site = make_site(database, directory, size.images)
    found: dict[str, Cost] = {}
    with counting(database) as counted:
        async with serving(site, monkeypatch) as rest:

            def get(path: str, is_part: bool) -> Answer:
                headers = {"Authorization": f"token {who}"}
                if is_part:
                    headers["HX-Request"] = "true"
                for _ in range(2):  # what is read once and kept is not the page's
                    before = replace(counted)
                    answer = httpx.get(rest.base + path, headers=headers, timeout=60)
                found[path] = Cost(
                    counted.statements - before.statements, counted.rows - before.rows
                )
                return Answer(
                    answer.status_code, answer.headers.get("content-type", ""), answer.text
                )

            pages = await asyncio.to_thread(reachable, get)
    database.engine.dispose()
    assert all(each.answer.status < 400 for each in pages), [
        (each.path, each.answer.status) for each in pages if each.answer.status >= 400
    ]
    return {
        f"{each.route} {'part' if each.is_part else 'page'} {sorted(_fields(each.path))}": found[
            each.path
        ]
        for each in pages
    }


def _seeded(template: Path, directory: Path, size: Size) -> Database:
    directory.mkdir()
    shutil.copyfile(template, directory / "site.sqlite")
    database = Database(f"sqlite:///{directory / 'site.sqlite'}")
    fill(database, size)
    return database


def _fields(path: str) -> list[str]:
    return [pair.partition("=")[0] for pair in path.partition("?")[2].split("&") if pair]


@pytest.mark.parametrize("who", [STUDENT, INSTRUCTOR, ADMIN])
async def test_a_page_of_a_large_site_asks_no_more_than_of_a_small_one(
    migrated_sqlite: Path, tmp_path: Path, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = await costs(migrated_sqlite, tmp_path / "small", BASE, who, monkeypatch)
    large = await costs(migrated_sqlite, tmp_path / "large", LARGE, who, monkeypatch)
    grown = []
    for page in small.keys() & large.keys():
        few, many = small[page], large[page]
        whole = who == ADMIN and page.startswith(_WHOLE_SITE)
        if many.statements > few.statements + _STATEMENTS and ".csv" not in page:
            grown.append(f"{page}: {few.statements} statements, then {many.statements}")
        if many.rows > max(_TIMES * few.rows if whole else 0, few.rows + _ROWS):
            grown.append(f"{page}: {few.rows} rows, then {many.rows}")
    assert len(small.keys() & large.keys()) > 10
    assert not grown, "\n".join(grown)

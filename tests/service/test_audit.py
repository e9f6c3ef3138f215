"""The audit log: found by text, person, project and date, read as sentences, taken away as CSV."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tornado.iostream import StreamClosedError

from hub_ext.db.models import AuditRow
from hub_ext.fgpu import FgpuUnit
from hub_ext.projects import audit
from hub_ext.site import Site
from hub_ext.web.api.audit import AuditReader
from hub_ext.web.audit_text import sentences
from tests.service.admin_desk import HOSTILE, SHOWN, Desk, serving_desk
from tests.service.project_rows import add_member, add_project

FORMULA = "=HYPERLINK(1)"


@pytest.fixture
async def desk(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Eve teaches ml101."""
    with site.database.transaction() as db:
        add_project(db, "ml101")
        add_member(db, "ml101", "eve", "instructor")
    async with serving_desk(site, monkeypatch) as desk:
        yield desk


def entry(**columns: Any) -> AuditRow:
    defaults: dict[str, Any] = {
        "at": datetime(2026, 10, 15, 12, tzinfo=UTC).timestamp(),
        "by": "root",
        "action": "project.change",
        "subject": "ml101",
        "project": "ml101",
        "before": {"quota_gpu_milli": 2000},
        "after": {"quota_gpu_milli": 4000},
    }
    return AuditRow(**(defaults | columns))


def add(site: Site, *rows: AuditRow) -> None:
    with site.database.transaction() as db:
        for row in rows:
            db.add(row)
            db.flush()


async def subjects(desk: Desk, query: str, by: str = "root") -> list[str]:
    answer = await desk.api("GET", f"audit?{query}", by=by)
    assert answer.status == 200, answer.body
    return [entry["subject"] for entry in answer.body["entries"]]


async def lines(desk: Desk, path: str, by: str = "root") -> list[dict[str, str]]:
    answer = await desk.send(path, by)
    assert answer.code == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"))))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (entry(), ["root set quota.fgpu of ml101 from 2 to 4."]),
        (
            entry(before={"limit_cpu_milli": -1}, after={"limit_cpu_milli": 2500}),
            ["root set limit.cpu of ml101 from unlimited to 2.5."],
        ),
        (
            entry(before={"member_limits": {}}, after={"member_limits": {"max_sessions": 3}}),
            ["root set member_limits.max_sessions of ml101 to 3."],
        ),
        (
            entry(
                action="member.change",
                subject="ann",
                before={"role": "member"},
                after={"role": "instructor"},
            ),
            ["root set role of ann in ml101 from member to instructor."],
        ),
        (entry(action="node.drain", subject="gpu-1"), ["root drained the node gpu-1."]),
        (
            entry(action="announcement.end", subject="3", before={"text": "Hello"}, after=None),
            ["root took back the announcement: Hello"],
        ),
        (
            entry(
                action="resource-group.change",
                before={"hours": None},
                after={"hours": [{"days": ["mon"], "from": "20:00", "until": "06:00"}]},
            ),
            ["root set hours of ml101 to mon 20:00-06:00."],
        ),
        (entry(action="new.thing", before=None, after=None), ["root: new.thing ml101."]),
        (entry(action="image.request", before=None, after=None), ["root asked for the image ?."]),
    ],
)
def test_an_entry_is_a_sentence(row: AuditRow, says: list[str]) -> None:
    if row.action == "node.drain":
        row.before, row.after = {"drained": False}, {"drained": True}
    assert sentences(row, FgpuUnit(1, 100)) == says


def test_amounts_are_in_the_unit_of_the_site() -> None:
    assert sentences(entry(), FgpuUnit(2, 100)) == ["root set quota.fgpu of ml101 from 4 to 8."]


async def test_text_is_found_anywhere_in_small_and_capital_letters(desk: Desk, site: Site) -> None:
    add(
        site,
        entry(subject="one", after={"title": 'Machine "Learning"'}),
        entry(subject="two", after={"title": "機械学習"}),
        entry(subject="three", by="Dora"),
        entry(subject="50%_off"),
    )
    assert await subjects(desk, "text=machine") == ["one"]
    assert await subjects(desk, "text=%22learning%22") == ["one"]
    assert await subjects(desk, "text=%E6%A9%9F%E6%A2%B0") == ["two"]
    assert await subjects(desk, "text=dora") == ["three"]
    assert await subjects(desk, "text=%25_") == ["50%_off"]
    assert await subjects(desk, "text=nothing-of-this") == []


async def test_dates_take_in_both_days(desk: Desk, site: Site) -> None:
    for day in (14, 15, 16, 17):
        at = datetime(2026, 10, day, 23, 59, tzinfo=UTC).timestamp()
        add(site, entry(subject=f"on {day}", at=at))
    assert await subjects(desk, "since=2026-10-15&until=2026-10-16") == ["on 16", "on 15"]
    assert await subjects(desk, "until=2026-10-14&by=root") == ["on 14"]
    bad = await desk.api("GET", "audit?since=yesterday")
    assert (bad.status, bad.field) == (400, "since")
    assert (await desk.api("GET", "audit?until=9999-12-31")).status == 400
    assert (await desk.send("admin/audit?since=yesterday")).code == 400


async def test_the_page_shows_fifty_and_leads_on_with_the_filter(desk: Desk, site: Site) -> None:
    add(site, *(entry(subject=f"thing-{number}", by="dora") for number in range(60)))
    add(site, entry(subject=HOSTILE, by="root"))
    page = await desk.page("admin/audit")
    assert page.count("data-entry=") == 50
    assert SHOWN in page
    assert HOSTILE not in page
    page = await desk.page("admin/audit?by=dora")
    assert page.count("data-entry=") == 50
    assert "thing-59" in page
    older = page.partition('id="audit-older" href="/services/apportion/')[2].partition('"')[0]
    rest = await desk.page(older.replace("&amp;", "&"))
    assert rest.count("data-entry=") == 10
    assert "thing-0" in rest
    assert "audit-older" not in rest
    assert "No entry fits." in await desk.page("admin/audit?by=nobody-here")


@pytest.mark.parametrize("path", ["admin/audit.csv", "api/v1/audit?format=csv"])
async def test_a_reader_who_leaves_in_the_middle_of_the_csv_is_no_accident(
    desk: Desk,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    flush = AuditReader.flush

    def gone(reader: AuditReader, include_footers: bool = False) -> Any:
        if not include_footers:
            raise StreamClosedError
        return flush(reader, include_footers)

    monkeypatch.setattr(AuditReader, "flush", gone)
    await desk.send(path)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_the_csv_has_all_that_the_filter_finds(desk: Desk, site: Site) -> None:
    add(site, *(entry(subject=f"n{number}", by="dora") for number in range(1500)))
    add(site, entry(subject="other"))
    for path in ("admin/audit.csv?by=dora", "api/v1/audit?format=csv&by=dora"):
        found = await lines(desk, path)
        assert len(found) == 1500
        assert (found[0]["subject"], found[-1]["subject"]) == ("n1499", "n0")
        assert found[0]["what"] == "dora set quota.fgpu of n1499 from 2 to 4."
        assert found[0]["time"] == "2026-10-15T12:00:00+00:00"
        assert found[0]["before"] == '{"quota_gpu_milli": 2000}'


async def test_others_are_served_between_the_parts_of_a_long_log(
    desk: Desk, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(site, *(entry(subject=f"n{number}") for number in range(1500)))
    turns, read = 0, []
    entries = audit.entries

    def noting(*arguments: Any, **options: Any) -> Any:
        read.append(turns)
        return entries(*arguments, **options)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(audit, "entries", noting)
    task = asyncio.ensure_future(others())
    assert len(await lines(desk, "api/v1/audit?format=csv")) == 1500
    task.cancel()
    assert len(read) > 3
    assert sorted(set(read)) == read, "each part was read in a turn of its own"


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
async def test_no_cell_is_a_formula(desk: Desk, site: Site, start: str) -> None:
    add(site, entry(subject=start, by=FORMULA))
    (found,) = await lines(desk, "admin/audit.csv")
    assert found["subject"] == f"'{start}"
    assert not any(value.startswith(("=", "+", "-", "@", "\t")) for value in found.values())


async def test_an_instructor_takes_away_what_he_may_read(desk: Desk, site: Site) -> None:
    add(site, entry(subject="ours"), entry(subject="theirs", project="ai"))
    add(site, entry(subject="the node", project=None))
    found = await lines(desk, "api/v1/audit?format=csv", "eve")
    assert [line["subject"] for line in found] == ["ours"]
    assert await subjects(desk, "text=the", "eve") == []
    assert (await desk.send("api/v1/audit?format=csv", "ann")).code == 403
    assert (await desk.send("admin/audit.csv", "eve")).code == 403
    assert (await desk.api("GET", "audit?format=xml")).field == "format"

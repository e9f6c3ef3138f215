"""A list of members from a file: preview with the fault of each line, then exactly that."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hub_ext.projects.membership import Role
from hub_ext.site import Site

from .project_lab import ROOT, ProjectLab, course, form_fields

IMPORT = "projects/ml101/members/import"
CLASS = "user,role\n" + "\n".join(f"s{number:02d}" for number in range(1, 41))
WITH_FAULTS = CLASS + "\n".join(
    ["", "a b", "s41,boss", "s01", "tess,member", "s42,member,x", "<script>,", "ann", "# no", "s43"]
)


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProjectLab]:
    async with course(site, monkeypatch) as found:
        yield found


def listed(lab: ProjectLab) -> list[str]:
    return [row.user for row in lab.site.projects.roster.members("ml101")]


def row_of(page: str, line: int) -> str:
    return page.partition(f'data-line="{line}"')[2].partition("</tr>")[0]


async def test_a_class_of_forty_is_previewed_and_then_written(lab: ProjectLab) -> None:
    answer = await lab.upload(IMPORT, CLASS.encode())
    page = answer.body.decode()
    assert answer.code == 200
    assert page.count("data-line=") == 40
    assert "40 are added" in page
    assert len(listed(lab)) == 3, "a preview writes nothing"
    done = await lab.send(IMPORT, form_fields(page, "confirm"))
    assert done.code == 303
    assert len(listed(lab)) == 43
    again = await lab.send(IMPORT, form_fields(page, "confirm"))
    assert again.code == 303, "a second click finds it done"
    assert len(listed(lab)) == 43


async def test_each_wrong_line_says_why_and_the_others_are_written(lab: ProjectLab) -> None:
    page = (await lab.send(IMPORT, {"csv": WITH_FAULTS})).body.decode()
    assert "42 are added" in page
    assert "5 lines are wrong" in page
    assert "is no name of a user" in row_of(page, 42)
    assert "is no role" in row_of(page, 43)
    assert "is already in line 2" in row_of(page, 44)
    assert "Only an admin" in row_of(page, 45)
    assert "two are read" in row_of(page, 46)
    assert "is listed so already" in row_of(page, 48)
    assert "&lt;script&gt;" in row_of(page, 47)
    confirm = form_fields(page, "confirm")
    assert (await lab.send(IMPORT, confirm)).code == 303
    users = listed(lab)
    assert {"s01", "s40", "s43", "tess", "ann", "bob"} <= set(users)
    assert not {"a b", "s41", "s42"} & set(users)
    (tess,) = [row for row in lab.site.projects.roster.members("ml101") if row.user == "tess"]
    assert tess.role == "instructor"


async def test_a_stale_preview_is_refused_and_shows_what_would_happen_now(
    lab: ProjectLab,
) -> None:
    text = "s1\ns2"
    page = (await lab.send(IMPORT, {"csv": text})).body.decode()
    lab.site.projects.roster.add("ml101", "s2", Role.MEMBER, {}, by=ROOT)
    stale = await lab.send(IMPORT, form_fields(page, "confirm"))
    assert stale.code == 409
    now = stale.body.decode()
    assert "have changed since the preview" in now
    assert "is listed so already" in row_of(now, 2)
    assert "s1" not in listed(lab)
    assert (await lab.send(IMPORT, form_fields(now, "confirm"))).code == 303
    assert "s1" in listed(lab)


async def test_a_list_that_was_changed_after_its_preview_is_not_written(lab: ProjectLab) -> None:
    page = (await lab.send(IMPORT, {"csv": "s1"})).body.decode()
    forged = {**form_fields(page, "confirm"), "csv": "s1\ns2"}
    assert (await lab.send(IMPORT, forged)).code == 409
    assert listed(lab) == ["ann", "bob", "tess"]


@pytest.mark.parametrize(
    ("content", "users"),
    [
        (b"\xef\xbb\xbfuser;role\r\ns1;member\r\ns2;", ["s1", "s2"]),
        ("user\ts1\n".replace("user\t", "").encode("utf-16"), ["s1"]),
        (b"\n\ns1\n# a\n", ["s1"]),
        ("日本\n".encode(), ["日本"]),
    ],
)
async def test_what_spreadsheets_write_is_read(
    lab: ProjectLab, content: bytes, users: list[str]
) -> None:
    page = (await lab.upload(IMPORT, content)).body.decode()
    assert (await lab.send(IMPORT, form_fields(page, "confirm"))).code == 303
    assert set(users) <= set(listed(lab))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "not text in UTF-8"),
        ("名前".encode("shift-jis"), "not text in UTF-8"),
        (b"\n", "The list is empty"),
        (b"s\n" * 5001, "5000 at a time"),
        (b"s" * 500_001, "half a million"),
    ],
    ids=["half a letter", "shift-jis", "empty", "too many", "too long"],
)
async def test_a_file_that_is_no_list_is_refused(
    lab: ProjectLab, content: bytes, said: str
) -> None:
    answer = await lab.upload(IMPORT, content)
    assert answer.code == 400
    assert said in answer.body.decode()


async def test_what_was_typed_is_still_there_after_a_refusal(lab: ProjectLab) -> None:
    answer = await lab.send(IMPORT, {"csv": "# nobody\n"})
    assert answer.code == 400
    assert form_fields(answer.body.decode(), "import")["csv"] == "# nobody\n"


async def test_the_api_writes_what_its_dry_run_has_shown(lab: ProjectLab) -> None:
    path = "projects/ml101/members/import"
    preview = await lab.rest("POST", path, {"csv": "s1", "dry_run": True}, by="tess")
    body = {"csv": "s1", "preview": preview.body["preview"]}
    lab.site.projects.roster.add("ml101", "s1", Role.MEMBER, {}, by=ROOT)
    stale = await lab.rest("POST", path, body, by="tess")
    assert (stale.status, stale.field) == (409, "preview")

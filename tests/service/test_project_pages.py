"""Pages of projects as HTTP: who sees what, and what the short forms do."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest

from hub_ext.hub_client import HubServer
from hub_ext.projects.membership import Role
from hub_ext.site import Site

from .booked_rows import book
from .conftest import RecordingHub
from .project_lab import ROOT, ProjectLab, course, shown
from .project_rows import add_session

PAGES = ["", "/members", "/settings", "/messages", "/stop", "/report", "/audit"]
MORE = ["/members.csv", "/members/import", "/report.csv", "/member?user=ann"]
FORMS = [
    "/members/add",
    "/member/role?user=ann",
    "/member/remove?user=ann",
    "/messages/new",
    "/messages/1/end",
    "/stop/all",
    "/stop/call-off",
    "/archive",
    "/restore",
    "/settings",
    "/members/import",
    "/member?user=ann",
]
EVERY_FIELD = {
    "user": "new",
    "role": "member",
    "text": "x",
    "level": "info",
    "for": "day",
    "when": "now",
    "name": "ml101",
    "csv": "new",
    "base": "{}",
}


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProjectLab]:
    async with course(site, monkeypatch) as found:
        yield found


async def test_instructors_and_admins_open_every_page(lab: ProjectLab) -> None:
    for path in [f"projects/ml101{part}" for part in (*PAGES, *MORE)]:
        for who in ("tess", "root"):
            await lab.text(path, who)
    assert "New project" in await lab.text("projects", "root")
    await lab.text("new-project", "root")


async def test_a_member_sees_name_instructors_quota_and_use_and_no_more(lab: ProjectLab) -> None:
    with lab.site.database.transaction() as db:
        book(db, "gpu-1", {0: 500}, user="bob", project="ml101")
        add_session(db, "ml101", "bob", name="secret-session")
    page = await lab.text("projects/ml101", "ann")
    assert "Machine learning" in page
    assert "tess" in page
    assert "0.5 of 1 fGPU" in page
    for hidden in ("bob", "secret-session", "Who waits", "Most use", "/settings", "sessions:"):
        assert hidden not in page.partition("<main")[2], hidden
    for part in (*PAGES[1:], *MORE):
        assert (await lab.page(f"projects/ml101{part}", "ann")).code == 403, part
    for form in FORMS:
        assert (await lab.send(f"projects/ml101{form}", {**EVERY_FIELD}, "ann")).code == 403, form


@pytest.mark.parametrize("part", ["", *PAGES[1:], *MORE])
async def test_a_strangers_page_is_that_of_a_missing_project(lab: ProjectLab, part: str) -> None:
    theirs = await lab.page(f"projects/ml101{part}", "zoe")
    missing = await lab.page(f"projects/nothing{part}", "zoe")
    assert theirs.code == missing.code == 404
    assert shown(theirs) == shown(missing)


@pytest.mark.parametrize("form", FORMS)
async def test_a_strangers_form_is_that_of_a_missing_project(lab: ProjectLab, form: str) -> None:
    theirs = await lab.send(f"projects/ml101{form}", {**EVERY_FIELD}, "zoe")
    missing = await lab.send(f"projects/nothing{form}", {**EVERY_FIELD, "name": "nothing"}, "zoe")
    assert theirs.code == missing.code == 404
    assert shown(theirs) == shown(missing)


async def test_what_only_an_admin_may_is_refused_to_an_instructor(lab: ProjectLab) -> None:
    assert (await lab.page("new-project")).code == 403
    assert (await lab.send("new-project", {"name": "mine", "title": "x"})).code == 403
    assert (await lab.send("projects/ml101/archive", {"name": "ml101"})).code == 403
    assert (
        await lab.send("projects/ml101/member/role?user=ann", {"role": "instructor"})
    ).code == 403
    add = {"user": "eve", "role": "instructor"}
    assert (await lab.send("projects/ml101/members/add", add)).code == 403
    assert (await lab.send("projects/ml101/member/remove?user=tess")).code == 403
    assert lab.site.projects.get("ml101").archived_at is None
    assert [row.role for row in lab.site.projects.roster.members("ml101")].count("instructor") == 1


async def test_an_admin_sees_the_tree_in_pages_and_finds_by_title(lab: ProjectLab) -> None:
    for number in range(105):
        lab.site.projects.create(f"c{number:03d}", {"parent": "dept"}, by=ROOT)
    first = await lab.text("projects", "root")
    assert first.count("<tr data-project=") == 100
    assert first.index('data-project="dept"') < first.index('data-project="ml101"')
    later = await lab.text("projects?from=100", "root")
    assert later.count("<tr data-project=") == 8
    found = await lab.text("projects?find=MACHINE", "root")
    assert found.count("<tr data-project=") == 1
    assert 'data-project="ml101"' in found
    nothing = await lab.text("projects?find=%3Cscript%3E", "root")
    assert "&lt;script&gt;" in nothing
    assert (await lab.page("projects?from=x", "root")).code == 400


async def test_everybody_has_an_own_list(lab: ProjectLab) -> None:
    mine = await lab.text("projects", "ann")
    assert 'data-project="ml101"' in mine
    assert 'data-project="dept"' not in mine
    assert "New project" not in mine
    part = await lab.text("projects?part=1", "ann")
    assert part.lstrip().startswith('<div id="projects"')


async def test_a_project_is_archived_by_its_name_and_restored(lab: ProjectLab) -> None:
    wrong = await lab.send("projects/ml101/archive", {"name": "ml10"}, "root")
    assert wrong.code == 400
    assert "You have typed" in wrong.body.decode()
    assert (await lab.send("projects/ml101/archive", {"name": "ml101"}, "root")).code == 303
    assert (await lab.page("projects/ml101", "tess")).code == 404
    again = await lab.send("projects/ml101/archive", {"name": "ml101"}, "root")
    assert again.code == 409
    archive = await lab.text("projects?archived=1", "root")
    assert 'data-project="ml101"' in archive
    assert (await lab.send("projects/ml101/restore", by="root")).code == 303
    assert "Machine learning" in await lab.text("projects/ml101")


async def test_the_overview_says_who_waits_who_idles_and_who_used_most(lab: ProjectLab) -> None:
    now = time.time()
    with lab.site.database.transaction() as db:
        busy = book(db, "gpu-1", {0: 500}, user="ann", project="ml101")
        quiet = book(db, "gpu-1", {1: 500}, user="bob", project="ml101")
        for row in (busy, quiet):
            row.running_at = now - 3600
        waits = add_session(db, "ml101", "cleo", position=3, reason_message="Quota is used up.")
        keys = [(row.user, row.server_name) for row in (busy, quiet)]
        ids = busy.id, quiet.id, waits.id
    hub = lab.site.hub
    assert isinstance(hub, RecordingHub)
    for key, seconds_ago in zip(keys, (60, 20 * 60), strict=True):
        hub.servers[key] = HubServer(*key, True, None, now - seconds_ago)
    await lab.activity.read()
    page = await lab.text("projects/ml101")
    idle = page.partition('id="idle"')[2].partition("</table>")[0]
    assert ids[1] in idle
    assert ids[0] not in idle
    waiting = page.partition('id="waiting"')[2].partition("</table>")[0]
    assert ids[2] in waiting
    assert ">3</td>" in waiting
    assert "Quota is used up." in waiting


async def test_a_member_is_added_changed_and_removed_with_what_it_means(lab: ProjectLab) -> None:
    added = await lab.send("projects/ml101/members/add", {"user": "cleo", "role": "member"})
    assert added.code == 303
    twice = await lab.send("projects/ml101/members/add", {"user": "cleo", "role": "member"})
    assert twice.code == 409
    with lab.site.database.transaction() as db:
        add_session(db, "ml101", "cleo")
    page = await lab.text("projects/ml101/member?user=cleo")
    assert "1 session waits for cleo" in page
    assert (await lab.send("projects/ml101/member/remove?user=cleo")).code == 303
    gone = await lab.send("projects/ml101/member/remove?user=cleo")
    assert gone.code == 404
    listed = [row.user for row in lab.site.projects.roster.members("ml101")]
    assert listed == ["ann", "bob", "tess"]


async def test_own_limits_are_typed_in_hours_and_kept_when_one_is_wrong(lab: ProjectLab) -> None:
    path = "projects/ml101/member?user=ann"
    fields = await lab.form(path, "own-limits")
    assert set(fields.values()) == {""}
    wrong = await lab.send(
        path, {**fields, "limits.max_lifetime_s": "1.5", "limits.max_fgpu": "0.55"}
    )
    page = wrong.body.decode()
    assert wrong.code == 400
    assert 'id="limits.max_fgpu-error"' in page
    assert 'value="1.5"' in page
    good = await lab.send(
        path, {**fields, "limits.max_lifetime_s": "1.5", "limits.max_fgpu": "0.5"}
    )
    assert good.code == 303
    (row,) = [row for row in lab.site.projects.roster.members("ml101") if row.user == "ann"]
    assert row.limits == {"max_lifetime_s": 5400, "max_gpu_milli": 500}
    assert "0.5" in await lab.text("projects/ml101/members")


async def test_members_are_found_by_a_part_of_the_name(lab: ProjectLab) -> None:
    for number in range(110):
        lab.site.projects.roster.add("ml101", f"st_{number:03d}", Role.MEMBER, {}, by=ROOT)
    first = await lab.text("projects/ml101/members")
    assert first.count("<tr data-user=") == 100
    assert "after=st_097" in first
    found = await lab.text("projects/ml101/members?find=ST_10")
    assert found.count("<tr data-user=") == 10
    one_sign = await lab.text("projects/ml101/members?find=t_s")
    assert one_sign.count("<tr data-user=") == 0
    exported = (await lab.text("projects/ml101/members.csv")).splitlines()
    assert exported[:2] == ["user,role", "ann,member"]
    assert len(exported) == 114


async def test_a_saved_list_holds_no_formula_and_is_read_in_as_it_was(lab: ProjectLab) -> None:
    for user in ("-dash", "@at", "=1+1", "'quoted"):
        lab.site.projects.roster.add("ml101", user, Role.MEMBER, {}, by=ROOT)
    saved = await lab.text("projects/ml101/members.csv")
    assert not re.search(r"^[-@=+]", saved, re.MULTILINE)
    read = lab.site.projects.roster.import_list("ml101", saved, by=ROOT, dry_run=True)
    assert {outcome.result for outcome in read} == {"same"}


async def test_the_audit_page_has_every_change_in_pages(lab: ProjectLab) -> None:
    for number in range(60):
        await lab.rest("PATCH", "projects/ml101", {"title": f"<b>{number}</b>"}, by="tess")
    first = await lab.text("projects/ml101/audit")
    assert first.count("<tr data-entry=") == 50
    assert "&lt;b&gt;59&lt;/b&gt;" in first
    after = first.rpartition("audit?after=")[2].partition('"')[0]
    rest = await lab.text(f"projects/ml101/audit?after={after}")
    assert "root made the project ml101" in rest.replace("\n", " ")


async def test_hostile_names_are_text_on_every_page(lab: ProjectLab) -> None:
    evil = "<b>evil" + "x" * 150
    lab.site.projects.change("ml101", {"title": evil, "description": evil}, by=ROOT)
    lab.site.projects.roster.add("ml101", evil, Role.MEMBER, {}, by=ROOT)
    message = {"text": evil, "level": "info", "for": "day"}
    assert (await lab.send("projects/ml101/messages/new", message)).code == 303
    with lab.site.database.transaction() as db:
        add_session(db, "ml101", evil, name=evil, reason_message=evil, submitted_at=time.time())
    member = f"/member?{urlencode({'user': evil})}"
    paths = [f"projects/ml101{part}" for part in (*PAGES, "/members/import", member)]
    for path in ("projects", "projects?find=%3Cb%3Eevil", *paths):
        page = await lab.text(path)
        assert "<b>evil" not in page, path
        assert "&lt;b&gt;evil" in page, path

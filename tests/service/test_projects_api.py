"""``projects``, members and ``audit`` over HTTP: each role may what the table says, no more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub_ext.db.models import SessionRow
from hub_ext.nodes import inventory
from hub_ext.projects.membership import Role
from hub_ext.projects.permissions import By
from hub_ext.scheduling.model import Resources
from hub_ext.site import Site

from .booked_rows import book
from .project_rows import add_session
from .rest_client import Answer, RestClient, serving

ROOT = By("root", Role.ADMIN)
ADMIN, INSTRUCTOR, MEMBER, STRANGER = "root", "tess", "ann", "zoe"
NOBODYS: dict[str, Any] = {
    "error": {"code": "not_found", "message": "There is no such project."},
}


@pytest.fixture
async def rest(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RestClient]:
    """ml101 below dept; tess teaches, ann learns, bob too, zoe is a stranger."""
    await inventory.refresh(site)
    site.projects.create("dept", {}, by=ROOT)
    site.projects.create(
        "ml101",
        {"parent": "dept", "quota_gpu_milli": 1000, "member_limits": {"max_sessions": 2}},
        by=ROOT,
    )
    for user, role in (("tess", Role.INSTRUCTOR), ("ann", Role.MEMBER), ("bob", Role.MEMBER)):
        site.projects.roster.add("ml101", user, role, {}, by=ROOT)
    async with serving(site, monkeypatch) as client:
        yield client


YES, NO, HIDDEN = "yes", 403, 404
Case = tuple[str, str, str, Any, tuple[Any, Any, Any, Any]]
# what, method, path below "projects", body, and for whom: admin, instructor, member, stranger
TABLE: list[Case] = [
    ("see", "GET", "ml101", None, (YES, YES, YES, HIDDEN)),
    ("members", "GET", "ml101/members", None, (YES, YES, YES, HIDDEN)),
    ("enrol", "POST", "ml101/members", {"user": "new"}, (YES, YES, NO, HIDDEN)),
    (
        "appoint",
        "POST",
        "ml101/members",
        {"user": "new", "role": "instructor"},
        (YES, NO, NO, HIDDEN),
    ),
    (
        "import",
        "POST",
        "ml101/members/import",
        {"csv": "x1\nx2", "dry_run": True},
        (YES, YES, NO, HIDDEN),
    ),
    (
        "member limits",
        "PATCH",
        "ml101/members/bob",
        {"limits": {"max_sessions": 1}},
        (YES, YES, NO, HIDDEN),
    ),
    (
        "more for one",
        "PATCH",
        "ml101/members/bob",
        {"limits": {"max_sessions": 9}},
        (YES, NO, NO, HIDDEN),
    ),
    ("promote", "PATCH", "ml101/members/bob", {"role": "instructor"}, (YES, NO, NO, HIDDEN)),
    ("remove", "DELETE", "ml101/members/bob", None, (YES, YES, NO, HIDDEN)),
    ("dismiss", "DELETE", "ml101/members/tess", None, (YES, NO, NO, HIDDEN)),
    ("title", "PATCH", "ml101", {"title": "x"}, (YES, YES, NO, HIDDEN)),
    ("description", "PATCH", "ml101", {"description": "x"}, (YES, YES, NO, HIDDEN)),
    ("images", "PATCH", "ml101", {"images": ["a"]}, (YES, YES, NO, HIDDEN)),
    ("presets", "PATCH", "ml101", {"presets": ["cpu"]}, (YES, YES, NO, HIDDEN)),
    ("lower", "PATCH", "ml101", {"member_limits": {"max_sessions": 1}}, (YES, YES, NO, HIDDEN)),
    ("raise", "PATCH", "ml101", {"member_limits": {"max_sessions": 3}}, (YES, NO, NO, HIDDEN)),
    *(
        (field, "PATCH", "ml101", {field: value}, (YES, NO, NO, HIDDEN))
        for field, value in {
            "quota": {"fgpu": 2},
            "limit": {"fgpu": 2},
            "weight": {"fgpu": 2},
            "priority": 1,
            "parent": None,
            "budget_fgpu_h": 10,
            "valid_until": 2e9,
            "hours": [{"from": "08:00", "until": "18:00"}],
            "quota_hours": [{"from": "08:00", "until": "18:00", "fgpu": 1}],
            "stops_at_close": True,
            "open_to_all": False,
            "kinds": ["batch"],
            "resource_groups": ["default"],
            "reclaim_min_runtime_s": 60,
            "preempt_min_runtime_s": 60,
        }.items()
    ),
    ("materials", "PATCH", "ml101", {"materials_folder_id": None}, (YES, YES, NO, HIDDEN)),
    ("messages", "GET", "ml101/announcements", None, (YES, YES, YES, HIDDEN)),
    ("announce", "POST", "ml101/announcements", {"text": "Hello."}, (YES, YES, NO, HIDDEN)),
    ("end", "POST", "ml101/stop-sessions", {}, (YES, YES, NO, HIDDEN)),
    ("call off", "DELETE", "ml101/stop-sessions", None, (YES, YES, NO, HIDDEN)),
    ("report", "GET", "ml101/report", None, (YES, YES, NO, HIDDEN)),
    ("archive", "DELETE", "ml101", None, (YES, NO, NO, HIDDEN)),
    ("restore", "POST", "ml101/restore", None, (409, NO, NO, HIDDEN)),
]


@pytest.mark.parametrize("place", range(4), ids=["admin", "instructor", "member", "stranger"])
async def test_each_role_may_what_the_table_says(site: Site, rest: RestClient, place: int) -> None:
    who = (ADMIN, INSTRUCTOR, MEMBER, STRANGER)[place]
    for what, method, path, body, expected in TABLE:
        before = await everything(rest)
        answer = await rest(method, f"projects/{path}", body, by=who)
        wanted = expected[place]
        if wanted == YES:
            assert answer.status in {200, 201}, (what, answer)
            undo(site)
            continue
        assert answer.status == wanted, (what, answer)
        if wanted == HIDDEN:
            assert answer.body == NOBODYS, what
        assert await everything(rest) == before, what


async def everything(rest: RestClient) -> list[Answer]:
    return [await rest("GET", path) for path in ("projects", "projects/ml101/members", "audit")]


def undo(site: Site) -> None:
    """ml101 and its members as the fixture made them."""
    store = site.projects
    if store.get("ml101").archived_at is not None:
        store.restore("ml101", by=ROOT)
    values = {"images": None, "presets": None, "parent": "dept", "hours": None}
    store.change("ml101", {**values, "member_limits": {"max_sessions": 2}}, by=ROOT)
    for row in store.roster.members("ml101"):
        store.roster.remove("ml101", row.user, by=ROOT)
    for user, role in (("tess", Role.INSTRUCTOR), ("ann", Role.MEMBER), ("bob", Role.MEMBER)):
        store.roster.add("ml101", user, role, {}, by=ROOT)


async def test_a_missing_project_answers_as_one_that_is_not_the_callers(rest: RestClient) -> None:
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/restore"),
        ("GET", "/members"),
        ("POST", "/members"),
        ("POST", "/members/import"),
        ("PATCH", "/members/ann"),
        ("DELETE", "/members/ann"),
        ("GET", "/announcements"),
        ("POST", "/announcements"),
        ("DELETE", "/announcements/1"),
        ("POST", "/stop-sessions"),
        ("DELETE", "/stop-sessions"),
        ("GET", "/report"),
    ):
        missing = await rest(method, f"projects/nothing{path}", {}, by=STRANGER)
        hidden = await rest(method, f"projects/ml101{path}", {}, by=STRANGER)
        assert (missing.status, missing.body) == (hidden.status, hidden.body) == (404, NOBODYS)


async def test_only_an_admin_creates_projects(rest: RestClient) -> None:
    for who in (INSTRUCTOR, MEMBER, STRANGER):
        assert (await rest("POST", "projects", {"name": "mine"}, by=who)).status == 403
    answer = await rest("POST", "projects", {"name": "mine"})
    assert (answer.status, answer.body["name"], answer.body["role"]) == (201, "mine", "admin")
    again = await rest("POST", "projects", {"name": "mine"})
    assert (again.status, again.field) == (409, "name")


async def test_a_project_comes_back_as_it_was_sent(rest: RestClient) -> None:
    sent = {
        "name": "lab.1",
        "title": "Lab",
        "description": "Two\nlines",
        "parent": "dept",
        "quota": {"fgpu": 0.5, "cpu": 1.5, "memory_mib": None},
        "limit": {"fgpu": 2.0, "cpu": None, "memory_mib": 8192},
        "weight": {"fgpu": 2.0, "cpu": None, "memory_mib": 0.0},
        "priority": -3,
        "reclaim_min_runtime_s": 60.0,
        "preempt_min_runtime_s": None,
        "open_to_all": True,
        "valid_from": 1e9,
        "valid_until": 2e9,
        "hours": [{"days": ["mon", "tue"], "from": "08:00", "until": "18:00"}],
        "stops_at_close": True,
        "quota_hours": [{"days": ["sat"], "from": "00:00", "until": "24:00", "fgpu": 2.0}],
        "images": ["apportion/base:test"],
        "presets": ["cpu", "gpu"],
        "resource_groups": ["default"],
        "kinds": ["interactive"],
        "budget_fgpu_h": 100.0,
        "member_limits": {
            "max_sessions": 2,
            "max_fgpu": 0.5,
            "max_pending": 3,
            "max_lifetime_s": 3600,
            "idle_s": 600,
            "max_priority": 5,
        },
    }
    answer = await rest("POST", "projects", sent)
    assert answer.status == 201
    assert {key: answer.body[key] for key in sent} == sent
    read = await rest("GET", "projects/lab.1", by=STRANGER)
    assert {key: read.body[key] for key in sent} == sent
    assert (read.body["role"], read.body["version"], read.body["archived"]) == ("member", 1, False)


async def test_a_project_says_what_it_holds_with_those_below(site: Site, rest: RestClient) -> None:
    with site.database.transaction() as db:
        book(db, "gpu-1", {0: 500}, project="ml101", cpu_milli=1500, memory_mib=2048)
        waiting = book(db, "gpu-1", {}, project="ml101", status="PENDING")
        db.get(SessionRow, waiting.id).node = None  # type: ignore[union-attr]
    site.fair_share = {"ml101": Resources(750, 2000, 4096)}
    project = (await rest("GET", "projects/ml101", by=MEMBER)).body
    parent = (await rest("GET", "projects/dept")).body
    for found in (project, parent):
        assert found["use"] == {"fgpu": 0.5, "cpu": 1.5, "memory_mib": 2048}
        assert (found["running"], found["pending"]) == (1, 1)
    assert project["fair_share"] == {"fgpu": 0.75, "cpu": 2.0, "memory_mib": 4096}
    assert parent["fair_share"] is None


async def test_everybody_lists_his_own_projects_page_by_page(rest: RestClient) -> None:
    async def names(by: str, query: str = "") -> tuple[list[str], str | None]:
        body = (await rest("GET", f"projects{query}", by=by)).body
        return [project["name"] for project in body["projects"]], body["after"]

    assert await names(ADMIN) == (["default", "dept", "ml101"], None)
    assert await names(MEMBER) == (["default", "ml101"], None)
    assert await names(STRANGER) == (["default"], None)
    assert await names(f"{STRANGER}+course-dept-instructors") == (
        ["default", "dept", "ml101"],
        None,
    )
    assert await names(ADMIN, "?limit=2") == (["default", "dept"], "dept")
    assert await names(ADMIN, "?limit=2&after=dept") == (["ml101"], None)
    assert (await rest("GET", "projects?after=nothing")).field == "after"
    await rest("DELETE", "projects/ml101")
    assert await names(ADMIN, "?archived=1") == (["ml101"], None)
    assert await names(INSTRUCTOR, "?archived=1") == ([], None)
    assert await names(INSTRUCTOR) == (["default"], None)


async def test_a_member_learns_the_names_of_instructors_only(rest: RestClient) -> None:
    whole = (await rest("GET", "projects/ml101/members", by=INSTRUCTOR)).body["members"]
    assert [member["user"] for member in whole] == ["ann", "bob", "tess"]
    seen = (await rest("GET", "projects/ml101/members", by=MEMBER)).body["members"]
    assert seen == [{"user": "tess", "role": "instructor"}]


async def test_members_come_in_pages(rest: RestClient) -> None:
    first = (await rest("GET", "projects/ml101/members?limit=2")).body
    assert ([each["user"] for each in first["members"]], first["after"]) == (["ann", "bob"], "bob")
    rest_of_them = (await rest("GET", "projects/ml101/members?limit=2&after=bob")).body
    assert [each["user"] for each in rest_of_them["members"]] == ["tess"]
    assert rest_of_them["after"] is None


async def test_limits_of_a_member_are_in_fgpu_and_replaced_as_a_whole(rest: RestClient) -> None:
    path = "projects/ml101/members/ann"
    answer = await rest("PATCH", path, {"limits": {"max_fgpu": 0.5, "max_pending": -1}})
    assert answer.body["limits"] == {"max_fgpu": 0.5, "max_pending": None}
    assert (await rest("PATCH", path, {"limits": {"max_fgpu": 0.55}})).field == "limits.max_fgpu"
    assert (await rest("PATCH", path, {"role": "member"})).body["limits"]["max_fgpu"] == 0.5
    assert (await rest("PATCH", path, {"limits": None})).body["limits"] == {}


async def test_bounds_are_shown_to_those_who_set_what_they_bound(rest: RestClient) -> None:
    await rest("PATCH", "projects/ml101", {"member_limits": {"max_fgpu": 1.0}})
    lower = {"presets": ["cpu"], "member_limits": {"max_sessions": 1, "max_fgpu": 0.5}}
    lowered = (await rest("PATCH", "projects/ml101", lower, by=INSTRUCTOR)).body
    assert lowered["member_limits"]["max_fgpu"] == 0.5
    bounds = lowered["bounds"]
    assert (bounds["images"], bounds["presets"]) == (None, None)
    assert (bounds["member_limits"]["max_sessions"], bounds["member_limits"]["max_fgpu"]) == (2, 1)
    assert (await rest("GET", "projects/ml101")).body["bounds"] == bounds
    assert "bounds" not in (await rest("GET", "projects/ml101", by=MEMBER)).body


async def test_removing_a_member_can_be_previewed(site: Site, rest: RestClient) -> None:
    with site.database.transaction() as db:
        book(db, "gpu-1", {0: 500}, project="ml101", user="ann")
        add_session(db, "ml101")
        add_session(db, "ml101")
    seen = await rest("DELETE", "projects/ml101/members/ann?dry_run=1", by=INSTRUCTOR)
    assert (seen.status, seen.body["removed"]) == (200, False)
    assert seen.body["warnings"] == [
        "1 session runs on for ann in project ml101; what is reclaimed does not start again.",
        "2 sessions wait for ann in project ml101 and will not start unless ann is added again.",
    ]
    done = await rest("DELETE", "projects/ml101/members/ann", by=INSTRUCTOR)
    assert (done.body["removed"], done.body["warnings"]) == (True, seen.body["warnings"])
    assert (await rest("DELETE", "projects/ml101/members/ann?dry_run=1")).status == 404


async def test_a_list_is_previewed_line_by_line_and_then_written(rest: RestClient) -> None:
    path = "projects/ml101/members/import"
    text = "user,role\nnew1\nann\nnew 2\n"
    seen = await rest("POST", path, {"csv": text, "dry_run": True}, by=INSTRUCTOR)
    assert (seen.status, seen.body["written"], seen.body["wrong"]) == (200, False, 1)
    assert [(line["line"], line["result"]) for line in seen.body["lines"]] == [
        (2, "add"),
        (3, "same"),
        (4, "wrong"),
    ]
    refused = await rest("POST", path, {"csv": text}, by=INSTRUCTOR)
    assert (refused.status, refused.field) == (400, "csv")
    written = await rest("POST", path, {"csv": text, "skip_wrong": True}, by=INSTRUCTOR)
    assert (written.body["written"], written.body["add"]) == (True, 1)
    members = (await rest("GET", "projects/ml101/members")).body["members"]
    assert [member["user"] for member in members] == ["ann", "bob", "new1", "tess"]


async def test_a_stale_version_is_a_conflict(rest: RestClient) -> None:
    first = await rest("PATCH", "projects/ml101", {"title": "a", "version": 1})
    assert (first.status, first.body["version"]) == (200, 2)
    stale = await rest("PATCH", "projects/ml101", {"title": "b", "version": 1})
    assert (stale.status, stale.field) == (409, "version")
    assert (await rest("GET", "projects/ml101")).body["title"] == "a"


async def test_lowering_below_what_is_held_warns(site: Site, rest: RestClient) -> None:
    with site.database.transaction() as db:
        book(db, "gpu-1", {0: 1000, 1: 1000}, project="ml101")
    answer = await rest("PATCH", "projects/ml101", {"limit": {"fgpu": 1}})
    (warning,) = answer.body["warnings"]
    assert "holds 2 fGPU, above its limit of 1 fGPU. Nothing is stopped" in warning


async def test_the_audit_log_shows_each_what_he_may_read(rest: RestClient) -> None:
    await rest("PATCH", "projects/ml101", {"title": "ML"}, by=INSTRUCTOR)
    await rest("PATCH", "projects/dept", {"title": "Dept"})
    log = (await rest("GET", "audit")).body["entries"]
    assert [(entry["by"], entry["subject"]) for entry in log[:2]] == [
        ("root", "dept"),
        ("tess", "ml101"),
    ]
    assert (log[1]["before"], log[1]["after"]) == ({"title": ""}, {"title": "ML"})
    theirs = (await rest("GET", "audit", by=INSTRUCTOR)).body["entries"]
    assert {entry["project"] for entry in theirs} == {"ml101"}
    assert (await rest("GET", "audit?project=dept", by=INSTRUCTOR)).body["entries"] == []
    for who in (MEMBER, STRANGER):
        assert (await rest("GET", "audit", by=who)).status == 403
    by_tess = (await rest("GET", "audit?by=tess&action=project.change")).body["entries"]
    assert [entry["subject"] for entry in by_tess] == ["ml101"]


async def test_the_audit_log_comes_in_pages(rest: RestClient) -> None:
    whole = (await rest("GET", "audit")).body["entries"]
    pages, after = [], ""
    while True:
        body = (await rest("GET", f"audit?limit=2{after}")).body
        pages += body["entries"]
        if body["after"] is None:
            break
        after = f"&after={body['after']}"
    assert pages == whole


async def test_a_body_that_is_none_is_refused_everywhere(rest: RestClient) -> None:
    for method, path in (
        ("POST", "projects"),
        ("PATCH", "projects/ml101"),
        ("POST", "projects/ml101/members"),
        ("POST", "projects/ml101/members/import"),
        ("PATCH", "projects/ml101/members/ann"),
    ):
        for body in ([], "x", 1, {"no_such_field": 1}, {"user": "\ud800"}):
            answer = await rest(method, path, body)
            assert answer.status == 400, (path, body, answer)
            assert answer.body["error"]["message"]


async def test_a_user_that_cannot_be_is_not_found(rest: RestClient) -> None:
    for user in ("%00", "a%20b", "a%2Fb", "x" * 300, "nobody"):
        answer = await rest("DELETE", f"projects/ml101/members/{user}")
        assert answer.status == 404, user

"""Who is in a project: the list of members, groups of the hub, lists of a registrar."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import select

from hub_ext.db.models import AuditRow, SessionRow
from hub_ext.errors import BadValue, Conflict, Forbidden, NotFound
from hub_ext.nodes import inventory
from hub_ext.projects.held import held_reasons
from hub_ext.projects.limits import limits_of
from hub_ext.projects.member_list import MAX_LINES, doubts, read_member_list
from hub_ext.projects.membership import Role, roles_of
from hub_ext.projects.permissions import By
from hub_ext.sessions.queue import Queue
from hub_ext.site import Site

from .booked_rows import book
from .project_rows import add_session

ROOT = By("root", Role.ADMIN)
TEACHER = By("tess", Role.INSTRUCTOR)
STUDENT = By("ann", Role.MEMBER)


@pytest.fixture
def course(site: Site) -> Site:
    """dept > ml101, where tess is the instructor and at most two sessions run for each."""
    site.projects.create("dept", {}, by=ROOT)
    site.projects.create("ml101", {"parent": "dept", "member_limits": {"max_sessions": 2}}, by=ROOT)
    site.projects.roster.add("ml101", "tess", Role.INSTRUCTOR, {}, by=ROOT)
    return site


def roles(site: Site, user: str, *groups: str, admin: bool = False) -> dict[str, str]:
    with site.database.transaction() as db:
        return dict(roles_of(db, site.policy, user, groups, admin))


def listed(site: Site, project: str = "ml101") -> dict[str, str]:
    return {row.user: row.role for row in site.projects.roster.members(project)}


def audited(site: Site) -> list[tuple[str, str]]:
    with site.database.transaction() as db:
        rows = db.scalars(select(AuditRow).order_by(AuditRow.id)).all()
    return [(row.action, row.subject) for row in rows]


def held(site: Site) -> dict[str, str]:
    """What keeps waiting sessions from starting, whatever is free."""
    with site.database.transaction() as db:
        rows = db.scalars(select(SessionRow).where(SessionRow.status == "PENDING")).all()
        reasons = held_reasons(db, site.policy, time.time(), rows)
    return {key: reason.message for key, reason in reasons.items()}


def test_everybody_is_a_member_of_what_is_open_to_all(course: Site) -> None:
    assert roles(course, "ann") == {"default": "member"}


def test_an_instructor_looks_after_all_projects_below(course: Site) -> None:
    course.projects.create("ml102", {"parent": "ml101"}, by=ROOT)
    assert roles(course, "tess") == {
        "default": "member",
        "ml101": "instructor",
        "ml102": "instructor",
    }


def test_a_member_of_a_parent_is_no_member_below_it(course: Site) -> None:
    course.projects.roster.add("dept", "ann", Role.MEMBER, {}, by=ROOT)
    assert roles(course, "ann") == {"default": "member", "dept": "member"}


def test_groups_of_the_hub_make_members_and_instructors(course: Site) -> None:
    assert roles(course, "ann", "course-ml101")["ml101"] == "member"
    assert roles(course, "ann", "course-ml101-instructors")["ml101"] == "instructor"
    assert roles(course, "ann", "ml101", "course-ML101") == {"default": "member"}
    assert roles(course, "ann", "course-dept-instructors")["ml101"] == "instructor"


def test_the_higher_of_two_roles_counts(course: Site) -> None:
    assert roles(course, "tess", "course-ml101")["ml101"] == "instructor"


def test_an_admin_is_admin_of_all_that_is_not_archived(course: Site) -> None:
    course.projects.archive("ml101", by=ROOT)
    assert roles(course, "root", admin=True) == {"default": "admin", "dept": "admin"}
    assert roles(course, "tess") == {"default": "member"}


def test_own_limits_of_a_member_go_before_those_of_the_project(course: Site) -> None:
    own = {"max_sessions": 5, "max_lifetime_s": None}
    member = course.projects.roster.add("ml101", "ann", Role.MEMBER, own, by=ROOT)
    project = course.projects.get("ml101")
    assert limits_of(project, member).max_sessions == 5
    assert limits_of(project, None).max_sessions == 2
    course.projects.change("ml101", {"member_limits": {"max_lifetime_s": 3600}}, by=ROOT)
    project = course.projects.get("ml101")
    assert limits_of(project, member).max_lifetime_s is None
    assert limits_of(project, None).max_lifetime_s == 3600


def test_an_instructor_lists_members_but_names_no_instructor(course: Site) -> None:
    roster = course.projects.roster
    roster.add("ml101", "ann", Role.MEMBER, {}, by=TEACHER)
    refused = [
        lambda: roster.add("ml101", "bob", Role.INSTRUCTOR, {}, by=TEACHER),
        lambda: roster.change("ml101", "ann", role=Role.INSTRUCTOR, by=TEACHER),
        lambda: roster.change("ml101", "tess", role=Role.MEMBER, by=TEACHER),
        lambda: roster.remove("ml101", "tess", by=TEACHER),
        lambda: roster.add("ml101", "bob", Role.MEMBER, {}, by=STUDENT),
        lambda: roster.remove("ml101", "ann", by=STUDENT),
        lambda: roster.import_list("ml101", "bob", by=STUDENT),
    ]
    before = audited(course)
    for act in refused:
        with pytest.raises(Forbidden):
            act()
    assert listed(course) == {"ann": "member", "tess": "instructor"}
    assert audited(course) == before


def test_an_instructor_gives_nobody_more_than_the_project_allows(course: Site) -> None:
    roster = course.projects.roster
    roster.add("ml101", "ann", Role.MEMBER, {"max_sessions": 1, "max_pending": 9}, by=TEACHER)
    for limits, field in [
        ({"max_sessions": 3}, "limits.max_sessions"),
        ({"max_sessions": None}, "limits.max_sessions"),
        ({"max_priority": 1}, "limits.max_priority"),
    ]:
        with pytest.raises(Forbidden) as refusal:
            roster.change("ml101", "ann", limits=limits, by=TEACHER)
        assert refusal.value.field == field
    assert roster.members("ml101")[0].limits == {"max_sessions": 1, "max_pending": 9}


def test_an_instructor_gives_one_member_more_than_the_rest_within_the_admins_bound(
    course: Site,
) -> None:
    course.projects.change("ml101", {"member_limits": {"max_sessions": 1}}, by=TEACHER)
    roster = course.projects.roster
    ann = roster.add("ml101", "ann", Role.MEMBER, {"max_sessions": 2}, by=TEACHER)
    assert limits_of(course.projects.get("ml101"), ann).max_sessions == 2
    with pytest.raises(Forbidden, match="max_sessions: 3 is above 2"):
        roster.change("ml101", "ann", limits={"max_sessions": 3}, by=TEACHER)


def test_what_an_admin_granted_a_member_an_instructor_may_keep_or_take(course: Site) -> None:
    roster = course.projects.roster
    roster.add("ml101", "ann", Role.MEMBER, {"max_sessions": 8}, by=ROOT)
    kept = roster.change("ml101", "ann", limits={"max_sessions": 8, "max_pending": 1}, by=TEACHER)
    assert kept.limits == {"max_sessions": 8, "max_pending": 1}
    assert roster.change("ml101", "ann", limits={}, by=TEACHER).limits == {}
    with pytest.raises(Forbidden):
        roster.change("ml101", "ann", limits={"max_sessions": 8}, by=TEACHER)


def test_a_bad_limit_of_a_member_is_refused_by_its_field(course: Site) -> None:
    with pytest.raises(BadValue) as refusal:
        course.projects.roster.add("ml101", "ann", Role.MEMBER, {"idle_s": 1}, by=ROOT)
    assert refusal.value.field == "limits.idle_s"
    assert "ann" not in listed(course)


def test_nobody_is_listed_twice(course: Site) -> None:
    with pytest.raises(Conflict, match="tess is already listed"):
        course.projects.roster.add("ml101", "tess", Role.MEMBER, {}, by=ROOT)


def test_who_is_not_listed_is_neither_changed_nor_removed(course: Site) -> None:
    for act in (course.projects.roster.change, course.projects.roster.remove):
        with pytest.raises(NotFound):
            act("ml101", "zoe", by=ROOT)


async def test_removing_somebody_tells_of_his_sessions_and_leaves_them(course: Site) -> None:
    await inventory.refresh(course)
    course.projects.roster.add("ml101", "ann", Role.MEMBER, {}, by=ROOT)
    with course.database.transaction() as db:
        runs = book(db, "gpu-1", {0: 500}, project="ml101", user="ann").id
        waits = add_session(db, "ml101").id
    before = audited(course)
    course.projects.roster.remove("ml101", "ann", by=TEACHER, dry_run=True)
    assert (listed(course)["ann"], audited(course)) == ("member", before)
    assert held(course) == {}
    removal = course.projects.roster.remove("ml101", "ann", by=TEACHER)
    assert (removal.running, removal.waiting, removal.stays_as) == (1, 1, None)
    assert course.store.get(runs).status == "RUNNING"
    assert course.store.get(waits).status == "PENDING"
    assert audited(course)[-1] == ("member.remove", "ann")
    told = course.store.history(waits)[-1]
    assert (told.by, told.code) == ("tess", "not_member")


async def test_a_removed_members_waiting_sessions_are_held_until_he_is_back(course: Site) -> None:
    await inventory.refresh(course)
    course.projects.roster.add("ml101", "ann", Role.MEMBER, {}, by=ROOT)
    with course.database.transaction() as db:
        waits, elsewhere = add_session(db, "ml101"), add_session(db, "default")
        runs = book(db, "gpu-1", {0: 500}, project="ml101", user="ann")
        add_session(db, "ml101", user="bob")
    course.projects.roster.remove("ml101", "ann", by=TEACHER)
    sentence = "ann was taken off the list of members of project ml101."
    assert held(course) == {waits.id: sentence}
    Queue(course).pass_once()
    assert course.store.get(waits.id).reason_message == sentence
    assert course.store.get(elsewhere.id).status == "SCHEDULED"
    with course.database.transaction() as db:  # a running one is reclaimed
        db.get(SessionRow, runs.id).status = "PENDING"  # type: ignore[union-attr]
    assert set(held(course)) == {waits.id, runs.id}
    course.projects.roster.import_list("ml101", "ann", by=TEACHER)
    assert held(course) == {}


def test_who_may_use_the_project_all_the_same_waits_as_before(course: Site) -> None:
    roster = course.projects.roster
    roster.add("ml101", "ann", Role.MEMBER, {}, by=ROOT)
    roster.add("dept", "ann", Role.INSTRUCTOR, {}, by=ROOT)
    with course.database.transaction() as db:
        row = add_session(db, "ml101")
    assert roster.remove("ml101", "ann", by=ROOT).stays_as is Role.INSTRUCTOR
    assert not course.store.get(row.id).dismissed
    course.projects.change("dept", {"open_to_all": True}, by=ROOT)
    assert roster.remove("dept", "ann", by=ROOT).stays_as is Role.MEMBER


def test_a_list_adds_changes_and_leaves_the_rest(course: Site) -> None:
    roster = course.projects.roster
    roster.add("ml101", "ann", Role.MEMBER, {"max_sessions": 1}, by=ROOT)
    text = "\ufeffuser,role\r\nann,instructor\r\n\r\n# a comment\r\nbob\r\ntess;Instructor\r\n"
    outcomes = roster.import_list("ml101", text, by=ROOT)
    assert [(o.line.number, o.line.user, o.result) for o in outcomes] == [
        (2, "ann", "change"),
        (5, "bob", "add"),
        (6, "tess", "same"),
    ]
    assert listed(course) == {"ann": "instructor", "bob": "member", "tess": "instructor"}
    assert roster.members("ml101")[0].limits == {"max_sessions": 1}
    assert audited(course)[-2:] == [("member.change", "ann"), ("member.add", "bob")]


def test_a_preview_writes_nothing(course: Site) -> None:
    told: list[str] = []
    course.projects.listen(lambda: told.append("changed"))
    before = audited(course)
    outcomes = course.projects.roster.import_list("ml101", "ann\nbo b", by=ROOT, dry_run=True)
    assert [outcome.result for outcome in outcomes] == ["add", "wrong"]
    assert (listed(course), audited(course), told) == ({"tess": "instructor"}, before, [])


def test_one_wrong_line_stops_the_whole_list_unless_it_may_be_skipped(course: Site) -> None:
    text = "ann\nbob,boss\ncid,member,extra\nann\ndan"
    roster = course.projects.roster
    with pytest.raises(BadValue) as refusal:
        roster.import_list("ml101", text, by=ROOT)
    assert refusal.value.field == "csv"
    for part in ("3 of 5 lines are wrong", "Line 2: 'boss'", "Line 3:", "already in line 1"):
        assert part in refusal.value.message
    assert listed(course) == {"tess": "instructor"}
    roster.import_list("ml101", text, by=ROOT, skip_wrong=True)
    assert listed(course) == {"ann": "member", "dan": "member", "tess": "instructor"}


def test_a_list_of_an_instructor_names_and_dismisses_no_instructor(course: Site) -> None:
    outcomes = course.projects.roster.import_list(
        "ml101", "ann,instructor\ntess,member\nbob", by=TEACHER, skip_wrong=True
    )
    assert [outcome.result for outcome in outcomes] == ["wrong", "wrong", "add"]
    assert listed(course) == {"bob": "member", "tess": "instructor"}


def test_a_list_that_names_nobody_or_too_many_is_refused() -> None:
    for text in ("", "\n\n", "user,role", "# nobody"):
        with pytest.raises(BadValue, match="empty"):
            read_member_list(text)
    with pytest.raises(BadValue, match="5001 lines"):
        read_member_list("\n".join(f"u{number}" for number in range(MAX_LINES + 1)))


def test_names_with_capitals_raise_a_doubt() -> None:
    assert doubts(["ann", "bob@example.org"]) == []
    (sentence,) = doubts(["Ann", "bob"])
    assert "Ann" in sentence
    assert "bob" not in sentence

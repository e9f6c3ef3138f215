"""Projects in the database: what is refused, what is written down, who is told."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, select

from hub_ext.db.models import AuditRow, MemberRow, PresetRow, ProjectRow
from hub_ext.errors import ApportionError, BadValue, Conflict, Forbidden, NotFound
from hub_ext.nodes import inventory
from hub_ext.projects.body import ProjectChange, columns, read_body
from hub_ext.projects.limits import limits_of
from hub_ext.projects.membership import Role
from hub_ext.projects.permissions import By
from hub_ext.projects.tree import MAX_DEPTH
from hub_ext.site import Site

from .booked_rows import book
from .project_rows import add_session

ROOT = By("root", Role.ADMIN)
TEACHER = By("tess", Role.INSTRUCTOR)


@pytest.fixture
def told(site: Site) -> list[str]:
    """One entry for each time that a change was announced."""
    calls: list[str] = []
    site.projects.listen(lambda: calls.append("changed"))
    return calls


def create(site: Site, name: str, **body: Any) -> ProjectRow:
    values = columns(read_body(ProjectChange, body), site.policy.unit)
    return site.projects.create(name, values, by=ROOT).row


def change(site: Site, name: str, body: dict[str, Any], by: By = ROOT) -> Any:
    values = columns(read_body(ProjectChange, body), site.policy.unit)
    return site.projects.change(name, values, by=by, version=body.get("version"))


def tables(site: Site) -> list[dict[str, Any]]:
    """Everything that a change could touch."""
    with site.database.transaction() as db:
        rows = [
            *db.scalars(select(ProjectRow).order_by(ProjectRow.name)),
            *db.scalars(select(MemberRow).order_by(MemberRow.project, MemberRow.user)),
            *db.scalars(select(AuditRow).order_by(AuditRow.id)),
        ]
        return [
            {column.name: getattr(row, column.name) for column in row.__table__.columns}
            for row in rows
        ]


def audit(site: Site) -> list[AuditRow]:
    with site.database.transaction() as db:
        return list(db.scalars(select(AuditRow).order_by(AuditRow.id)))


def test_the_first_project_is_there_open_and_without_bounds(site: Site) -> None:
    row = site.projects.get("default")
    assert row.open_to_all
    assert (row.quota_gpu_milli, row.limit_gpu_milli) == (-1, -1)


def test_a_project_is_stored_in_integers_of_physical_devices(site: Site) -> None:
    row = create(
        site,
        "ml101",
        quota={"fgpu": "1.5", "cpu": 2.5, "memory_mib": 4096},
        limit={"fgpu": 2, "cpu": -1},
        weight={"fgpu": 3},
        member_limits={"max_fgpu": 0.5, "max_sessions": 2},
    )
    assert (row.quota_gpu_milli, row.quota_cpu_milli, row.quota_memory_mib) == (1500, 2500, 4096)
    assert (row.limit_gpu_milli, row.limit_cpu_milli, row.limit_memory_mib) == (2000, -1, -1)
    assert (row.weight_gpu, row.weight_cpu) == (3.0, None)
    assert row.member_limits == {"max_gpu_milli": 500, "max_sessions": 2}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"quota": {"fgpu": 0.15}}, "quota.fgpu"),
    ({"quota": {"fgpu": -2}}, "quota.fgpu"),
    ({"quota": {"fgpu": float("nan")}}, "quota.fgpu"),
    ({"limit": {"fgpu": float("inf")}}, "limit.fgpu"),
    ({"limit": {"fgpu": True}}, "limit.fgpu"),
    ({"limit": {"fgpu": [1]}}, "limit.fgpu"),
    ({"quota": {"cpu": 0.0001}}, "quota.cpu"),
    ({"quota": {"cpu": float("inf")}}, "quota.cpu"),
    ({"quota": {"memory_mib": 2**31}}, "quota.memory_mib"),
    ({"quota": {"memory_mib": 1.5}}, "quota.memory_mib"),
    ({"quota": {"fgpu": 3}, "limit": {"fgpu": 2}}, "quota.fgpu"),
    ({"limit": {"cpu": 1}}, "quota.cpu"),
    ({"weight": {"cpu": -1}}, "weight.cpu"),
    ({"weight": {"fgpu": 1e300}}, "weight.fgpu"),
    ({"priority": 1001}, "priority"),
    ({"reclaim_min_runtime_s": -1}, "reclaim_min_runtime_s"),
    ({"preempt_min_runtime_s": float("nan")}, "preempt_min_runtime_s"),
    ({"valid_from": 20, "valid_until": 20}, "valid_until"),
    ({"hours": [{"from": "25:00", "until": "26:00"}]}, "hours.0.from"),
    ({"quota_hours": [{"from": "08:00", "until": "18:00"}]}, "quota_hours.0"),
    ({"quota_hours": [{"from": "8:00", "until": "18:00", "fgpu": 9}]}, "quota_hours.0.fgpu"),
    (
        {"quota_hours": [{"from": "8:00", "until": "18:00", "gpu_milli": 1}]},
        "quota_hours.0.gpu_milli",
    ),
    ({"images": []}, "images"),
    ({"presets": ["gpu", "huge"]}, "presets.1"),
    ({"resource_groups": ["nowhere"]}, "resource_groups.0"),
    ({"kinds": ["gaming"]}, "kinds.0"),
    ({"budget_fgpu_h": -5}, "budget_fgpu_h"),
    ({"member_limits": {"max_sessions": -2}}, "member_limits.max_sessions"),
    ({"member_limits": {"max_fgpu": 0.05}}, "member_limits.max_fgpu"),
    ({"member_limits": {"idle_s": 5}}, "member_limits.idle_s"),
    ({"member_limits": {"max_priority": 101}}, "member_limits.max_priority"),
    ({"member_limits": {"max_cats": 1}}, "member_limits.max_cats"),
    ({"title": "two\nlines"}, "title"),
    ({"title": None}, "title"),
    ({"description": "\x00"}, "description"),
    ({"parent": "nobody"}, "parent"),
    ({"parent": "gone"}, "parent"),
    ({"parent": "ml101"}, "parent"),
    ({"parent": "below"}, "parent"),
    ({"colour": "red"}, "colour"),
]


@pytest.fixture
def tree(site: Site) -> Site:
    """ml101 with a project below it, and an archived one."""
    create(site, "ml101", quota={"fgpu": 1, "cpu": 2}, limit={"fgpu": 2})
    create(site, "below", parent="ml101")
    create(site, "gone")
    site.projects.archive("gone", by=ROOT)
    return site


def test_a_wrong_value_is_refused_by_its_field_and_changes_nothing(
    tree: Site, told: list[str]
) -> None:
    before = tables(tree)
    for body, field in WRONG:
        with pytest.raises(BadValue) as refusal:
            change(tree, "ml101", {"title": "New", **body})
        assert refusal.value.field == field, body
        assert tables(tree) == before, body
    assert told == []


def test_a_name_that_is_none_is_refused(site: Site) -> None:
    before = tables(site)
    for name in ("", ".hidden", "a b", "a/b", "x" * 65, "é", "a\n", "ml-instructors"):
        with pytest.raises(BadValue) as refusal:
            create(site, name)
        assert refusal.value.field == "name", name
    assert tables(site) == before


def test_a_name_is_taken_even_by_an_archived_project(tree: Site) -> None:
    with pytest.raises(Conflict, match="archived; restore it"):
        create(tree, "gone")


def test_a_tree_does_not_grow_beyond_its_depth_by_adding_or_by_moving(site: Site) -> None:
    parent = None
    for level in range(1, MAX_DEPTH + 1):
        create(site, f"level{level}", **({"parent": parent} if parent else {}))
        parent = f"level{level}"
    with pytest.raises(BadValue, match="11 levels"):
        create(site, "deeper", parent=parent)
    create(site, "top")
    with pytest.raises(BadValue, match="11 levels"):
        change(site, "level1", {"parent": "top"})
    change(site, "level2", {"parent": "top"})
    assert [row.name for row in site.projects.tree()][:3] == ["default", "level1", "top"]


def test_what_is_not_named_stays_as_it_is(site: Site) -> None:
    create(
        site,
        "ml101",
        quota={"fgpu": 1, "cpu": 2},
        member_limits={"max_sessions": 2, "max_pending": 5},
    )
    row = change(site, "ml101", {"quota": {"fgpu": 2}, "member_limits": {"max_pending": -1}}).row
    assert (row.quota_gpu_milli, row.quota_cpu_milli) == (2000, 2000)
    assert row.member_limits == {"max_sessions": 2, "max_pending": None}
    assert change(site, "ml101", {"member_limits": {}}).row.member_limits["max_sessions"] == 2
    row = change(site, "ml101", {"quota": None, "member_limits": None}).row
    assert (row.quota_gpu_milli, row.quota_cpu_milli) == (-1, -1)
    assert row.member_limits == {}


def test_two_who_change_the_same_version_do_not_overwrite_each_other(site: Site) -> None:
    version = create(site, "ml101").version
    change(site, "ml101", {"title": "Mine", "version": version})
    before = tables(site)
    with pytest.raises(Conflict, match="at version 2, not 1") as refusal:
        change(site, "ml101", {"title": "Yours", "version": version})
    assert refusal.value.field == "version"
    assert tables(site) == before


def test_each_change_is_in_the_audit_log_with_from_and_to(site: Site, told: list[str]) -> None:
    create(site, "ml101", quota={"fgpu": 1})
    change(site, "ml101", {"quota": {"fgpu": 2}, "title": "Machine learning"})
    site.projects.archive("ml101", by=ROOT)
    site.projects.restore("ml101", by=ROOT)
    rows = audit(site)
    assert [row.action for row in rows] == [
        "project.create",
        "project.change",
        "project.archive",
        "project.restore",
    ]
    assert {(row.by, row.subject, row.project) for row in rows} == {("root", "ml101", "ml101")}
    assert rows[1].before == {"quota_gpu_milli": 1000, "title": ""}
    assert rows[1].after == {"quota_gpu_milli": 2000, "title": "Machine learning"}
    assert len(told) == 4


def test_a_change_that_changes_nothing_leaves_no_trace(site: Site, told: list[str]) -> None:
    create(site, "ml101", quota={"fgpu": 1})
    before = tables(site)
    assert change(site, "ml101", {"quota": {"fgpu": 1}}).row.version == 1
    assert tables(site) == before
    assert len(told) == 1


def test_listeners_find_the_change_committed(site: Site) -> None:
    seen = []
    site.projects.listen(lambda: seen.append([row.name for row in site.projects.tree()]))
    create(site, "ml101")
    assert seen == [["default", "ml101"]]


async def test_lowering_below_what_is_held_is_done_and_says_that_nothing_stops(
    site: Site,
) -> None:
    await inventory.refresh(site)
    create(site, "dept", limit={"fgpu": 4})
    create(site, "ml101", parent="dept")
    with site.database.transaction() as db:
        book(db, "gpu-1", {0: 1000, 1: 500}, project="ml101")
    warnings = change(site, "dept", {"limit": {"fgpu": 1}, "quota": {"fgpu": 0.5}}).warnings
    assert warnings == [
        "Project dept holds 1.5 fGPU, above its quota of 0.5 fGPU."
        " Nothing is stopped by this change.",
        "Project dept holds 1.5 fGPU, above its limit of 1 fGPU."
        " Nothing is stopped by this change.",
    ]
    assert site.projects.get("dept").limit_gpu_milli == 1000
    assert change(site, "dept", {"limit": {"fgpu": 2}}).warnings == []


async def test_moving_below_a_limit_that_is_too_low_says_so(site: Site) -> None:
    await inventory.refresh(site)
    create(site, "dept", limit={"fgpu": 1})
    create(site, "ml101")
    with site.database.transaction() as db:
        book(db, "gpu-1", {0: 1000, 1: 500}, project="ml101")
    (warning,) = change(site, "ml101", {"parent": "dept"}).warnings
    assert "Project dept holds 1.5 fGPU, above its limit of 1 fGPU." in warning


async def test_lowering_a_limit_tells_of_waiting_sessions_that_never_start(site: Site) -> None:
    await inventory.refresh(site)
    create(site, "dept")
    create(site, "ml101", parent="dept")
    create(site, "nlp")
    with site.database.transaction() as db:
        for project, fgpu in (("dept", 2), ("ml101", 2), ("ml101", 1), ("nlp", 2)):
            add_session(db, project, gpu_milli=1000 * fgpu, memory_mib=4096)
    assert change(site, "dept", {"limit": {"fgpu": 2}}).warnings == []
    assert change(site, "dept", {"limit": {"fgpu": 1, "cpu": 1}}).warnings == [
        "2 waiting sessions ask for more than the limit of 1 fGPU of project dept;"
        " they will not start."
    ]
    assert change(site, "nlp", {"limit": {"memory_mib": 1024}, "parent": "dept"}).warnings == [
        "1 waiting session asks for more than the limit of 1024 MiB of project nlp;"
        " it will not start.",
        "1 waiting session asks for more than the limit of 1 fGPU of project dept;"
        " it will not start.",
    ]


async def test_a_project_in_use_is_not_archived(tree: Site) -> None:
    await inventory.refresh(tree)
    with tree.database.transaction() as db:
        book(db, "gpu-1", {0: 500}, project="below")
        book(db, "gpu-1", {0: 500}, project="below")
    for name, sentence in {
        "default": "cannot be archived",
        "below": "has 2 live sessions",
        "ml101": r"has 1 project below it \(below\)",
        "gone": "is archived already",
    }.items():
        before = tables(tree)
        with pytest.raises(Conflict, match=sentence):
            tree.projects.archive(name, by=ROOT)
        assert tables(tree) == before


def test_an_archived_project_is_changed_only_after_it_was_restored(tree: Site) -> None:
    with pytest.raises(Conflict, match="restore it"):
        change(tree, "gone", {"title": "x"})
    with pytest.raises(Conflict, match="restore it"):
        tree.projects.roster.add("gone", "ann", Role.MEMBER, {}, by=ROOT)
    tree.projects.restore("gone", by=ROOT)
    assert change(tree, "gone", {"title": "Back"}).row.title == "Back"
    with pytest.raises(Conflict, match="not archived"):
        tree.projects.restore("gone", by=ROOT)


def test_a_project_is_restored_after_its_parent(tree: Site) -> None:
    tree.projects.archive("below", by=ROOT)
    tree.projects.archive("ml101", by=ROOT)
    with pytest.raises(Conflict, match="parent ml101 is archived"):
        tree.projects.restore("below", by=ROOT)
    tree.projects.restore("ml101", by=ROOT)
    assert tree.projects.restore("below", by=ROOT).parent == "ml101"


def test_a_preset_that_was_removed_does_not_block_other_changes(site: Site) -> None:
    create(site, "ml101", presets=["gpu", "cpu"])
    with site.database.transaction() as db:
        db.execute(delete(PresetRow).where(PresetRow.name == "gpu"))
    assert change(site, "ml101", {"title": "Still"}).row.presets == ["gpu", "cpu"]


def test_an_unknown_project_is_not_found(site: Site) -> None:
    for act in (
        lambda: site.projects.get("nothing"),
        lambda: change(site, "nothing", {"title": "x"}),
        lambda: site.projects.archive("nothing", by=ROOT),
        lambda: site.projects.restore("nothing", by=ROOT),
    ):
        with pytest.raises(NotFound):
            act()


@pytest.fixture
def bounded(site: Site) -> Site:
    """An admin allows ml101, below dept, at most 3 sessions of 1 fGPU each, and two presets."""
    create(site, "dept", images=["a", "b", "c"])
    create(
        site,
        "ml101",
        parent="dept",
        presets=["cpu", "gpu"],
        member_limits={"max_sessions": 3, "max_fgpu": 1},
    )
    return site


def test_an_instructor_lowers_and_narrows_and_takes_it_back(bounded: Site) -> None:
    lower = {
        "title": "ML",
        "images": ["a", "b"],
        "presets": ["cpu"],
        "member_limits": {"max_sessions": 1, "max_pending": 4},
    }
    row = change(bounded, "ml101", lower, by=TEACHER).row
    assert (row.images, row.presets) == (["a", "b"], ["cpu"])
    assert row.member_limits == {"max_sessions": 1, "max_gpu_milli": 1000, "max_pending": 4}
    back = {"images": ["c"], "presets": ["gpu", "cpu"], "member_limits": {"max_sessions": 3}}
    row = change(bounded, "ml101", back, by=TEACHER).row
    assert (row.images, row.presets) == (["c"], ["gpu", "cpu"])
    assert row.member_limits == {"max_sessions": 3, "max_gpu_milli": 1000, "max_pending": 4}


def test_an_instructors_null_goes_back_to_what_the_admin_has_set(bounded: Site) -> None:
    lower = {
        "images": ["a"],
        "presets": ["cpu"],
        "member_limits": {"max_sessions": 1, "max_fgpu": 0.5, "max_pending": 4},
    }
    change(bounded, "ml101", lower, by=TEACHER)
    null = {
        "images": None,
        "presets": None,
        "member_limits": {"max_sessions": None, "max_pending": None},
    }
    changed = change(bounded, "ml101", null, by=TEACHER)
    assert (changed.row.images, changed.row.presets) == (None, ["cpu", "gpu"])
    limits = limits_of(changed.row, None)
    assert (limits.max_sessions, limits.max_gpu_milli, limits.max_pending) == (3, 500, None)
    assert changed.warnings == [
        "presets is cpu, gpu again, as an admin has set it.",
        "max_sessions is 3 again, as an admin has set it.",
    ]
    changed = change(bounded, "ml101", {"member_limits": None}, by=TEACHER)
    assert changed.row.member_limits == {"max_sessions": 3, "max_gpu_milli": 1000}
    assert changed.warnings == [
        "max_sessions is 3 again, as an admin has set it.",
        "max_fgpu is 1 fGPU again, as an admin has set it.",
    ]


BEYOND: list[tuple[dict[str, Any], str, str]] = [
    ({"images": ["a", "z"]}, "images", "chooses from a, b, c; only an admin allows z"),
    ({"presets": ["cpu", "gpu", "x"]}, "presets.2", "there is no x"),
    (
        {"member_limits": {"max_sessions": 4}},
        "member_limits.max_sessions",
        "max_sessions: 4 is above 3, the most that an admin allows",
    ),
    (
        {"member_limits": {"max_fgpu": 1.5}},
        "member_limits.max_fgpu",
        "max_fgpu: 1.5 fGPU is above 1 fGPU",
    ),
    ({"member_limits": {"max_priority": 1}}, "member_limits.max_priority", "1 is above 0"),
    ({"quota": {"fgpu": 8}}, "quota.fgpu", "Only an admin"),
    ({"hours": None}, "hours", "Only an admin"),
]


def test_an_instructor_never_goes_beyond_what_the_admin_has_set(bounded: Site) -> None:
    change(bounded, "ml101", {"presets": ["cpu"], "member_limits": {"max_sessions": 2}}, by=TEACHER)
    for body, field, sentence in BEYOND:
        before = tables(bounded)
        with pytest.raises((Forbidden, BadValue), match=sentence) as refusal:
            change(bounded, "ml101", {"description": "x", **body}, by=TEACHER)
        assert refusal.value.field == field
        assert tables(bounded) == before


def test_what_an_admin_lowers_the_instructors_value_follows(bounded: Site) -> None:
    change(bounded, "ml101", {"presets": ["cpu"], "member_limits": {"max_sessions": 2}}, by=TEACHER)
    lower = {"presets": ["gpu"], "member_limits": {"max_sessions": 1, "max_fgpu": 0.5}}
    changed = change(bounded, "ml101", lower)
    assert changed.row.presets == ["gpu"]
    assert changed.row.member_limits == {"max_sessions": 1, "max_gpu_milli": 500}
    assert changed.warnings == [
        "An instructor had set presets to cpu; it is gpu now.",
        "An instructor had set max_sessions to 2; it is 1 now.",
    ]
    with pytest.raises(Forbidden, match="2 is above 1"):
        change(bounded, "ml101", {"member_limits": {"max_sessions": 2}}, by=TEACHER)


def test_the_audit_log_has_the_bound_beside_the_value(bounded: Site) -> None:
    change(bounded, "ml101", {"member_limits": {"max_sessions": 2}}, by=TEACHER)
    change(bounded, "ml101", {"member_limits": {"max_sessions": 1}})
    by_teacher, by_admin = audit(bounded)[-2:]
    three, two, one = ({"max_sessions": n, "max_gpu_milli": 1000} for n in (3, 2, 1))
    assert (by_teacher.before, by_teacher.after) == (
        {"member_limits": three},
        {"member_limits": two},
    )
    assert by_admin.before == {"member_limits": two, "bounds.member_limits": three}
    assert by_admin.after == {"member_limits": one, "bounds.member_limits": one}


def test_an_admin_who_leaves_a_limit_alone_leaves_what_the_instructor_made_of_it(
    bounded: Site,
) -> None:
    change(bounded, "ml101", {"member_limits": {"max_sessions": 2}}, by=TEACHER)
    changed = change(bounded, "ml101", {"title": "x", "member_limits": {"max_pending": 9}})
    assert changed.row.member_limits["max_sessions"] == 2
    assert changed.row.bounds["member_limits"]["max_sessions"] == 3
    assert changed.warnings == []


def test_a_parent_bounds_what_an_instructor_allows_below_it(site: Site) -> None:
    create(site, "dept", images=["a", "b"])
    create(site, "ml101", parent="dept")
    with pytest.raises(Forbidden, match="chooses from a, b; only an admin allows z"):
        change(site, "ml101", {"images": ["a", "z"]}, by=TEACHER)
    assert change(site, "ml101", {"images": ["b"]}, by=TEACHER).row.images == ["b"]


def test_every_refusal_is_one_that_the_api_can_tell(site: Site) -> None:
    with pytest.raises(ApportionError):
        site.projects.create("ml101", {"no_column": 1}, by=ROOT)

"""What is refused at once, with which words; what may wait; which project is chosen."""

from __future__ import annotations

from dataclasses import replace
from time import time
from typing import Any

import pytest
from sqlalchemy.orm import Session

from hub_ext.errors import ApportionError, BadValue, Forbidden, OverLimit
from hub_ext.fgpu import FgpuUnit
from hub_ext.projects.admission import Admission, Ask, admit, launch_project
from hub_ext.projects.shares import scheduler_projects
from hub_ext.scheduling import model, schedule
from hub_ext.site import Site
from tests.service.project_rows import HOUR, add_member, add_project, add_run, add_session

ASK = Ask(
    user="ann",
    groups=frozenset(),
    admin=False,
    project="ml101",
    image="apportion/base:test",
    preset=None,
    kind="interactive",
    demand=model.Demand(1000, 2000, 4096),
    preemptible=False,
    priority=0,
    count=1,
    lifetime_s=None,
)


def add_course(db: Session, **columns: Any) -> None:
    """ml101, with ann in it."""
    add_project(db, "ml101", **columns)
    add_member(db, "ml101", "ann")


def refused(db: Session, site: Site, **asks: Any) -> ApportionError:
    with pytest.raises(ApportionError) as caught:
        admit(db, site, replace(ASK, **asks))
    return caught.value


def test_an_admitted_session_gets_the_projects_lifetime_and_groups(site: Site) -> None:
    with site.database.transaction() as db:
        add_project(db, "dept", resource_groups=["a100", "old"])
        add_course(
            db, parent="dept", resource_groups=["old"], member_limits={"max_lifetime_s": 7200}
        )
        expected = Admission("ml101", 7200, frozenset({"old"}))
        assert admit(db, site, ASK) == expected
        assert admit(db, site, replace(ASK, lifetime_s=60)).lifetime_s == 60


@pytest.mark.parametrize(
    ("columns", "asks", "kind", "field", "sentence"),
    [
        (
            {"limit_gpu_milli": 4000},
            {"demand": model.Demand(6000, 1000, 1024), "preemptible": True},
            OverLimit,
            "fgpu",
            "Asks for 6.0 fGPU; project ml101 may never hold more than its limit of 4.0 fGPU.",
        ),
        (
            {"limit_cpu_milli": 1500},
            {},
            OverLimit,
            "cpu",
            "Asks for 2 CPU cores; project ml101 may never hold more than its limit of"
            " 1.5 CPU cores.",
        ),
        (
            {"limit_memory_mib": 4095},
            {},
            OverLimit,
            "memory_mib",
            "Asks for 4096 MiB of memory; project ml101 may never hold more than its limit of"
            " 4095 MiB of memory.",
        ),
        (
            {"quota_gpu_milli": 2000},
            {"demand": model.Demand(3000, 1000, 1024)},
            OverLimit,
            "preemptible",
            "Project ml101 has a quota of 2.0 fGPU: 3.0 fGPU can only be had over quota, so the"
            " session must say that it may be reclaimed.",
        ),
        (
            {"quota_gpu_milli": -1, "limit_gpu_milli": -1, "quota_cpu_milli": 0},
            {},
            OverLimit,
            "preemptible",
            "Project ml101 has a quota of 0 CPU cores: 2 CPU cores can only be had over quota, so"
            " the session must say that it may be reclaimed.",
        ),
        (
            {"member_limits": {"max_gpu_milli": 500}},
            {},
            OverLimit,
            "fgpu",
            "Asks for 1.0 fGPU; in project ml101 a session of yours may have at most 0.5 fGPU.",
        ),
        (
            {"member_limits": {"max_lifetime_s": 24 * 3600}},
            {"lifetime_s": 90 * 60},
            None,
            "",
            "",
        ),
        (
            {"member_limits": {"max_lifetime_s": 3600}},
            {"lifetime_s": 90 * 60},
            OverLimit,
            "lifetime_s",
            "Asks to run for 90 minutes; in project ml101 a session of yours may run for at most"
            " 1 hour.",
        ),
        (
            {},
            {"priority": 1},
            OverLimit,
            "priority",
            "Asks for priority 1; in project ml101 a session of yours may have at most 0.",
        ),
        ({"member_limits": {"max_priority": 10}}, {"priority": 10}, None, "", ""),
        ({}, {"priority": -100}, None, "", ""),
        (
            {},
            {"priority": -101},
            BadValue,
            "priority",
            "A priority is from -100 to 100, not -101.",
        ),
        (
            {"member_limits": {"max_sessions": 0}},
            {},
            OverLimit,
            "project",
            "Project ml101 lets you run 0 sessions at once; its instructor can change that.",
        ),
        (
            {"images": ["a:1", "b:1"]},
            {},
            Forbidden,
            "image",
            "Project ml101 does not allow the image apportion/base:test; choose a:1 or b:1.",
        ),
        (
            {"kinds": ["interactive"]},
            {"kind": "batch"},
            Forbidden,
            "kind",
            "Project ml101 does not allow the kind batch; choose interactive.",
        ),
        (
            {"presets": ["cpu", "half-gpu"]},
            {"preset": "gpu"},
            Forbidden,
            "preset",
            "Project ml101 does not allow the preset gpu; choose cpu or half-gpu.",
        ),
        (
            {"presets": ["cpu", "half-gpu"]},
            {},
            Forbidden,
            "preset",
            "Project ml101 wants a preset; choose cpu or half-gpu.",
        ),
        (
            {"presets": ["half-gpu"]},
            {"preset": "half-gpu"},
            Forbidden,
            "fgpu",
            "Asks for 1.0 fGPU; the preset half-gpu has 0.5 fGPU, and the project allows no more"
            " than its presets.",
        ),
        (
            {"presets": ["half-gpu"]},
            {"preset": "half-gpu", "demand": model.Demand(400, 2000, 4096)},
            None,
            "",
            "",
        ),
        ({"archived_at": 1.0}, {}, Forbidden, "project", "Project ml101 is archived."),
        (
            {"valid_until": 1727654400.0},
            {},
            Forbidden,
            "project",
            "The term of project ml101 ended on 2024-09-29.",
        ),
        (
            {"budget_gpu_h": 0.0},
            {},
            OverLimit,
            "project",
            "Project ml101 has used 0.0 of its budget of 0.0 fGPU-hours; ask for a larger one, or"
            " launch without a GPU.",
        ),
        ({"budget_gpu_h": 0.0}, {"demand": model.Demand(0, 1000, 1024)}, None, "", ""),
    ],
)
def test_what_can_never_run_is_refused_with_the_numbers(
    site: Site,
    columns: dict[str, Any],
    asks: dict[str, Any],
    kind: type[ApportionError] | None,
    field: str,
    sentence: str,
) -> None:
    with site.database.transaction() as db:
        add_course(db, **columns)
        if kind is None:
            assert admit(db, site, replace(ASK, **asks)).project == "ml101"
            return
        error = refused(db, site, **asks)
        assert (type(error), error.field, error.message) == (kind, field, sentence)


@pytest.mark.parametrize(
    ("columns", "asks"),
    [
        ({"limit_gpu_milli": 900}, {"preemptible": True}),
        ({"quota_gpu_milli": 900}, {}),
        ({"budget_gpu_h": 0.0}, {}),
        ({"images": ["b:1"]}, {}),
        ({"presets": ["cpu"]}, {"preset": "gpu"}),
        ({"kinds": ["batch"]}, {}),
        ({"valid_until": 1.0}, {}),
        ({"resource_groups": ["a100"]}, {}),
    ],
)
def test_what_a_department_forbids_its_courses_cannot_allow(
    site: Site, columns: dict[str, Any], asks: dict[str, Any]
) -> None:
    with site.database.transaction() as db:
        add_project(db, "dept", **columns)
        add_course(db, parent="dept", resource_groups=["old"])
        assert refused(db, site, **asks).message


@pytest.mark.parametrize(
    "columns",
    [
        {"hours": [{"days": ["mon"], "from": "00:00", "until": "00:01"}]},
        {"valid_from": time() + 1e6},
        {"quota_gpu_milli": 1000},
        {"limit_gpu_milli": 1000},
        {
            "quota_gpu_milli": 0,
            "quota_hours": [
                {"days": ["mon"], "from": "00:00", "until": "00:01", "gpu_milli": 1000}
            ],
        },
        {"member_limits": {"max_sessions": 1}},
    ],
)
def test_what_merely_has_to_wait_waits(site: Site, columns: dict[str, Any]) -> None:
    with site.database.transaction() as db:
        add_course(db, **columns)
        for _ in range(2):
            add_session(db, "ml101", status="RUNNING")
        assert admit(db, site, ASK).project == "ml101"


def test_a_session_that_may_be_reclaimed_may_go_over_the_quota(site: Site) -> None:
    """And the scheduler does start it, while it keeps the other one waiting for ever."""
    with site.database.transaction() as db:
        add_course(db, quota_gpu_milli=500)
        assert admit(db, site, replace(ASK, preemptible=True)).project == "ml101"
        assert refused(db, site).field == "preemptible"
        now = time()
        projects = scheduler_projects(db, site.policy, now)
    node = model.Node("n", (model.Device(0, 8192),), 8000, 8192)
    for preemptible in (True, False):
        session = model.Session("a", "ann", "ml101", ASK.demand, preemptible=preemptible)
        decisions = schedule(model.Snapshot(now, (node,), projects, (session,)))
        assert bool(decisions.starts) == preemptible


def test_numbers_are_in_the_unit_of_the_site(site: Site) -> None:
    site.policy = replace(site.policy, unit=FgpuUnit(2, 100))
    with site.database.transaction() as db:
        add_course(db, limit_gpu_milli=500)
        error = refused(db, site)
    assert error.message == (
        "Asks for 2.0 fGPU; project ml101 may never hold more than its limit of 1.0 fGPU."
    )


def test_each_session_of_a_batch_waits_for_itself_but_all_count_as_waiting(site: Site) -> None:
    with site.database.transaction() as db:
        add_course(db, limit_gpu_milli=1000, member_limits={"max_pending": 4})
        add_session(db, "ml101")
        add_session(db, "ml101", status="RUNNING")
        add_session(db, "ml101", user="bob")
        assert admit(db, site, replace(ASK, count=3)).project == "ml101"
        error = refused(db, site, count=4)
    assert (type(error), error.field) == (OverLimit, "count")
    assert error.message == (
        "1 of your sessions waits in project ml101 already; with 4 more that is above the limit"
        " of 4."
    )


def test_a_change_to_a_waiting_session_adds_nothing_to_the_line(site: Site) -> None:
    with site.database.transaction() as db:
        add_course(db, member_limits={"max_pending": 1})
        for _ in range(2):
            add_session(db, "ml101")
        assert admit(db, site, replace(ASK, count=0)).project == "ml101"


def test_a_members_own_limits_are_the_ones_that_count(site: Site) -> None:
    with site.database.transaction() as db:
        add_project(db, "ml101", member_limits={"max_gpu_milli": 500, "max_lifetime_s": 3600})
        add_member(db, "ml101", "ann", max_gpu_milli=2000)
        assert admit(db, site, ASK) == Admission("ml101", 3600, None)


def test_a_spent_budget_is_refused_with_what_was_used(site: Site) -> None:
    with site.database.transaction() as db:
        add_course(db, budget_gpu_h=10.0)
        add_run(db, "ml101", time() - 6 * HOUR, None, gpu_milli=2000)
        assert "used 12.0 of its budget of 10.0 fGPU-hours" in refused(db, site).message


def test_instructors_and_admins_give_any_priority(site: Site) -> None:
    with site.database.transaction() as db:
        add_project(db, "dept")
        add_project(db, "ml101", parent="dept")
        add_member(db, "dept", "ann", role="instructor")
        assert admit(db, site, replace(ASK, priority=100)).project == "ml101"
        assert admit(db, site, replace(ASK, user="root", admin=True, priority=100))
        assert refused(db, site, priority=101).field == "priority"


def test_nobody_learns_whether_a_project_he_is_not_in_exists(site: Site) -> None:
    with site.database.transaction() as db:
        add_project(db, "secret", limit_gpu_milli=0)
        add_project(db, "past", archived_at=1.0)
        errors = [refused(db, site, project=name) for name in ("secret", "nowhere", "past")]
        groups = frozenset({"course-ml", "course-secret-x", "secret"})
        errors.append(refused(db, site, project="secret", groups=groups))
    names = ("secret", "nowhere", "past", "secret")
    said = {
        (type(error), error.field, error.message.replace(name, "x"))
        for error, name in zip(errors, names, strict=True)
    }
    assert said == {(BadValue, "project", "There is no project 'x' that you may use.")}


def test_a_group_of_the_hub_is_enough(site: Site) -> None:
    with site.database.transaction() as db:
        add_project(db, "ml101")
        assert admit(db, site, replace(ASK, groups=frozenset({"course-ml101"})))


def chosen(db: Session, site: Site, *groups: str, user: str = "ann", admin: bool = False) -> str:
    return launch_project(db, site, user, frozenset(groups), admin, None)[0].name


def test_without_a_word_the_project_is_the_one_used_last(site: Site) -> None:
    with site.database.transaction() as db:
        for name in ("ml101", "nlp"):
            add_project(db, name)
            add_member(db, name, "ann")
        assert chosen(db, site) == "ml101"
        add_session(db, "ml101", status="TERMINATED")
        add_session(db, "nlp", status="TERMINATED")
        add_session(db, "ml101", user="bob")
        assert chosen(db, site) == "nlp"


def test_one_used_last_is_forgotten_when_it_may_not_be_used_any_more(site: Site) -> None:
    with site.database.transaction() as db:
        past, left = add_project(db, "past"), add_project(db, "left")
        add_member(db, "past", "ann")
        add_session(db, "past", status="TERMINATED")
        add_session(db, "left", status="TERMINATED")
        assert chosen(db, site) == "past"
        past.valid_until = 1.0
        left.open_to_all = False
        db.flush()
        assert chosen(db, site) == "default"


def test_an_own_project_goes_before_one_that_is_open_to_all(site: Site) -> None:
    with site.database.transaction() as db:
        assert chosen(db, site) == "default"
        add_project(db, "young")
        add_project(db, "ml101")
        assert chosen(db, site, "course-ml101") == "ml101"
        assert chosen(db, site, "course-ml101", "course-young-instructors") == "young"


def test_an_admin_is_in_the_projects_that_name_him(site: Site) -> None:
    with site.database.transaction() as db:
        add_project(db, "ml101")
        add_project(db, "nlp")
        assert chosen(db, site, user="root", admin=True) == "default"
        add_member(db, "nlp", "root")
        assert chosen(db, site, user="root", admin=True) == "nlp"


def test_who_is_in_no_project_is_told_whom_to_ask(site: Site) -> None:
    with site.database.transaction() as db:
        projects = scheduler_projects(db, site.policy, time())
        assert [project.name for project in projects] == ["default"]
        launch_project(db, site, "ann", frozenset(), False, None)[0].open_to_all = False
        db.flush()
        error = refused(db, site, project=None)
    assert (type(error), error.field) == (Forbidden, "project")
    assert error.message == "You are in no project; ask an instructor to add you."


def test_when_every_term_is_over_the_refusal_says_so(site: Site) -> None:
    with site.database.transaction() as db:
        launch_project(db, site, "ann", frozenset(), False, None)[0].valid_until = 86400.0
        db.flush()
        error = refused(db, site, project=None)
    assert error.message == "The term of project default ended on 1970-01-01."

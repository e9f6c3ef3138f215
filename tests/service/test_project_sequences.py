"""Whatever is done to projects, the scheduler can work with them and a refusal changes nothing."""

from __future__ import annotations

import math
import time
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from hub_ext.db.models import AuditRow, ProjectRow
from hub_ext.errors import ApportionError
from hub_ext.projects.bounds import COLUMNS, bounds_of, check, values_of
from hub_ext.projects.membership import Role
from hub_ext.projects.permissions import By
from hub_ext.projects.settings import ProjectSettings
from hub_ext.projects.shares import scheduler_projects
from hub_ext.scheduling import schedule
from hub_ext.scheduling.model import Demand, Device, Node, Session, Snapshot
from hub_ext.site import Site

ROOT = By("root", Role.ADMIN)
TEACHER = By("tess", Role.INSTRUCTOR)
NAMES = ("default", "p1", "p2", "p3", "p4")
"""The last one is not there at first."""

amounts = st.sampled_from([-1, 0, 500, 1000, 4000, 2**31 - 1, -2, 2**31, 1.5, None, True, "4"])
numbers = st.sampled_from([None, 0, 0.5, 3.0, 1e9, 1e300, -1, math.nan, math.inf, -math.inf, "1"])
times = st.sampled_from([None, 0.0, 1e9, 2e9, 4e9, 253402300799.0, 1e12, -1, math.nan])
clocks = st.sampled_from(["00:00", "08:00", "18:00", "24:00", "8", "25:00"])
windows = st.fixed_dictionaries(
    {"from": clocks, "until": clocks},
    optional={"gpu_milli": amounts, "cpu_milli": amounts, "days": st.just(["mon", "sun"])},
)
STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "parent": st.sampled_from([None, *NAMES, "nobody"]),
    "priority": st.sampled_from([-1000, 0, 7, 1000, 1001, None]),
    "hours": st.none() | st.lists(windows, max_size=2),
    "quota_hours": st.none() | st.lists(windows, max_size=2),
    "kinds": st.sampled_from([None, ["batch"], ["x"], []]),
    "resource_groups": st.sampled_from([None, ["default"], ["x"]]),
    "member_limits": st.sampled_from(
        [{}, *({"max_sessions": most} for most in (None, 1, 2, 3, -3)), {"x": 1}]
    ),
    "images": st.sampled_from([None, ["a"], ["a", "b"], ["b", "a", "b"], []]),
    **{
        name: amounts
        for name in ProjectSettings.model_fields
        if name.startswith(("quota_", "limit_")) and name != "quota_hours"
    },
    **dict.fromkeys(("weight_gpu", "weight_cpu", "weight_memory", "budget_gpu_h"), numbers),
    "reclaim_min_runtime_s": numbers,
    "preempt_min_runtime_s": numbers,
    "valid_from": times,
    "valid_until": times,
}
values = st.lists(st.sampled_from(sorted(STRATEGIES)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: STRATEGIES[name] for name in names})
)
steps = st.tuples(
    st.sampled_from(
        ["create", "change", "change", "change", "teach", "teach", "move", "archive", "restore"]
    ),
    st.sampled_from(NAMES[1:] * 3 + NAMES[:1]),
    values,
    st.sampled_from([None, *NAMES]),
)


def act(site: Site, what: str, name: str, given_values: dict[str, Any], parent: str | None) -> None:
    store = site.projects
    if what == "create":
        store.create(name, given_values, by=ROOT)
    elif what == "change":
        store.change(name, given_values, by=ROOT)
    elif what == "teach":
        his = {name: given_values[name] for name in COLUMNS if name in given_values}
        store.change(name, his, by=TEACHER)
    elif what == "move":
        store.change(name, {"parent": parent}, by=ROOT)
    elif what == "archive":
        store.archive(name, by=ROOT)
    else:
        store.restore(name, by=ROOT)


def tables(site: Site) -> list[dict[str, Any]]:
    with site.database.transaction() as db:
        rows = [
            *db.scalars(select(ProjectRow).order_by(ProjectRow.name)),
            *db.scalars(select(AuditRow).order_by(AuditRow.id)),
        ]
        return [
            {column.name: getattr(row, column.name) for column in row.__table__.columns}
            for row in rows
        ]


def look_at_the_bounds(site: Site) -> None:
    """Nothing holds that is more than what an admin has set last."""
    for row in site.projects.tree():
        check(values_of(row), bounds_of(row), [], site.policy.unit)


def look_at_the_queue(site: Site) -> None:
    """One pass over a session that waits in every project, at a node with two GPUs."""
    with site.database.transaction() as db:
        projects = scheduler_projects(db, site.policy, time.time())
        unarchived = select(ProjectRow.name).where(ProjectRow.archived_at.is_(None))
        names = set(db.scalars(unarchived))
    assert {row.name for row in site.projects.tree()} == names, "there is a circle"
    waiting = tuple(
        Session(f"s-{each.name}", "ann", each.name, Demand(500, 1000, 1024), order=place)
        for place, each in enumerate(projects)
    )
    node = Node("gpu-1", (Device(0, 8192), Device(1, 8192)), 8000, 16384)
    decisions = schedule(Snapshot(time.time(), (node,), projects, waiting))
    assert len(decisions.starts) + len(decisions.waiting) == len(waiting)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(steps, min_size=1, max_size=8))
@example(
    [
        ("change", "p1", {"limit_gpu_milli": 1000}, None),
        ("change", "p1", {"quota_gpu_milli": 4000}, None),
        ("change", "p1", {"weight_gpu": math.inf}, None),
        ("change", "p1", {"member_limits": {"max_sessions": 3}, "images": ["a", "b"]}, None),
        ("teach", "p1", {"member_limits": {"max_sessions": 1}, "images": ["a"]}, None),
        ("teach", "p1", {"member_limits": {"max_sessions": None}}, None),
        ("teach", "p1", {"member_limits": {}, "images": None}, None),
        ("teach", "p1", {"member_limits": {"max_sessions": 4}}, None),
        ("move", "p2", {}, "p1"),
        ("move", "p1", {}, "p2"),
        ("archive", "p1", {}, None),
    ]
)
def test_no_sequence_of_changes_leaves_a_tree_that_the_scheduler_refuses(
    site: Site, sequence: list[tuple[str, str, dict[str, Any], str | None]]
) -> None:
    with site.database.transaction() as db:
        db.execute(delete(AuditRow))
        db.execute(delete(ProjectRow))
    for name in NAMES[:-1]:
        site.projects.create(name, {}, by=ROOT)
    for what, name, given_values, parent in sequence:
        before = tables(site)
        try:
            act(site, what, name, given_values, parent)
        except ApportionError:
            assert tables(site) == before, (what, name, given_values, parent)
        look_at_the_queue(site)
        look_at_the_bounds(site)

"""What may be changed of a session that waits or runs."""

from __future__ import annotations

from typing import Any

import pytest

from hub_ext.db.models import MemberRow, ProjectRow
from hub_ext.errors import ApportionError, BadValue, Conflict, OverLimit
from hub_ext.nodes import inventory
from hub_ext.sessions.edits import apply_change, read_session_change
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.site import Site

ANN = Submitter("ann")
TEACHER = Submitter("teacher")


@pytest.fixture
async def course(site: Site) -> str:
    """Two GPUs; members may give priority 10 and run for two hours."""
    await inventory.refresh(site)
    with site.database.transaction() as db:
        limits = {"max_priority": 10, "max_lifetime_s": 7200}
        db.add(
            ProjectRow(
                name="ml101",
                created_at=0,
                created_order=1,
                quota_gpu_milli=1000,
                member_limits=limits,
            )
        )
        db.flush()
        for user, role in (("ann", "member"), ("bob", "member"), ("teacher", "instructor")):
            db.add(
                MemberRow(project="ml101", user=user, role=role, limits={}, added_at=0, added_by="")
            )
    return "ml101"


def submit(site: Site, user: str = "ann", **values: Any) -> str:
    asked = {"project": "ml101", "fgpu": 1, "cpu": 0.5, "memory_mib": 512, **values}
    rows = Submissions(site).submit(Submitter(user), read_launch_request(asked))
    return rows[0].id


def change(site: Site, by: Submitter, session_id: str, **values: Any) -> Any:
    return apply_change(site, by, session_id, read_session_change(values))


async def test_a_higher_priority_goes_first(site: Site, course: str) -> None:
    queue = Queue(site)
    for _ in range(2):
        submit(site, preemptible=True)
        queue.pass_once()
    first, second = submit(site, preemptible=True), submit(site, "bob", preemptible=True)
    queue.pass_once()
    assert (site.store.get(first).position, site.store.get(second).position) == (1, 2)
    change(site, Submitter("bob"), second, priority=5)
    queue.pass_once()
    assert (site.store.get(first).position, site.store.get(second).position) == (2, 1)
    told = site.store.history(second)[-1]
    assert (told.by, told.message) == ("bob", "Changed priority from 0 to 5.")


async def test_a_member_gives_no_higher_priority_than_his_limit(site: Site, course: str) -> None:
    key = submit(site)
    with pytest.raises(OverLimit) as refusal:
        change(site, ANN, key, priority=11)
    assert refusal.value.field == "priority"
    assert "10" in refusal.value.message
    assert site.store.get(key).priority == 0
    assert change(site, TEACHER, key, priority=100).priority == 100


async def test_the_priority_of_a_running_session_is_settled(site: Site, course: str) -> None:
    key = submit(site)
    Queue(site).pass_once()
    with pytest.raises(Conflict) as refusal:
        change(site, ANN, key, priority=1)
    assert refusal.value.field == "priority"


async def test_a_refused_change_changes_nothing_of_the_others(site: Site, course: str) -> None:
    key = submit(site)
    with pytest.raises(OverLimit):
        change(site, ANN, key, requeue=False, lifetime_s=7201)
    assert site.store.get(key).requeue is True


async def test_the_lifetime_can_be_extended_up_to_the_limit(site: Site, course: str) -> None:
    key = submit(site, lifetime_s=60)
    assert change(site, ANN, key, lifetime_s=7200).lifetime_s == 7200
    with pytest.raises(OverLimit):
        change(site, ANN, key, lifetime_s=None)
    assert change(site, TEACHER, key, lifetime_s=None).lifetime_s is None


async def test_an_instructor_extends_up_to_what_the_admin_allows(site: Site, course: str) -> None:
    with site.database.transaction() as db:
        project = db.get(ProjectRow, "ml101")
        assert project is not None
        project.bounds = {"member_limits": {"max_lifetime_s": 10_000}}
    key = submit(site, lifetime_s=60)
    assert change(site, TEACHER, key, lifetime_s=10_000).lifetime_s == 10_000
    for beyond in (10_001, None):
        with pytest.raises(OverLimit):
            change(site, TEACHER, key, lifetime_s=beyond)
    admin = Submitter("root", admin=True)
    assert change(site, admin, key, lifetime_s=None).lifetime_s is None


async def test_a_waiting_session_that_could_never_run_unreclaimed_stays_reclaimable(
    site: Site, course: str
) -> None:
    key = submit(site, fgpu=2, preemptible=True)
    with pytest.raises(OverLimit) as refusal:
        change(site, ANN, key, preemptible=False)
    assert refusal.value.field == "preemptible"


async def test_what_runs_over_quota_stays_reclaimable(site: Site, course: str) -> None:
    key = submit(site, preemptible=True)
    Queue(site).pass_once()
    with pytest.raises(Conflict):
        change(site, ANN, key, preemptible=False)


async def test_what_has_ended_is_left_alone(site: Site, course: str) -> None:
    key = submit(site)
    site.store.transition(key, Status.CANCELLED, Why(), by="ann")
    with pytest.raises(Conflict):
        change(site, ANN, key, requeue=False)


async def test_the_same_value_again_is_no_news(site: Site, course: str) -> None:
    key = submit(site)
    steps = len(site.store.history(key))
    change(site, ANN, key, priority=0)
    assert len(site.store.history(key)) == steps


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, None),
        ([], None),
        ({"priority": 101}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"priority": "1"}, "priority"),
        ({"priority": None}, "priority"),
        ({"preemptible": "yes"}, "preemptible"),
        ({"lifetime_s": 59}, "lifetime_s"),
        ({"lifetime_s": float("nan")}, "lifetime_s"),
        ({"status": "RUNNING"}, "status"),
    ],
)
def test_bad_values_are_refused_by_their_field(values: Any, field: str | None) -> None:
    with pytest.raises(BadValue) as refusal:
        read_session_change(values)
    assert isinstance(refusal.value, ApportionError)
    assert refusal.value.field == field


async def test_a_change_wakes_the_queue(site: Site, course: str) -> None:
    key = submit(site)
    heard: list[str] = []
    site.changes.listen(lambda news: heard.append(news.session_id))
    change(site, ANN, key, priority=1)
    assert heard == [key]


def test_the_story_tells_a_change_in_words(site: Site, course: str) -> None:
    key = submit(site)

    change(site, ANN, key, lifetime_s=5400, preemptible=True, requeue=False)

    assert site.store.history(key)[-1].message == (
        "Changed that it may be reclaimed. Changed that it ends when it is reclaimed."
        " Changed its lifetime from 2 h to 1.5 h."
    )

"""A server of the hub that is reclaimed: its page goes back to the queue, and it runs again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import BASE
from tests.e2e.lab import PROJECT, Lab, Person, until

WHOLE = {"fgpu": 1, "cpu": 0.5, "memory_mib": 512, "image": BASE}


@pytest.fixture(autouse=True)
def _stop_all(lab: Lab) -> Iterator[None]:
    """Each test begins with nothing running."""
    yield
    for person in lab.people.values():
        person.stop_all()


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """One GPU, which is vision's by quota."""
    config = tmp_path_factory.mktemp("config") / "jupyterhub_config.py"
    text = (PROJECT / "jupyterhub_config.py").read_text()
    config.write_text(f"{text}\nc.ApportionService.reclaim_warning_s = 2\n")
    lab = make_lab("--simulate-gpus", "1x8GiB", config=config)
    for project, quota, user in (("robotics", 0, "student"), ("vision", 1, "fellow")):
        lab.person(user)
        new = {"name": project, "quota": {"fgpu": quota}}
        assert lab.admin.api.post("/projects", json=new).status_code == 201
        members = lab.admin.api.post(f"/projects/{project}/members", json={"user": user})
        assert members.status_code == 201, members.text
    return lab


def test_a_reclaimed_server_waits_on_its_page_and_runs_again(
    lab: Lab, window: Callable[[Person], Page], shot: Callable[[Page, str], None]
) -> None:
    student, fellow = lab.person("student"), lab.person("fellow")
    options = {**WHOLE, "project": "robotics", "preemptible": True}
    student.hub.post("/users/student/server", json=options).raise_for_status()
    (session,) = until(student.live)
    first_run = student.running(session["id"])["run_id"]

    (claim,) = fellow.submit(name="claim", project="vision", **WHOLE)
    fellow.running(claim["id"])
    assert student.session(session["id"])["status"] == "PENDING"
    page = window(student)
    page.goto(f"{lab.url}/user/student/lab")
    page.wait_for_url("**/hub/spawn-pending/student**", timeout=30_000)
    expect(page.locator("#pending-headline")).to_contain_text("Number 1", timeout=20_000)
    shot(page, "1-waits-again")

    fellow.stop_all()
    page.wait_for_url("**/user/student/**", timeout=90_000)
    again = student.running(session["id"])
    assert again["run_id"] > first_run
    history = student.api.get(f"/sessions/{session['id']}/history").json()["history"]
    path = [step["to"] for step in history if step["from"] != step["to"]]
    assert path.count("RUNNING") == 2
    assert path[path.index("PREEMPTED") + 1] == "PENDING"
    student.stop_all()
    lab.books_balance()


def test_a_start_on_its_way_that_is_reclaimed_keeps_its_place(lab: Lab) -> None:
    student, fellow = lab.person("student"), lab.person("fellow")
    options = {**WHOLE, "project": "robotics", "preemptible": True}
    student.hub.post("/users/student/server", json=options).raise_for_status()
    (session,) = until(student.live)
    until(lambda: student.session(session["id"])["status"] != "PENDING", what="it is granted")
    (claim,) = fellow.submit(name="claim", project="vision", **WHOLE)
    fellow.running(claim["id"])
    waiting = student.session(session["id"])
    assert (waiting["status"], waiting["run_id"]) == ("PENDING", None)

    fellow.stop_all()
    student.running(session["id"])
    student.stop_all()
    until(lambda: lab.containers() == [], what="no container is left")
    lab.books_balance()

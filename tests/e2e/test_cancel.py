"""Cancelling at any moment, by every way, leaves nothing behind."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import BASE
from tests.e2e.lab import Lab, Person, until

SMALL = {"fgpu": 1, "cpu": 0.2, "memory_mib": 512, "image": BASE}


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "1x8GiB")


def ended(person: Person) -> bool:
    servers = person.hub.get(f"/users/{person.name}").json()["servers"]
    return not person.live() and not any(
        server["ready"] or server["pending"] for server in servers.values()
    )


def test_a_cancel_of_a_waiting_session_is_immediate(lab: Lab) -> None:
    student = lab.person("student")
    holder, waiter = student.submit(name="race", count=2, **SMALL)
    student.running(holder["id"])
    answer = student.api.delete(f"/sessions/{waiter['id']}")
    assert (answer.status_code, answer.json()["status"]) == (202, "CANCELLED")
    assert answer.elapsed.total_seconds() < 5
    student.stop_all()


def test_a_cancel_by_the_hub_ends_the_waiting_spawn(lab: Lab) -> None:
    other, student = lab.person("other"), lab.person("student")
    (holder,) = other.submit(name="holder", **SMALL)
    other.running(holder["id"])
    assert student.hub.post("/users/student/server", json=SMALL).status_code == 202
    (session,) = until(student.live)
    answer = student.hub.delete("/users/student/server")
    assert answer.status_code in {202, 204}
    until(lambda: ended(student), what="the spawn is gone")
    assert student.session(session["id"])["status"] == "CANCELLED"
    other.stop_all()


@pytest.mark.parametrize("way", ["service", "hub"])
def test_25_cancels_while_grants_race_leave_no_ghost(lab: Lab, way: str) -> None:
    """With both ways 50 in all; every second round two sessions fight for the one device."""
    student, rival = lab.person("student"), lab.person("rival")
    moments = random.Random(25)
    for number in range(25):
        if number % 2:
            rival.submit(name="rival", **SMALL)
        if way == "hub":
            student.hub.post("/users/student/server", json=SMALL)
        else:
            student.submit(name="prey", **SMALL)
        (prey,) = until(student.live)
        goal = moments.choice(["PENDING", "SCHEDULED", "PREPARING", "STARTING"])
        with ThreadPoolExecutor(2) as pool:
            grant = pool.submit(rival.stop_all)
            cancel = pool.submit(cancel_at, student, prey["id"], goal, way)
            grant.result()
            cancel.result()
        until(lambda: ended(student), limit_s=60, what=f"round {number} has ended")
        assert student.session(prey["id"])["status"] in {"CANCELLED", "TERMINATED"}
    until(lambda: lab.containers() == [], what="no container is left")
    lab.books_balance()


def cancel_at(person: Person, session_id: str, goal: str, way: str) -> None:
    """Cancel as soon as the session is at ``goal`` or beyond."""
    order = ["PENDING", "SCHEDULED", "PREPARING", "STARTING", "RUNNING"]

    def there() -> bool:
        status = person.session(session_id)["status"]
        return status not in order or order.index(status) >= order.index(goal)

    until(there)
    if way == "hub":
        answer = person.hub.delete(f"/users/{person.name}/server")
    else:
        answer = person.api.delete(f"/sessions/{session_id}")
    assert answer.status_code < 300 or answer.status_code in {404, 409}, answer.text

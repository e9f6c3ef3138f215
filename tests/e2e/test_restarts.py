"""kill -9 of hub, service or both loses no session; Ctrl-C and a new start find them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import BASE
from tests.e2e.lab import Lab, Person, until

SMALL = {"fgpu": 1, "cpu": 0.2, "memory_mib": 512, "image": BASE}


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "2x8GiB")


def process_of(lab: Lab, part: str) -> int:
    """pid of the hub or the service of this deployment, by its command and data directory."""
    data = f"APPORTION_DATA={lab.data}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode().split("\0")
            ours = data in (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        wanted = {"hub": "jupyterhub", "service": "hub_ext.app"}[part]
        if ours and wanted in command and "-m" in command:
            return int(entry.name)
    raise AssertionError(f"no {part} runs")


def kill(lab: Lab, *parts: str) -> None:
    """kill -9, and wait until both answer again."""
    pids = [process_of(lab, part) for part in parts]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        try:
            hub = httpx.get(f"{lab.url}/hub/health", timeout=5)
            service = httpx.get(f"{lab.url}/services/apportion/api/v1/health", timeout=5)
        except httpx.HTTPError:
            return False
        alive = hub.status_code == service.status_code == 200
        return alive and all(process_of(lab, part) not in pids for part in parts)

    until(back, limit_s=90, what="hub and service are back")


def serves(person: Person, session: dict[str, object]) -> bool:
    """The session's own server answers its owner through the proxy."""
    url = f"{person.lab.url}{session['url']}api/status"
    headers = {"Authorization": f"token {person.token}"}
    try:
        return httpx.get(url, headers=headers, timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("parts", [("hub",), ("service",), ("hub", "service")])
def test_a_kill_loses_no_session(lab: Lab, parts: tuple[str, ...]) -> None:
    student, other = lab.person("student"), lab.person("other")
    runs, starts, waits = student.submit(name="batch", count=3, **SMALL)
    runs = student.running(runs["id"])
    container = lab.containers(runs["id"])[0].id
    # a second one waits in the hub's own way, so that a spawner waits for it
    assert other.hub.post("/users/other/server", json=SMALL).status_code == 202
    (spawn,) = until(other.live)

    kill(lab, *parts)

    assert student.session(runs["id"])["status"] == "RUNNING"
    assert lab.containers(runs["id"])[0].id == container
    until(lambda: serves(student, runs), what="the running session is served again")
    student.running(starts["id"])
    assert student.session(waits["id"])["status"] == "PENDING"
    assert other.session(spawn["id"])["status"] == "PENDING"

    for session in (runs, starts):
        student.api.delete(f"/sessions/{session['id']}")
    student.running(waits["id"])
    other.running(spawn["id"])
    student.stop_all()
    other.stop_all()
    until(lambda: lab.containers() == [], what="no container is left")
    lab.books_balance()


@pytest.mark.parametrize("status", ["SCHEDULED", "PREPARING", "STARTING"])
def test_a_kill_of_both_while_a_session_starts_starts_it_again(lab: Lab, status: str) -> None:
    student = lab.person("student")
    (session,) = student.submit(name=status.lower(), **SMALL)
    order = ["PENDING", "SCHEDULED", "PREPARING", "STARTING", "RUNNING"]
    at = order.index(status)
    until(lambda: order.index(student.session(session["id"])["status"]) >= at)
    kill(lab, "hub", "service")
    running = student.running(session["id"], limit_s=120)
    until(lambda: serves(student, running), what="it is served")
    assert len(lab.containers(session["id"])) == 1
    student.stop_all()
    until(lambda: lab.containers() == [], what="no container is left")
    lab.books_balance()


def test_ctrl_c_leaves_sessions_running_and_the_next_start_finds_them(lab: Lab) -> None:
    student = lab.person("student")
    runs, also_runs, waits = student.submit(name="keep", count=3, **SMALL)
    runs = student.running(runs["id"])
    student.running(also_runs["id"])
    started_at = lab.containers(runs["id"])[0].attrs["State"]["StartedAt"]
    lab.stop()
    (container,) = lab.containers(runs["id"])
    assert container.status == "running"
    lab.start()
    until(lambda: serves(student, runs), what="the running session is served again")
    assert lab.containers(runs["id"])[0].attrs["State"]["StartedAt"] == started_at
    assert student.session(waits["id"])["status"] == "PENDING"
    student.api.delete(f"/sessions/{runs['id']}")
    student.running(waits["id"])
    student.stop_all()
    until(lambda: lab.containers() == [], what="no container is left")


def test_a_session_whose_container_dies_is_closed_and_its_slice_freed(lab: Lab) -> None:
    student = lab.person("student")
    (session,) = student.submit(name="doomed", **SMALL)
    student.running(session["id"])
    lab.containers(session["id"])[0].kill()
    until(
        lambda: student.session(session["id"])["ended_at"],
        limit_s=120,
        what="the session is closed",
    )
    assert time.time() - student.session(session["id"])["ended_at"] < 120
    until(lambda: lab.containers() == [], what="no container is left")
    lab.books_balance()

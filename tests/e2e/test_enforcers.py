"""Enforcers over time, on a real Docker engine: chosen anew, restarts, deaths, saved images.

What each gives a container is in test_real_gpus.py. The devices are those of the fake NVML and
the daemons those of the fake MPS: nothing computes, and nothing is kept inside its slice.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import BASE
from tests.e2e.gpu_lab import make_gpu_lab
from tests.e2e.lab import Lab, until
from tests.fakes import nvml

NODE = "local"
SMALL = {"image": BASE, "cpu": 0.5, "memory_mib": 768}
CONTROL = "/run/apportion-mps/control"


@pytest.fixture(scope="module")
def gpu_lab(make_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """One GPU of 16 GiB."""
    return make_gpu_lab(make_lab, tmp_path_factory.mktemp("gpus"), nvml.gpu(0))[0]


@pytest.fixture
def lab(gpu_lab: Lab) -> Iterator[Lab]:
    """Everybody's sessions have ended afterwards."""
    yield gpu_lab
    for person in gpu_lab.people.values():
        person.stop_all()


def choose(lab: Lab, enforcer: str) -> httpx.Response:
    return lab.admin.api.patch(f"/nodes/{NODE}", json={"enforcer": enforcer})


def chosen(lab: Lab, enforcer: str) -> None:
    answer = choose(lab, enforcer)
    assert answer.status_code == 200, answer.text


def started(lab: Lab, user: str, fgpu: float = 0.5) -> dict[str, Any]:
    person = lab.person(user)
    (session,) = person.submit(name="work", fgpu=fgpu, **SMALL)
    return person.running(session["id"])


def uuid_of(session: dict[str, Any]) -> str:
    return str(session["slices"][0]["uuid"])


def daemon(lab: Lab, uuid: str) -> int | None:
    """The pid of the device's daemon; None when it has none."""
    try:
        pid = json.loads((lab.data / "mps" / uuid / "daemon.json").read_text())["pid"]
    except FileNotFoundError:
        return None
    running = Path(f"/proc/{pid}").is_dir()
    return int(pid) if running else None


def reaches(lab: Lab, session: dict[str, Any]) -> bool:
    """Whether the pipe that the session's user may write to is the daemon's of now."""
    there = lab.data / "mps" / uuid_of(session) / "pipe" / "control"
    script = f"test -p {CONTROL} -a -w {CONTROL} && stat -c %i {CONTROL} || echo none"
    seen = lab.run_in(session["id"], "sh", "-c", script)
    return there.exists() and seen == str(there.stat().st_ino)


def service_of(lab: Lab) -> int:
    """The pid of the service of this deployment."""
    data = f"APPORTION_DATA={lab.data}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().decode().split("\0")
            ours = data in (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if ours and {"-m", "hub_ext.app"} <= set(command):
            return int(entry.name)
    raise AssertionError("no service runs")


def test_whoever_gets_a_part_right_after_mps_was_chosen_finds_its_daemon(lab: Lab) -> None:
    chosen(lab, "timeslice")
    uuid = nvml.gpu(0)["uuid"]
    until(lambda: daemon(lab, uuid) is None, what="the daemon has ended")
    chosen(lab, "mps")
    session = started(lab, "ann")
    assert reaches(lab, session)


def test_a_node_in_use_keeps_its_enforcer(lab: Lab) -> None:
    chosen(lab, "mps")
    session = started(lab, "ann")
    refused = choose(lab, "timeslice")
    assert refused.status_code == 409
    error = refused.json()["error"]
    assert error["field"] == "enforcer"
    assert "(1)" in error["message"]
    assert "Drain the node" in error["message"]
    lab.person("ann").stop_all()
    chosen(lab, "timeslice")
    later = started(lab, "ann")
    assert later["id"] != session["id"]
    assert lab.run_in(later["id"], "sh", "-c", "env | grep -c CUDA || true") == "0"


def test_a_daemon_outlives_the_service_and_its_death_is_told_and_mended(lab: Lab) -> None:
    chosen(lab, "mps")
    session, ann = started(lab, "ann"), lab.person("ann")
    first, before = daemon(lab, uuid_of(session)), service_of(lab)
    assert first is not None
    os.kill(before, signal.SIGKILL)

    def back() -> bool:
        try:
            answer = httpx.get(f"{lab.url}/services/apportion/api/v1/health", timeout=5)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and service_of(lab) != before

    until(back, limit_s=90, what="the service is back")
    assert daemon(lab, uuid_of(session)) == first
    assert reaches(lab, session)
    assert ann.session(session["id"])["alerts"] == []

    os.kill(first, signal.SIGKILL)
    alerts = until(lambda: ann.session(session["id"])["alerts"], what="ann is told")
    assert [each["code"] for each in alerts] == ["enforcement"]
    assert "restart the kernels" in alerts[0]["message"]
    until(lambda: reaches(lab, session), what="the session reaches the next daemon")
    assert daemon(lab, uuid_of(session)) != first
    assert ann.session(session["id"])["status"] == "RUNNING"
    events = lab.admin.api.get(f"/nodes/{NODE}/events").json()["events"]
    assert "mps" in {each["code"] for each in events}


@pytest.mark.parametrize("enforcer", ["mps", "hami"])
def test_nothing_of_an_enforcer_is_in_the_image_of_a_session(lab: Lab, enforcer: str) -> None:
    chosen(lab, enforcer)
    session, ann = started(lab, "ann"), lab.person("ann")
    body = {"name": f"under-{enforcer}", "description": "From a test"}
    asked = ann.api.post(f"/sessions/{session['id']}/image-request", json=body)
    assert asked.status_code == 201, asked.text
    request = f"/image-requests/{asked.json()['id']}"
    assert lab.admin.api.post(f"{request}/approve").status_code == 200

    def reference() -> str:
        now = ann.api.get(request).json()
        assert now["state"] not in {"failed", "declined", "cancelled"}, now
        return str(now["reference"]) if now["state"] == "done" else ""

    saved = until(reference, limit_s=180, what="the image is saved")
    try:
        image = lab.docker.images.get(saved)
        assert image.attrs["Config"]["Env"] == lab.docker.images.get(BASE).attrs["Config"]["Env"]
        look = "ls /etc/ld.so.preload /usr/local/apportion /run/apportion-mps /tmp/apportion-vgpu"
        found = lab.docker.containers.run(
            saved,
            ["sh", "-c", f"{look} 2>/dev/null | grep -v :$ || true"],
            entrypoint="",
            remove=True,
        )
        assert found.strip() == b""
    finally:
        ann.stop_all()
        confirm = {"confirm": saved.rpartition("/")[2]}
        assert ann.api.delete(f"/images/{saved}", params=confirm).status_code == 200
        until(
            lambda: not any(saved in image.tags for image in lab.docker.images.list()),
            what="the engine has removed the image",
        )

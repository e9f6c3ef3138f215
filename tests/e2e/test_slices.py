"""Half-GPU units, quantum, and slices that do not fit a device although the total is free."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import BASE
from tests.e2e.lab import SERVICE, Lab, until


@pytest.fixture(scope="module")
def halves(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "1x8GiB", "--fgpu-per-gpu", "2")


def test_half_an_fgpu_of_two_is_a_quarter_of_the_device(halves: Lab) -> None:
    student = halves.person("student")
    (session,) = student.submit(name="quarter", fgpu=0.5, cpu=0.5, memory_mib=512, image=BASE)
    session = student.running(session["id"])
    assert [part["milli"] for part in session["slices"]] == [250]
    assert session["gpu_memory_mib"] == 2048
    seen = halves.run_in(session["id"], "sh", "-c", "echo $APPORTION_GPU_MEMORY_MIB")
    assert seen == "2048"
    assert halves.run_in(session["id"], "sh", "-c", "echo $APPORTION_FGPU") == "0.5"
    page = student.web.get(SERVICE + "/").text
    assert "25 % of GPU 0" in page
    assert "2 GiB / 8 GiB" in " ".join(page.split())
    assert "simulated" in page
    student.stop_all()


def test_a_value_between_two_steps_is_refused_naming_both(halves: Lab) -> None:
    student = halves.person("student")
    for path in ("/dry-run", "/sessions"):
        answer = student.api.post(path, json={"fgpu": 0.35, "image": BASE})
        assert answer.status_code == 400
        assert answer.json()["error"]["field"] == "fgpu"
        assert "0.3 or 0.4" in answer.json()["error"]["message"]
    answer = student.hub.post("/users/student/server", json={"fgpu": 0.35, "image": BASE})
    assert answer.status_code >= 400 or not student.live()
    assert student.live() == []


def test_two_slices_of_0_6_do_not_share_a_device(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("--simulate-gpus", "2x8GiB")
    student = lab.person("student")
    sessions = student.submit(name="six", fgpu=0.6, cpu=0.2, memory_mib=512, count=3, image=BASE)
    first, second = (student.running(session["id"]) for session in sessions[:2])
    assert first["slices"][0]["device"] != second["slices"][0]["device"]
    waiting = until(lambda: student.session(sessions[2]["id"])["position"] and sessions[2])
    message = student.session(waiting["id"])["reason"]["message"]
    assert "Needs 0.6 fGPU on one device" in message
    assert "0.4 fGPU" in message
    student.stop_all()

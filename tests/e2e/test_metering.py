"""What a real container uses, metered; a session that keeps to its slice again; silent devices.

The devices are those of the fake NVML; CPU, memory and process ids are the real engine's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.conftest import BASE
from tests.e2e.gpu_lab import make_gpu_lab
from tests.e2e.lab import SERVICE, Lab, until
from tests.fakes import nvml

MIB = 2**20
HELD_MIB = 200
BURNT_S = 3.0
BURN = f"import time\nwhile time.process_time() < {BURNT_S}: pass"
HOLD = f"import time; held = b'x' * {HELD_MIB * MIB}; time.sleep(600)"
WRITE = f"open('/home/work/pages', 'wb').write(b'x' * {HELD_MIB * MIB})"
PROCESSES = "nvmlDeviceGetComputeRunningProcesses_v3"


@pytest.fixture(scope="module")
def gpus(
    make_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lab, nvml.FakeNvml]:
    """Two GPUs of 16 GiB that tell their sessions apart by the watchdog only."""
    directory = tmp_path_factory.mktemp("gpus")
    lab, fake = make_gpu_lab(make_lab, directory, nvml.gpu(0), nvml.gpu(1))
    answer = lab.admin.api.patch("/nodes/local", json={"enforcer": "timeslice"})
    assert answer.status_code == 200, answer.text
    return lab, fake


@pytest.fixture
def lab(gpus: tuple[Lab, nvml.FakeNvml]) -> Iterator[Lab]:
    """Everybody's sessions have ended afterwards."""
    yield gpus[0]
    for person in gpus[0].people.values():
        person.stop_all()


@pytest.fixture
def fake(gpus: tuple[Lab, nvml.FakeNvml]) -> nvml.FakeNvml:
    return gpus[1]


def started(lab: Lab, fgpu: float) -> dict[str, Any]:
    ann = lab.person("ann")
    (session,) = ann.submit(name="work", image=BASE, cpu=1, memory_mib=1024, fgpu=fgpu)
    return ann.running(session["id"])


def container_of(lab: Lab, session: dict[str, Any]) -> Any:
    (container,) = lab.containers(session["id"])
    return container


def metered(lab: Lab, session: dict[str, Any], period: str = "minutes") -> dict[str, Any]:
    ann = lab.person("ann")
    answer = ann.api.get(f"/sessions/{session['id']}/usage", params={"period": period})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def metered_after(lab: Lab, session: dict[str, Any], moment: float) -> dict[str, Any]:
    """When there is a sample of a time after that moment."""

    def seen() -> dict[str, Any]:
        use = metered(lab, session)
        return use if use["times"] and use["times"][-1] > moment else {}

    return until(seen, what="the session is metered")


def cpu_s(stats: dict[str, Any]) -> float:
    """What the engine says that a container has computed."""
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def memory_mib(stats: dict[str, Any]) -> float:
    """As ``docker stats`` shows it, with either version of control groups."""
    details = stats["memory_stats"]["stats"]
    dropped = details.get("total_inactive_file", details.get("inactive_file", 0))
    return float((stats["memory_stats"]["usage"] - dropped) / MIB)


def test_cpu_is_what_the_engine_counts(lab: Lab) -> None:
    session = started(lab, 0)
    container = container_of(lab, session)
    metered_after(lab, session, time.time())
    begin, before = time.time(), cpu_s(container.stats(stream=False))
    lab.run_in(session["id"], "python3", "-c", BURN)
    end = time.time()
    use = metered_after(lab, session, end + 1)
    counted = cpu_s(container.stats(stream=False)) - before
    steps = zip(use["times"], use["times"][1:], use["cpu_milli"][1:], strict=False)
    inside = [(b - a) * cpu / 1000 for a, b, cpu in steps if b > begin and cpu is not None]
    assert BURNT_S * 0.95 <= sum(inside) <= counted + 0.5
    assert max(cpu for cpu in use["cpu_milli"] if cpu is not None) <= 1100  # it has one CPU


def test_memory_is_what_the_engine_counts_and_not_the_pages_of_files(lab: Lab) -> None:
    session = started(lab, 0)
    container = container_of(lab, session)
    idle = metered_after(lab, session, time.time())["memory_mib"][-1]
    container.exec_run(["python3", "-c", HOLD], detach=True)
    until(
        lambda: metered(lab, session)["memory_mib"][-1] >= idle + HELD_MIB * 0.9,
        what="what a program holds is metered",
    )
    lab.run_in(session["id"], "python3", "-c", WRITE)
    use = metered_after(lab, session, time.time())
    assert use["memory_mib"][-1] == pytest.approx(memory_mib(container.stats(stream=False)), abs=15)
    assert use["memory_mib"][-1] < idle + HELD_MIB * 1.5
    assert set(use["gpu_memory_mib"]) == {None}

    headers = {"Authorization": f"token {lab.admin.token}"}
    lines = lab.admin.web.get(f"{SERVICE}/metrics", headers=headers).text.splitlines()
    (shown,) = [each for each in lines if each.startswith("apportion_session_memory_bytes{")]
    assert session["id"] in shown
    assert float(shown.split()[-1]) / MIB == pytest.approx(use["memory_mib"][-1], abs=15)


def test_who_frees_memory_stays_and_a_silent_device_stops_nobody(
    lab: Lab, fake: nvml.FakeNvml
) -> None:
    session = started(lab, 0.5)
    ann = lab.person("ann")
    (device,) = [each for each in fake.devices if each["uuid"] == session["slices"][0]["uuid"]]
    pid = int(container_of(lab, session).top()["Processes"][-1][1])
    device["processes"] = [{"pid": pid, "used_mib": 9 * 1024, "sm": 5}]
    fake.write()
    warned = until(
        lambda: s if (s := ann.session(session["id"]))["notice"] else {}, what="ann is warned"
    )
    assert warned["notice"]["code"] == "gpu_memory"

    device["errors"] = {PROCESSES: 999}
    fake.write()
    until(lambda: metered(lab, session)["gpu_memory_mib"][-1] is None, what="the device is silent")
    stops_at = time.time() + 6  # the grace of this site is 5 s
    metered_after(lab, session, stops_at)
    stays = ann.session(session["id"])
    assert (stays["status"], stays["notice"]["code"]) == ("RUNNING", "gpu_memory")

    device["processes"][0]["used_mib"] = 100
    device["errors"] = {}
    fake.write()
    until(lambda: ann.session(session["id"])["notice"] is None, what="the warning is withdrawn")
    now = ann.session(session["id"])
    assert (now["status"], now["alerts"]) == ("RUNNING", [])
    history = ann.api.get(f"/sessions/{session['id']}/history").json()["history"]
    assert any("keeps to its slice again" in each["message"] for each in history)

    # a minute of it is kept
    kept = until(
        lambda: use if (use := metered(lab, session, "hour"))["times"] else {},
        limit_s=90,
        what="a minute is stored",
    )
    assert kept["step_s"] == 60
    assert 0 < kept["memory_mib"][0] < 1024
    assert kept["gpu_memory_mib"][0] <= 9 * 1024

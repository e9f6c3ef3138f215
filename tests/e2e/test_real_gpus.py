"""Real devices on a real Docker engine: what containers get, what is metered, what falls sick.

The devices are those of the fake NVML: nothing computes, and nothing is kept inside its slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.conftest import BASE
from tests.e2e.gpu_lab import make_gpu_lab
from tests.e2e.lab import Lab, until
from tests.fakes import nvml

NODE = "local"
SMALL = {"image": BASE, "cpu": 0.5, "memory_mib": 768}
FIRST, SECOND = nvml.gpu(0)["uuid"], nvml.gpu(1)["uuid"]
DATA_MOUNTS = ("/home/work",)


@pytest.fixture(scope="module")
def gpus(
    make_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lab, nvml.FakeNvml]:
    """Two GPUs of 16 GiB."""
    directory = tmp_path_factory.mktemp("gpus")
    return make_gpu_lab(make_lab, directory, nvml.gpu(0), nvml.gpu(1))


@pytest.fixture
def lab(gpus: tuple[Lab, nvml.FakeNvml]) -> Iterator[Lab]:
    """Everybody's sessions have ended afterwards, and the devices are as at first."""
    yield gpus[0]
    for person in gpus[0].people.values():
        person.stop_all()
    gpus[1].state = {"devices": [nvml.gpu(0), nvml.gpu(1)]}
    gpus[1].write()
    until(lambda: problems(gpus[0]) == ["", ""], what="both devices are well")


@pytest.fixture
def fake(gpus: tuple[Lab, nvml.FakeNvml]) -> nvml.FakeNvml:
    return gpus[1]


def devices(lab: Lab) -> list[dict[str, Any]]:
    (node,) = lab.admin.api.get("/nodes").json()["nodes"]
    return list(node["devices"])


def problems(lab: Lab) -> list[str]:
    return [device["problem"] for device in devices(lab)]


def choose(lab: Lab, enforcer: str | None) -> None:
    answer = lab.admin.api.patch(f"/nodes/{NODE}", json={"enforcer": enforcer})
    assert answer.status_code == 200, answer.text


def started(lab: Lab, user: str, fgpu: float) -> dict[str, Any]:
    person = lab.person(user)
    (session,) = person.submit(name="work", fgpu=fgpu, **SMALL)
    return person.running(session["id"])


def inspected(lab: Lab, session: dict[str, Any]) -> dict[str, Any]:
    (container,) = lab.containers(session["id"])
    return dict(container.attrs)


def environment(lab: Lab, session: dict[str, Any]) -> dict[str, str]:
    """As a program in the container sees it."""
    lines = lab.run_in(session["id"], "env", "-0").split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def of_gpu(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(("CUDA", "NVIDIA"))}


def mounts(attrs: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Source and whether it may be written, by target; the session's folders apart."""
    found = {each["Destination"]: (each["Source"], each["RW"]) for each in attrs["Mounts"]}
    return {at: each for at, each in found.items() if not at.startswith(DATA_MOUNTS)}


def requested(attrs: dict[str, Any]) -> list[str] | None:
    requests = attrs["HostConfig"]["DeviceRequests"]
    if not requests:
        return None
    (request,) = requests
    assert (request["Driver"], request["Capabilities"]) == ("nvidia", [["gpu"]])
    return list(request["DeviceIDs"])


def test_mps(lab: Lab) -> None:
    choose(lab, "mps")
    session = started(lab, "ann", 0.5)
    uuid = session["slices"][0]["uuid"]
    attrs = inspected(lab, session)
    assert requested(attrs) == [uuid]
    assert attrs["HostConfig"]["IpcMode"] == "host"
    pipes = str(lab.data / "mps" / uuid / "pipe")
    assert mounts(attrs) == {"/run/apportion-mps": (pipes, True)}
    assert of_gpu(environment(lab, session)) == {
        "NVIDIA_VISIBLE_DEVICES": uuid,
        "CUDA_MPS_PIPE_DIRECTORY": "/run/apportion-mps",
        "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "0=8192M",
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "50",
    }
    # the daemon's pipe is there, and the session's user may open it
    assert (
        lab.run_in(session["id"], "sh", "-c", "test -w /run/apportion-mps/control; echo $?") == "0"
    )


def test_hami(lab: Lab) -> None:
    choose(lab, "hami")
    session = started(lab, "ann", 0.5)
    uuid = session["slices"][0]["uuid"]
    attrs = inspected(lab, session)
    assert requested(attrs) == [uuid]
    assert attrs["HostConfig"]["IpcMode"] == "private"
    own = lab.data / "enforcement" / session["id"]
    found = mounts(attrs)
    assert found.pop("/usr/local/apportion/libvgpu.so")[1] is False
    assert found == {
        "/etc/ld.so.preload": (str(own / "ld.so.preload"), False),
        "/tmp/apportion-vgpu": (str(own / "vgpu"), True),
    }
    assert of_gpu(environment(lab, session)) == {
        "NVIDIA_VISIBLE_DEVICES": uuid,
        "CUDA_DEVICE_MEMORY_LIMIT_0": "8192m",
        "CUDA_DEVICE_SM_LIMIT": "50",
        "CUDA_DEVICE_MEMORY_SHARED_CACHE": f"/tmp/apportion-vgpu/{uuid}.cache",
    }
    preloaded = lab.run_in(session["id"], "cat", "/etc/ld.so.preload")
    assert preloaded == "/usr/local/apportion/libvgpu.so"
    lab.run_in(session["id"], "touch", "/tmp/apportion-vgpu/written")


@pytest.mark.parametrize(("enforcer", "fgpu"), [("timeslice", 0.5), ("whole", 1), ("mps", 2)])
def test_those_that_set_nothing_beside_the_devices(lab: Lab, enforcer: str, fgpu: float) -> None:
    choose(lab, enforcer)
    session = started(lab, "ann", fgpu)
    uuids = [part["uuid"] for part in session["slices"]]
    assert len(uuids) == max(1, int(fgpu))
    attrs = inspected(lab, session)
    assert requested(attrs) == uuids
    assert attrs["HostConfig"]["IpcMode"] == "private"
    assert attrs["HostConfig"]["ShmSize"] == 768 * 2**20 // 4
    assert mounts(attrs) == {}
    env = environment(lab, session)
    assert of_gpu(env) == {"NVIDIA_VISIBLE_DEVICES": ",".join(uuids)}
    assert env["APPORTION_FGPU"] == f"{fgpu:g}"
    assert env["APPORTION_GPU_MEMORY_MIB"] == str(int(16384 * fgpu))
    assert env["OMP_NUM_THREADS"] == env["MKL_NUM_THREADS"] == "1"


def test_mig(lab: Lab, fake: nvml.FakeNvml) -> None:
    parts = [nvml.instance(0, "3g.20gb", 19968), nvml.instance(1, "1g.5gb", 4864)]
    fake.devices[0]["mig"] = parts
    fake.devices[1]["mig"] = [nvml.instance(2, "7g.40gb", 40192)]
    fake.write()
    until(
        lambda: (
            sorted(each["mig_profile"] or "" for each in devices(lab))
            == ["1g.5gb", "3g.20gb", "7g.40gb"]
        ),
        what="the instances are seen",
    )
    session = started(lab, "ann", 0.1)
    assert requested(inspected(lab, session)) == [parts[1]["uuid"]]
    env = environment(lab, session)
    assert of_gpu(env) == {"NVIDIA_VISIBLE_DEVICES": parts[1]["uuid"]}
    assert env["APPORTION_GPU_MEMORY_MIB"] == "4864"
    larger = started(lab, "ben", 0.4)
    assert requested(inspected(lab, larger)) == [parts[0]["uuid"]]


def test_a_session_without_gpu_gets_none(lab: Lab) -> None:
    session = started(lab, "ann", 0)
    attrs = inspected(lab, session)
    assert requested(attrs) is None
    assert of_gpu(environment(lab, session)) == {"NVIDIA_VISIBLE_DEVICES": "void"}
    assert mounts(attrs) == {}


def process_of(lab: Lab, session: dict[str, Any]) -> int:
    """A process of the session, as the machine counts."""
    (container,) = lab.containers(session["id"])
    return int(container.top()["Processes"][-1][1])


def uses(lab: Lab, user: str, session: dict[str, Any]) -> dict[str, Any]:
    answer = lab.person(user).api.get(f"/sessions/{session['id']}/usage")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_who_exceeds_his_slice_is_warned_then_stopped_and_his_neighbour_is_not(
    lab: Lab, fake: nvml.FakeNvml
) -> None:
    choose(lab, "timeslice")
    fake.state["devices"] = [nvml.gpu(0)]
    fake.write()
    until(lambda: "gone" in " ".join(problems(lab)), what="one device is gone")
    greedy, modest = started(lab, "ann", 0.5), started(lab, "ben", 0.5)
    running = [
        {"pid": process_of(lab, greedy), "used_mib": 4000, "sm": 25},
        {"pid": process_of(lab, modest), "used_mib": 7000, "sm": 10},
    ]
    fake.devices[0]["processes"] = running
    fake.write()

    def measured() -> bool:
        use = uses(lab, "ann", greedy)
        return bool(use["gpu"]) and (use["gpu_memory_mib"][-1], use["gpu"][-1]) == (4000, 0.5)

    until(measured, what="the session is metered")
    use = uses(lab, "ann", greedy)
    assert use["memory_mib"][-1] > 20
    assert use["cpu_milli"][-1] is not None
    assert lab.person("ben").api.get(f"/sessions/{greedy['id']}/usage").status_code == 404

    running[0]["used_mib"] = 9 * 1024
    fake.write()
    ann = lab.person("ann")
    warned = until(
        lambda: s if (s := ann.session(greedy["id"]))["notice"] else None, what="ann is warned"
    )
    assert warned["notice"]["code"] == "gpu_memory"
    assert "holds 9.0 GiB of GPU memory; its slice has 8.0 GiB" in warned["notice"]["message"]
    ended = until(
        lambda: s if (s := ann.session(greedy["id"]))["ended_at"] else None, what="ann is stopped"
    )
    assert ended["status"] == "TERMINATED"
    history = ann.api.get(f"/sessions/{greedy['id']}/history").json()["history"]
    stopped = next(each for each in history if each["to"] == "TERMINATING")
    assert stopped["code"] == "gpu_memory"
    assert "9.0 GiB" in stopped["message"]
    neighbour = lab.person("ben").session(modest["id"])
    assert (neighbour["status"], neighbour["notice"], neighbour["alerts"]) == ("RUNNING", None, [])


def test_a_sick_device_takes_no_session_tells_those_it_has_and_comes_back(
    lab: Lab, fake: nvml.FakeNvml
) -> None:
    choose(lab, "timeslice")
    here = started(lab, "ann", 1)
    place = [each["uuid"] for each in fake.devices].index(here["slices"][0]["uuid"])
    fake.devices[place]["celsius"] = 99
    fake.write()
    ann, ben = lab.person("ann"), lab.person("ben")
    alerts = until(lambda: ann.session(here["id"])["alerts"], what="ann is told")
    assert "too hot: 99 °C" in alerts[0]["message"]
    (waiting,) = ben.submit(name="both", fgpu=2, **SMALL)
    reason = until(
        lambda: (r := ben.session(waiting["id"])["reason"]) and r["code"] != "new" and r,
        what="ben is told why he waits",
    )
    assert f"Out of order: GPU {place} of {NODE} (It is too hot: 99 °C" in reason["message"]
    ann.stop_all()
    fake.devices[place]["celsius"] = 50
    fake.write()
    ben.running(waiting["id"])
    events = lab.admin.api.get(f"/nodes/{NODE}/events").json()["events"]
    assert [each["code"] for each in events[:2]] == ["back", "sick"]

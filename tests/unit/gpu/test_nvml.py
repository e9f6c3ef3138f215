"""Real devices, read by the unchanged pynvml from a library that answers from a file."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pynvml
import pytest

from hub_ext.gpu.nvml import NvmlGpus
from tests.fakes.nvml import FakeNvml, instance

READ = """
import json
from hub_ext.gpu.nvml import NvmlGpus
gpus = NvmlGpus()
print(json.dumps([[d.uuid, d.model, d.memory_mib, d.problem] for d in gpus.devices()]))
print(gpus.driver())
"""


def problems(gpus: NvmlGpus) -> list[str]:
    return [device.problem for device in gpus.devices()]


def test_pynvml_loads_the_library_as_it_would_the_real_one(fake: FakeNvml, library: Path) -> None:
    environ = os.environ | fake.environment(library)
    done = subprocess.run(
        [sys.executable, "-c", READ], env=environ, capture_output=True, text=True, check=True
    )
    devices, driver = done.stdout.splitlines()
    expected = [[each["uuid"], "NVIDIA A100-SXM4-40GB", 16384, ""] for each in fake.devices]
    assert json.loads(devices) == expected
    assert driver == "550.54.15"


def test_without_the_library_there_are_no_gpus_and_one_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gpus = NvmlGpus()
    with caplog.at_level(logging.INFO):
        assert gpus.devices() == []
        assert gpus.processes() is None
        assert gpus.driver() == ""
        assert gpus.devices() == []
    assert [record.message.split(" (")[0] for record in caplog.records] == [
        "No NVIDIA GPUs on this machine"
    ]


def test_a_driver_that_is_there_later_is_found(fake: FakeNvml) -> None:
    fake.write(errors={"nvmlInitWithFlags": 9})
    gpus = NvmlGpus()
    assert gpus.devices() == []
    fake.write(errors={})
    assert len(gpus.devices()) == 2


def test_a_lost_device_stays_listed_and_says_so_until_it_is_back(fake: FakeNvml) -> None:
    gpus = NvmlGpus()
    assert problems(gpus) == ["", ""]
    fake.devices[1]["lost"] = True
    fake.write()
    assert problems(gpus)[0] == ""
    assert "is lost" in problems(gpus)[1]
    fake.devices[1]["lost"] = False
    fake.write()
    assert problems(gpus) == ["", ""]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"ecc_uncorrected": 3}, "3 uncorrected ECC errors"),
        ({"celsius": 97}, "too hot: 97 °C; it slows down at 95 °C"),
        ({"memory_mib": 0}, "no memory"),
        ({"errors": {"nvmlDeviceGetMemoryInfo": 999}}, "Unknown Error"),
    ],
)
def test_a_sick_device_says_why_and_comes_back(
    fake: FakeNvml, values: dict[str, object], sentence: str
) -> None:
    gpus = NvmlGpus()
    before = dict(fake.devices[0])
    fake.devices[0].update(values)
    fake.write()
    assert sentence in problems(gpus)[0]
    fake.devices[0] = before
    fake.write()
    assert problems(gpus) == ["", ""]


def test_a_hot_device_is_taken_back_only_when_it_has_cooled_down(fake: FakeNvml) -> None:
    gpus = NvmlGpus()
    seen = []
    for celsius in (94, 95, 93, 89):
        fake.devices[0]["celsius"] = celsius
        fake.write()
        seen.append(bool(problems(gpus)[0]))
    assert seen == [False, True, True, False]


def test_a_device_that_reports_an_xid_rests_and_comes_back(fake: FakeNvml) -> None:
    gpus = NvmlGpus(xid_rest_s=0.2)
    assert problems(gpus) == ["", ""]
    fake.xid(1, 79)
    assert problems(gpus)[0] == ""
    assert "XID 79" in problems(gpus)[1]
    deadline = time.monotonic() + 10
    while problems(gpus)[1] and time.monotonic() < deadline:
        pass
    assert problems(gpus) == ["", ""]


def test_an_xid_of_a_program_is_no_fault_of_the_device(fake: FakeNvml) -> None:
    gpus = NvmlGpus()
    gpus.devices()
    fake.xid(0, 31)
    assert problems(gpus) == ["", ""]


def test_a_gpu_in_mig_mode_is_listed_as_its_instances(fake: FakeNvml) -> None:
    parts = [instance(0, "3g.20gb", 19968), instance(1, "1g.5gb", 4864)]
    fake.devices[0]["mig"] = parts
    fake.write()
    found = NvmlGpus().devices()
    assert [(d.uuid, d.mig_profile, d.memory_mib, d.capacity_milli) for d in found[:2]] == [
        (parts[0]["uuid"], "3g.20gb", 19968, 428),
        (parts[1]["uuid"], "1g.5gb", 4864, 142),
    ]
    assert {d.parent_uuid for d in found[:2]} == {fake.devices[0]["uuid"]}
    assert found[0].model == "NVIDIA A100-SXM4-40GB"
    assert not any(d.problem for d in found)
    assert found[2].uuid == fake.devices[1]["uuid"]
    assert found[2].mig_profile == ""


def test_a_lost_gpu_in_mig_mode_makes_its_instances_sick(fake: FakeNvml) -> None:
    fake.devices[0]["mig"] = [instance(0, "1g.5gb", 4864), instance(1, "1g.5gb", 4864)]
    fake.write()
    gpus = NvmlGpus()
    before = gpus.devices()
    fake.devices[0]["lost"] = True
    fake.write()
    after = gpus.devices()
    assert [d.uuid for d in after] == [d.uuid for d in before]
    assert all("is lost" in d.problem for d in after[:2])
    assert not after[2].problem


@pytest.mark.parametrize("profile", ["9g.5gb", "0g.5gb", "g.5gb", "1g", "1g.5gb; rm", ""])
def test_a_malformed_mig_profile_is_a_problem_of_that_instance_only(
    fake: FakeNvml, profile: str
) -> None:
    broken = instance(0, "1g.5gb", 4864) | {"name": f"NVIDIA A100 MIG {profile}"}
    fake.devices[0]["mig"] = [broken, instance(1, "2g.10gb", 9856)]
    fake.write()
    first, second, _ = NvmlGpus().devices()
    assert "no MIG profile" in first.problem
    assert profile in first.problem
    assert (second.problem, second.capacity_milli) == ("", 285)


@pytest.mark.parametrize("uuid", ["", "GPU-", "../../etc", "GPU-1234567 8", "all"])
def test_a_device_without_a_proper_uuid_is_left_out(
    fake: FakeNvml, uuid: str, caplog: pytest.LogCaptureFixture
) -> None:
    fake.devices[0]["uuid"] = uuid
    fake.write()
    gpus = NvmlGpus()
    assert [d.uuid for d in gpus.devices()] == [fake.devices[1]["uuid"]]
    gpus.devices()
    assert len([each for each in caplog.records if "no proper UUID" in each.message]) == 1


def test_two_devices_of_one_uuid_are_one(fake: FakeNvml) -> None:
    fake.devices[1]["uuid"] = fake.devices[0]["uuid"]
    fake.write()
    assert len(NvmlGpus().devices()) == 1


def test_memory_that_is_no_whole_number_of_mib_is_rounded_down(fake: FakeNvml) -> None:
    fake.devices[0]["memory_mib"] = 16384.7
    fake.write()
    assert NvmlGpus().devices()[0].memory_mib == 16384


def test_a_library_that_lies_about_its_counts_is_not_believed(fake: FakeNvml) -> None:
    fake.devices[0]["processes"] = [{"pid": 7, "used_mib": 100, "sm": 5}]
    fake.devices[0]["process_count"] = 300
    fake.write(count=4_000_000)
    gpus = NvmlGpus()
    assert [d.index for d in gpus.devices()] == [0, 1]
    (listed, _) = (gpus.processes() or {}).values()
    assert [(p.pid, p.memory_mib) for p in listed] == [(7, 100)]
    fake.write(count=0)
    assert gpus.devices() == []


def test_when_nvml_fails_the_devices_are_sick_and_not_gone(fake: FakeNvml) -> None:
    gpus = NvmlGpus()
    gpus.devices()
    fake.write(errors={"nvmlDeviceGetCount_v2": 999})
    assert problems(gpus) == ["The NVIDIA driver (NVML) says: Unknown Error."] * 2
    fake.write(errors={})
    assert problems(gpus) == ["", ""]


def test_a_call_that_hangs_is_given_up_and_costs_one_thread(fake: FakeNvml) -> None:
    gpus = NvmlGpus(limit_s=0.2)
    gpus.devices()
    threads = threading.active_count()
    fake.write(hangs={"nvmlDeviceGetName": 3600})
    for _ in range(5):
        assert all("has not answered since" in problem for problem in problems(gpus))
        assert gpus.processes() is None
        assert gpus.busy() == {}
    assert threading.active_count() == threads
    fake.write(hangs={})
    deadline = time.monotonic() + 10
    while any(problems(gpus)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert problems(gpus) == ["", ""]


def test_processes_come_with_their_memory_and_part_of_the_device(fake: FakeNvml) -> None:
    fake.devices[0]["processes"] = [
        {"pid": 11, "used_mib": 500, "sm": 40},
        {"pid": 12, "used_mib": 700},
        {"pid": 13},
    ]
    fake.devices[1]["mig"] = [instance(0, "1g.5gb", 4864, processes=[{"pid": 14, "used_mib": 9}])]
    fake.write()
    gpus = NvmlGpus()
    found = {
        uuid: [(p.pid, p.memory_mib, p.sm_percent) for p in listed]
        for uuid, listed in (gpus.processes() or {}).items()
    }
    assert found == {
        fake.devices[0]["uuid"]: [(11, 500, 40), (12, 700, 0), (13, None, 0)],
        fake.devices[1]["mig"][0]["uuid"]: [(14, 9, None)],
    }
    plain = gpus.processes(computing=False) or {}
    assert [p.sm_percent for p in plain[fake.devices[0]["uuid"]]] == [None, None, None]


def test_a_device_that_tells_of_no_processes_is_not_said_to_have_none(fake: FakeNvml) -> None:
    fake.devices[0]["errors"] = {"nvmlDeviceGetComputeRunningProcesses_v3": 999}
    fake.write()
    assert NvmlGpus().processes() == {fake.devices[1]["uuid"]: []}


def test_how_busy_a_device_is(fake: FakeNvml) -> None:
    fake.devices[0]["utilization"] = 37
    fake.devices[1]["mig"] = [instance(0, "1g.5gb", 4864)]
    fake.write()
    assert NvmlGpus().busy() == {fake.devices[0]["uuid"]: 0.37}


def test_an_instance_that_cannot_be_identified_makes_no_other_device_sick(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.devices[1]["mig"] = [instance(1, "1g.5gb", 4864), instance(2, "2g.10gb", 9856)]
    fake.write()
    gone, stays = (each["uuid"] for each in fake.devices[1]["mig"])
    ask = pynvml.nvmlDeviceGetUUID

    def ask_uuid(handle: object) -> str:
        uuid: str = ask(handle)
        if uuid == gone:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return uuid

    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", ask_uuid)
    found = {each.uuid: each.problem for each in NvmlGpus().devices()}
    assert found == {fake.devices[0]["uuid"]: "", stays: ""}

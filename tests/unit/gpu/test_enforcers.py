"""Slices to container settings: each line of the table in docs/enforcers.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub_ext.db.models import DeviceRow
from hub_ext.gpu.enforcers import ENFORCERS
from hub_ext.gpu.enforcers.choice import device_use, enforcer_of
from hub_ext.gpu.enforcers.enforcer import FileMount, HeldSlice, Place, SliceSettings

PLACE = Place(Path("/data/mps"), Path("/data/enforcement/abc"), Path("/opt/libvgpu.so"))
HALF = HeldSlice(0, "GPU-0", 500, 8192)
WHOLE = HeldSlice(1, "GPU-1", 1000, 16384)


def test_mps_limits_a_part_and_mounts_the_pipes_of_its_device_alone() -> None:
    assert ENFORCERS["mps"].settings([HALF], PLACE) == SliceSettings(
        env={
            "CUDA_MPS_PIPE_DIRECTORY": "/run/apportion-mps",
            "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "0=8192M",
            "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "50",
        },
        mounts=(FileMount(Path("/data/mps/GPU-0/pipe"), "/run/apportion-mps", read_only=False),),
        ipc_host=True,
    )


@pytest.mark.parametrize("slices", [[WHOLE], [WHOLE, HeldSlice(2, "GPU-2", 1000, 16384)]])
def test_whole_devices_need_no_mps(slices: list[HeldSlice]) -> None:
    assert ENFORCERS["mps"].settings(slices, PLACE) == SliceSettings()


def test_a_very_small_part_still_gets_a_share_of_the_multiprocessors() -> None:
    tiny = HeldSlice(0, "GPU-0", 5, 81)
    env = ENFORCERS["mps"].settings([tiny], PLACE).env
    assert env["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] == "1"


def test_hami_limits_each_device_and_mounts_its_library_read_only() -> None:
    settings = ENFORCERS["hami"].settings([HALF], PLACE)
    assert settings.env == {
        "CUDA_DEVICE_MEMORY_LIMIT_0": "8192m",
        "CUDA_DEVICE_SM_LIMIT": "50",
        "CUDA_DEVICE_MEMORY_SHARED_CACHE": "/tmp/apportion-vgpu/GPU-0.cache",
    }
    assert [(str(m.source), m.target, m.read_only) for m in settings.mounts] == [
        ("/opt/libvgpu.so", "/usr/local/apportion/libvgpu.so", True),
        ("/data/enforcement/abc/ld.so.preload", "/etc/ld.so.preload", True),
        ("/data/enforcement/abc/vgpu", "/tmp/apportion-vgpu", False),
    ]
    assert not settings.ipc_host


@pytest.mark.parametrize("slices", [[WHOLE, HALF], [HALF, WHOLE]])
def test_hami_counts_devices_as_the_program_does(slices: list[HeldSlice]) -> None:
    env = ENFORCERS["hami"].settings(slices, PLACE).env
    assert env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert env["CUDA_DEVICE_MEMORY_LIMIT_0"] == "8192m"
    assert env["CUDA_DEVICE_MEMORY_LIMIT_1"] == "16384m"


@pytest.mark.parametrize("name", ["mig", "timeslice", "whole"])
def test_the_others_set_nothing_beside_the_device(name: str) -> None:
    assert ENFORCERS[name].settings([HALF], PLACE) == SliceSettings()


def test_the_nearest_choice_counts() -> None:
    assert enforcer_of("whole", "mps", "hami") == "whole"
    assert enforcer_of(None, "mps", "hami") == "mps"
    assert enforcer_of(None, None, "hami") == "hami"


@pytest.mark.parametrize(
    ("values", "chosen", "enforcer", "serves", "problem"),
    [
        ({}, "mps", "mps", "parts", ""),
        ({}, "whole", "whole", "whole", ""),
        ({}, "mig", "mig", "instance", "no MIG instances"),
        ({"mig_profile": "1g.5gb"}, "mps", "mig", "instance", ""),
        ({"mig_profile": "1g.5gb"}, "mig", "mig", "instance", ""),
        ({"simulated": True}, "whole", "", "parts", ""),
    ],
)
def test_a_device_has_one_enforcer_and_a_mig_instance_only_its_own(
    values: dict[str, object], chosen: str, enforcer: str, serves: str, problem: str
) -> None:
    use = device_use(DeviceRow(**{"simulated": False, "mig_profile": "", **values}), chosen)
    assert (use.enforcer, use.serves) == (enforcer, serves)
    assert problem in use.problem
    assert bool(use.problem) == bool(problem)


def test_hami_without_its_library_gives_nothing() -> None:
    row = DeviceRow(simulated=False, mig_profile="")
    assert "hami_library" in device_use(row, "hami", hami_library=False).problem
    with pytest.raises(ValueError, match="hami_library"):
        ENFORCERS["hami"].settings([HALF], Place(PLACE.mps_dir, PLACE.session_dir))

"""A deployment on real devices, as the fake NVML and the fake MPS tell of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import docker
import docker.errors
import pytest
from docker.types import DeviceRequest

from tests.e2e.conftest import BASE
from tests.e2e.lab import PROJECT, Lab
from tests.fakes import mps, nvml

NVIDIA_HOOK = PROJECT / "tests" / "fakes" / "nvidia_runtime"
LIBRARY = "libvgpu.so"

CONFIG = """
import os

import hub_ext

c = get_config()  # noqa: F821
c.ApportionService.device_check_s = 1
c.ApportionService.meter_interval_s = 1
c.ApportionService.gpu_memory_grace_s = 5
c.ApportionService.hami_library = "{directory}/libvgpu.so"
hub_ext.configure(c, __file__)
for service in c.JupyterHub.services if "services" in c.JupyterHub else ():
    service["environment"] |= {environment!r} | {{"PATH": "{path}:" + os.environ["PATH"]}}
"""


def needs_nvidia_hook() -> None:
    """Skip where the engine takes no request for a GPU."""
    client = docker.from_env()
    request = DeviceRequest(driver="nvidia", device_ids=["GPU-0"], capabilities=[["gpu"]])
    try:
        client.containers.run(BASE, ["true"], entrypoint="", remove=True, device_requests=[request])
    except docker.errors.APIError as error:
        pytest.skip(
            f"This engine takes no requests for GPUs ({error.explanation}); the one that"
            " './apportion test' starts does."
        )
    finally:
        client.close()


def make_gpu_lab(
    make_lab: Callable[..., Lab], directory: Path, *devices: dict[str, object]
) -> tuple[Lab, nvml.FakeNvml]:
    """Skips where the engine cannot."""
    needs_nvidia_hook()
    fake = nvml.FakeNvml(directory, *devices)
    library = nvml.build(directory)
    shutil.copy(library, directory / LIBRARY)  # any file does: nothing is computed
    config = directory / "config.py"
    config.write_text(
        CONFIG.format(
            directory=directory,
            environment=fake.environment(library),
            path=f"{mps.PROGRAMS}:{NVIDIA_HOOK}",
        )
    )
    return make_lab(config=config), fake

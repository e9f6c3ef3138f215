"""A ``libnvidia-ml.so.1`` for machines without a GPU, which the unchanged ``pynvml`` loads.

It is built with the C compiler of this machine and answers from a JSON file that a test rewrites
while it is in use:

    {"driver": "550.54.15",
     "devices": [{"uuid": "GPU-...", "name": "NVIDIA A100", "memory_mib": 40960, "used_mib": 0,
                  "utilization": 50, "celsius": 40, "slowdown_celsius": 95, "shutdown_celsius": 98,
                  "ecc_uncorrected": 0, "lost": false,
                  "processes": [{"pid": 1, "used_mib": 500, "sm": 30}],
                  "mig": [{"uuid": "MIG-...", "name": "NVIDIA A100 MIG 1g.5gb",
                           "memory_mib": 4864, "slices": 1, "processes": []}],
                  "errors": {"nvmlDeviceGetMemoryInfo": 999}}],
     "events": [{"number": 1, "device": 0, "xid": 79}],
     "errors": {"nvmlDeviceGetCount_v2": 9}, "hangs": {"nvmlDeviceGetName": 30},
     "count": 9, "process_count": 1000}

``errors`` by function, of the library or of a device; ``hangs``: seconds, or until the file says
otherwise; ``count`` and a device's ``process_count`` are lies. What it does not prove: that
anything computes, or is kept inside its slice.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pynvml
import pytest

_SOURCES = Path(__file__).parent
_NAME = "libnvidia-ml.so.1"


def build(directory: Path) -> Path:
    """Compile the library into ``directory``, once; its path. Raises CalledProcessError."""
    library = directory / _NAME
    if not library.exists():
        scratch = directory / f".{_NAME}.{os.getpid()}"
        sources = [str(_SOURCES / name) for name in ("json.c", "nvml.c")]
        flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]
        subprocess.run(["cc", *flags, "-o", str(scratch), *sources], check=True)
        scratch.rename(library)
    return library


def gpu(index: int, *, memory_mib: int = 16384, **values: Any) -> dict[str, Any]:
    """A healthy device; the same UUID for the same number."""
    name = uuid.uuid5(uuid.NAMESPACE_OID, f"fake-nvml/{index}")
    return {
        "uuid": f"GPU-{name}",
        "name": "NVIDIA A100-SXM4-40GB",
        "memory_mib": memory_mib,
        "utilization": 0,
        "ecc_uncorrected": 0,
        "processes": [],
        **values,
    }


def instance(number: int, profile: str, memory_mib: int, **values: Any) -> dict[str, Any]:
    """A MIG instance of a profile such as "1g.5gb"."""
    name = uuid.uuid5(uuid.NAMESPACE_OID, f"fake-nvml/mig/{number}/{profile}")
    slices = profile.split("g.")[0]
    return {
        "uuid": f"MIG-{name}",
        "name": f"NVIDIA A100-SXM4-40GB MIG {profile}",
        "memory_mib": memory_mib,
        "slices": int(slices) if slices.isdecimal() else 1,
        "processes": [],
        **values,
    }


class FakeNvml:
    """The state file of one fake library. Change ``state``, then ``write``."""

    def __init__(self, directory: Path, *devices: dict[str, Any]) -> None:
        self.path = directory / "nvml.json"
        self.state: dict[str, Any] = {"devices": list(devices)}
        self.write()

    @property
    def devices(self) -> list[dict[str, Any]]:
        """As the library will report them after ``write``."""
        found: list[dict[str, Any]] = self.state["devices"]
        return found

    def write(self, **values: Any) -> None:
        """Set ``values`` of the library, and let it see the whole state, at once."""
        self.state |= values
        scratch = self.path.with_suffix(".new")
        scratch.write_text(json.dumps(self.state))
        scratch.rename(self.path)

    def xid(self, device: int, code: int) -> None:
        """The device reports this XID."""
        events = self.state.setdefault("events", [])
        events.append({"number": len(events) + 1, "device": device, "xid": code})
        self.write()

    def environment(self, library: Path) -> dict[str, str]:
        """For a process that is to load it, as a real library is found."""
        return {"FAKE_NVML": str(self.path), "LD_LIBRARY_PATH": str(library.parent)}


def load(monkeypatch: pytest.MonkeyPatch, library: Path, fake: FakeNvml) -> None:
    """Let pynvml use it in this process, whose loader would not look for it any more."""
    monkeypatch.setenv("FAKE_NVML", str(fake.path))
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(library)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})

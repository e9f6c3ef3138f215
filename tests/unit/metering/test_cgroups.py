"""Which container a process is in, and what a container uses, in both versions of cgroups."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hub_ext.metering.cgroups import Cgroups, CgroupUse, container_of, paths_of

ID = "0123456789abcdef" * 4
OTHER = "f" * 64


@pytest.mark.parametrize(
    ("text", "container"),
    [
        (f"12:memory:/docker/{ID}\n11:cpu,cpuacct:/docker/{ID}\n", ID),
        (f"0::/system.slice/docker-{ID}.scope\n", ID),
        (f"0::/docker/{ID}\n", ID),
        (f"0::/docker/{ID}/init.scope\n", ID),
        (f"0::/docker/{OTHER}/docker/{ID}\n", ID),
        (f"0::/kubepods.slice/cri-containerd-{ID}.scope\n", ID),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
        ("12:memory:/\n", None),
        (f"0::/docker/{ID[:63]}\n", None),
        (f"0::/docker/{ID}0\n", None),
        ("", None),
        ("damaged", None),
    ],
)
def test_the_container_of_a_process(text: str, container: str | None) -> None:
    assert container_of(text) == container


def test_a_process_that_has_ended_is_in_no_container(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(f"0::/docker/{ID}\n")
    cgroups = Cgroups(proc=tmp_path)
    assert cgroups.container_of(7) == ID
    assert cgroups.container_of(8) is None


def version_1(root: Path) -> None:
    cpu, memory = root / "cpuacct" / "docker" / ID, root / "memory" / "docker" / ID
    cpu.mkdir(parents=True)
    memory.mkdir(parents=True)
    (cpu / "cpuacct.usage").write_text("2500000000\n")
    (memory / "memory.usage_in_bytes").write_text(f"{300 << 20}\n")
    (memory / "memory.stat").write_text(f"cache 1\ntotal_inactive_file {100 << 20}\n")


def version_2(root: Path) -> None:
    place = root / "system.slice" / f"docker-{ID}.scope"
    place.mkdir(parents=True)
    (place / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\nnr_periods 3 4\n")
    (place / "memory.current").write_text(f"{300 << 20}\n")
    (place / "memory.stat").write_text(f"anon 1\ninactive_file {100 << 20}\n")


@pytest.mark.parametrize("make", [version_1, version_2])
def test_what_a_container_uses(tmp_path: Path, make: object) -> None:
    make(tmp_path)  # type: ignore[operator]
    cgroups = Cgroups(root=tmp_path)
    assert cgroups.use(ID) == CgroupUse(cpu_us=2_500_000, memory_mib=200)
    assert cgroups.use(OTHER) is None


ROOTLESS = f"user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope"
NESTED = f"docker/{OTHER}/docker/{ID}"


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (f"0::/{ROOTLESS}\n", {"": ROOTLESS}),
        (f"0::/docker/{ID}/init.scope\n", {"": f"docker/{ID}"}),
        (f"0::/{NESTED}\n", {"": NESTED}),
        (f"4:memory:/lab/{ID}\n2:cpu,cpuacct:/lab/{ID}\n0::/\n", {"memory", "cpu", "cpuacct"}),
        (f"0::/../../docker/{ID}\n", {}),
        ("damaged", {}),
    ],
)
def test_where_a_container_is_as_its_processes_say(text: str, paths: object) -> None:
    found = paths_of(text, ID)
    assert found == (dict.fromkeys(paths, f"lab/{ID}") if isinstance(paths, set) else paths)


def process(proc: Path, pid: int, cgroup: str) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cgroup").write_text(cgroup)


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_below_another_parent_is_found_by_its_processes(
    tmp_path: Path, version: int
) -> None:
    proc, root = tmp_path / "proc", tmp_path / "cgroup"
    if version == 1:
        version_1(root)
        for controller in ("cpuacct", "memory"):
            (root / controller / "docker").rename(root / controller / "lab")
        process(proc, 7, f"4:memory:/lab/{ID}\n2:cpuacct:/lab/{ID}\n0::/\n")
    else:
        version_2(root)
        (root / "user.slice").mkdir()
        (root / "system.slice" / f"docker-{ID}.scope").rename(
            root / "user.slice" / f"docker-{ID}.scope"
        )
        process(proc, 7, f"0::/user.slice/docker-{ID}.scope\n")
    process(proc, 8, "0::/user.slice\n")
    (proc / "9").mkdir()  # it has just ended
    assert Cgroups(proc, root).use(ID) == CgroupUse(cpu_us=2_500_000, memory_mib=200)


def test_processes_are_searched_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc, root = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    version_2(root)
    (root / "system.slice").rename(root / "user.slice")
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    cgroups = Cgroups(proc, root)
    assert cgroups.use(ID) is None
    process(proc, 7, f"0::/user.slice/docker-{ID}.scope\n")
    now[0] += 59
    assert cgroups.use(ID) is None
    now[0] += 1
    assert cgroups.use(ID) is not None


def test_what_names_no_container_is_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("usage_usec 1\n")
    assert Cgroups(root=tmp_path).use("../..") is None
    assert Cgroups(root=tmp_path).use("") is None


def test_a_container_that_has_ended_uses_nothing_that_can_be_told(tmp_path: Path) -> None:
    version_2(tmp_path)
    cgroups = Cgroups(root=tmp_path)
    assert cgroups.use(ID) is not None
    (tmp_path / "system.slice" / f"docker-{ID}.scope" / "memory.current").unlink()
    assert cgroups.use(ID) is None


def test_a_damaged_file_is_no_reading(tmp_path: Path) -> None:
    version_2(tmp_path)
    (tmp_path / "system.slice" / f"docker-{ID}.scope" / "memory.current").write_text("max\n")
    assert Cgroups(root=tmp_path).use(ID) is None

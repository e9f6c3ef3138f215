"""Devices that are not simply a thousand parts: MIG instances, whole GPUs, GPUs under MPS."""

from __future__ import annotations

from typing import Any

import pytest

from hub_ext.scheduling.model import Demand, Device, Node, Project, Session, Snapshot
from hub_ext.scheduling.passes import schedule

GIB = 1024


def instance(index: int, milli: int, memory_mib: int = 5 * GIB, **values: Any) -> Device:
    return Device(index, memory_mib, capacity_milli=milli, serves="instance", **values)


def snapshot(devices: list[Device], *demands: Demand, **node: Any) -> Snapshot:
    sessions = tuple(
        Session(id=f"s{n}", user="ann", project="lab", demand=demand, order=n, submitted_at=n)
        for n, demand in enumerate(demands)
    )
    nodes = (Node("gpu-1", tuple(devices), 64_000, 256 * GIB, **node),)
    return Snapshot(now=100.0, nodes=nodes, projects=(Project("lab"),), sessions=sessions)


def gpu(milli: int) -> Demand:
    return Demand(gpu_milli=milli, cpu_milli=1000, memory_mib=1024)


def placed(snapshot: Snapshot, policy: str = "fragmentation") -> dict[str, list[tuple[int, int]]]:
    return {
        start.session_id: [(part.device, part.milli) for part in start.placements[0].slices]
        for start in schedule(snapshot, policy).starts
    }


def reasons(snapshot: Snapshot) -> list[str]:
    return [waiting.reason.message for waiting in schedule(snapshot, "fragmentation").waiting]


@pytest.mark.parametrize("policy", ["fragmentation", "pack", "spread"])
def test_a_request_gets_the_smallest_instance_that_holds_it(policy: str) -> None:
    devices = [instance(0, 571), instance(1, 142), instance(2, 285)]
    assert placed(snapshot(devices, gpu(100)), policy) == {"s0": [(1, 100)]}
    assert placed(snapshot(devices, gpu(200)), policy) == {"s0": [(2, 200)]}
    assert placed(snapshot(devices, gpu(500)), policy) == {"s0": [(0, 500)]}


@pytest.mark.parametrize("policy", ["fragmentation", "pack", "spread"])
def test_an_instance_serves_one_session_however_small(policy: str) -> None:
    starts = placed(snapshot([instance(0, 571)], gpu(100), gpu(100)), policy)
    assert starts == {"s0": [(0, 100)]}


def test_what_no_instance_holds_says_how_large_they_are() -> None:
    (reason,) = reasons(snapshot([instance(0, 142), instance(1, 428)], gpu(500)))
    assert reason == "Needs 0.5 fGPU on one device; the largest MIG instance has 0.428 fGPU."


def test_a_request_by_memory_gets_an_instance_with_so_much() -> None:
    devices = [instance(0, 142, 5 * GIB), instance(1, 428, 20 * GIB)]
    wanted = Demand(gpu_memory_mib=8 * GIB, cpu_milli=1000, memory_mib=1024)
    assert placed(snapshot(devices, wanted)) == {"s0": [(1, 428)]}


def test_several_devices_are_never_instances() -> None:
    devices = [instance(0, 1000), instance(1, 1000), Device(2, 16 * GIB)]
    assert placed(snapshot(devices, gpu(2000))) == {}
    assert placed(snapshot([*devices, Device(3, 16 * GIB)], gpu(2000))) == {
        "s0": [(2, 1000), (3, 1000)]
    }
    assert placed(snapshot(devices[:1], gpu(1000))) == {"s0": [(0, 1000)]}


def test_a_device_for_whole_requests_takes_no_part() -> None:
    devices = [Device(0, 16 * GIB, serves="whole"), Device(1, 16 * GIB)]
    starts = placed(snapshot(devices, gpu(1000), gpu(500), gpu(500)))
    assert starts == {"s0": [(0, 1000)], "s1": [(1, 500)], "s2": [(1, 500)]}
    (reason,) = reasons(snapshot(devices[:1], gpu(500)))
    assert "given only as a whole" in reason


def test_a_part_of_a_device_under_mps_goes_only_to_who_holds_nothing_else() -> None:
    devices = [Device(n, 16 * GIB, parts_alone=True) for n in range(2)]
    starts = placed(snapshot(devices, gpu(500), gpu(1000)))
    assert [[milli for _, milli in starts[name]] for name in ("s0", "s1")] == [[500], [1000]]
    (reason,) = reasons(snapshot(devices, gpu(1500)))
    assert "shared by MPS" in reason


def test_the_reason_names_the_device_that_is_out_of_order() -> None:
    sick = Device(1, 16 * GIB, healthy=False, problem="It reported XID 79.")
    (reason,) = reasons(snapshot([Device(0, 16 * GIB), sick], gpu(2000)))
    assert reason.endswith("Out of order: GPU 1 of gpu-1 (It reported XID 79).")
    (reason,) = reasons(snapshot([sick], gpu(500)))
    assert reason.startswith("Needs 0.5 fGPU; no GPU takes sessions now. Out of order: GPU 1")


def test_the_reason_names_the_node_whose_docker_cannot_hand_gpus_on() -> None:
    problem = "Docker has no NVIDIA runtime; see https://docs"
    devices = [Device(0, 16 * GIB, healthy=False, problem=problem)]
    snap = snapshot(devices, gpu(500), Demand(cpu_milli=1000, memory_mib=1024), gpu_problem=problem)
    assert list(placed(snap)) == ["s1"]
    assert reasons(snap) == [f"Needs 0.5 fGPU; no GPU takes sessions now. Node gpu-1: {problem}."]


def test_fair_shares_count_what_instances_hold() -> None:
    devices = [instance(n, 142) for n in range(7)]
    decisions = schedule(snapshot(devices, *[gpu(100)] * 8), "fragmentation")
    assert len(decisions.starts) == 7
    assert decisions.fair_share["lab"].gpu_milli <= 7 * 142

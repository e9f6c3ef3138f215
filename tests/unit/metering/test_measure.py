"""From processes on devices to what a session used of its slice."""

from __future__ import annotations

import pytest

from hub_ext.gpu.devices import GpuProcess
from hub_ext.metering.measure import (
    Held,
    SliceUse,
    gpu_busy,
    memory_mib,
    nearly_full,
    over,
    slice_uses,
)
from hub_ext.metering.samples import KEPT_S, Sample, Samples

HALF = Held("GPU-0", 500, 1000, 8192)
WHOLE = Held("GPU-1", 1000, 1000, 16384)
READ = ("GPU-0", "GPU-1")


def process(uuid: str = "GPU-0", mib: int | None = 100, sm: int | None = 10) -> GpuProcess:
    return GpuProcess(uuid, 7, mib, sm)


def used(mib: int | None) -> list[SliceUse]:
    return [SliceUse(HALF, mib, 0.0)]


def test_memory_is_that_of_all_processes_on_its_devices() -> None:
    found = [process(mib=100), process(mib=200), process("GPU-1", mib=50), process("GPU-9")]
    assert memory_mib(slice_uses([HALF, WHOLE], found, {}, READ)) == 350


def test_half_a_gpu_that_computes_a_quarter_of_it_is_half_busy() -> None:
    assert gpu_busy(slice_uses([HALF], [process(sm=15), process(sm=10)], {}, READ)) == 0.5


def test_a_slice_is_never_more_than_wholly_busy() -> None:
    assert gpu_busy(slice_uses([HALF], [process(sm=90)], {}, READ)) == 1.0


def test_of_a_whole_device_its_own_reading_counts() -> None:
    assert gpu_busy(slice_uses([WHOLE], [process("GPU-1", sm=None)], {"GPU-1": 0.8}, READ)) == 0.8


def test_several_devices_count_by_what_is_held_of_them() -> None:
    uses = slice_uses([HALF, WHOLE], [process(sm=50)], {"GPU-1": 0.0}, READ)
    assert gpu_busy(uses) == pytest.approx(0.5 / 1.5)


def test_without_a_process_it_uses_nothing() -> None:
    uses = slice_uses([HALF], [], {}, READ)
    assert (memory_mib(uses), gpu_busy(uses)) == (0, 0.0)


def test_a_device_that_was_not_read_is_no_proof_of_anything() -> None:
    (half, whole) = slice_uses([HALF, WHOLE], [process("GPU-1", mib=50)], {}, ["GPU-1"])
    assert (half.memory_mib, half.sm) == (None, None)
    assert whole.memory_mib == 50


def test_what_the_driver_does_not_tell_is_not_made_up() -> None:
    uses = slice_uses([HALF], [process(mib=None, sm=None)], {}, READ)
    assert (memory_mib(uses), gpu_busy(uses)) == (None, None)


@pytest.mark.parametrize(
    ("mib", "beyond"), [(8192, False), (8300, False), (8400, True), (None, False)]
)
def test_a_context_is_not_counted_to_the_mib(mib: int | None, beyond: bool) -> None:
    assert (over(used(mib)) is not None) == beyond


def test_each_device_has_its_own_limit() -> None:
    uses = slice_uses([HALF, WHOLE], [process(mib=9000), process("GPU-1", mib=0)], {}, READ)
    found = over(uses)
    assert found is not None
    assert found.held == HALF


def test_nearly_full_is_left_later_than_it_is_reached() -> None:
    assert nearly_full(used(7700), before=False) is None
    assert nearly_full(used(7800), before=False) is not None
    assert nearly_full(used(7500), before=True) is not None
    assert nearly_full(used(7300), before=True) is None


def test_samples_are_kept_for_ten_minutes_and_forgotten_with_their_session() -> None:
    samples = Samples()
    for second in range(0, 1000, 5):
        samples.add({"a": Sample(float(second), gpu_memory_mib=second)})
    latest = samples.latest("a")
    assert latest is not None
    assert latest.at == 995
    assert samples.recent("a", 10) == [Sample(float(at), at) for at in (985, 990, 995)]
    assert len(samples.recent("a", 1e9)) == KEPT_S / 5 + 1
    samples.add({})
    assert samples.latest("a") is None
    assert samples.recent("a", 60) == []

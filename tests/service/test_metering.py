"""What sessions use: measured, kept at falling resolution, and watched over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from hub_ext.db.connection import Database
from hub_ext.db.models import SessionRow
from hub_ext.db.usage_models import SessionUseRow
from hub_ext.gpu.devices import GpuProcess
from hub_ext.metering import storing
from hub_ext.metering.cgroups import Cgroups
from hub_ext.metering.meter import Meter
from hub_ext.metering.queries import computed_gpu_hours, use_of_session
from hub_ext.metering.samples import Sample
from hub_ext.metering.storing import MinuteStore, mean, prune, roll_up
from hub_ext.nodes import inventory
from hub_ext.sessions.culler import Culler
from hub_ext.sessions.launcher import Launcher
from hub_ext.site import Site
from tests.service.booked_rows import book
from tests.service.real_gpus import GIB, Gpus, real

NODE = "gpu-1"
HOUR = 3600 * 500_000
"""A full hour, in Unix s."""


class Containers(Cgroups):
    """Processes of containers named by their pid; each container has used so much."""

    def __init__(self, root: Path) -> None:
        super().__init__(root=root)
        self._root = root

    def container_of(self, pid: int) -> str | None:
        return f"{pid:064x}" if pid < 100 else None

    def uses(self, number: int, cpu_us: int, memory_mib: int) -> None:
        place = self._root / "docker" / f"{number:064x}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "cpu.stat").write_text(f"usage_usec {cpu_us}\n")
        (place / "memory.current").write_text(str(memory_mib << 20))
        (place / "memory.stat").write_text("inactive_file 0\n")


@pytest.fixture
async def gpus(site: Site) -> Gpus:
    made = Gpus(real(0))
    site.nodes = {NODE: made}
    await inventory.refresh(site)
    return made


@pytest.fixture
def containers(tmp_path: Path) -> Containers:
    return Containers(tmp_path / "cgroup")


def session(site: Site, number: int, milli: int = 500, **values: Any) -> SessionRow:
    container = f"{number:064x}"
    with site.database.transaction() as db:
        parts = {0: milli} if milli else {}
        return book(db, NODE, parts, user=f"user{number}", container_id=container, **values)


def on_device(gpus: Gpus, **of: tuple[int, int]) -> None:
    """``p7=(MiB, SM %)``: a process with pid 7."""
    gpus.running = [
        GpuProcess(gpus.present[0].uuid, int(name[1:]), mib, sm) for name, (mib, sm) in of.items()
    ]


class Watch:
    """A meter and the culler that it tells."""

    def __init__(self, site: Site, containers: Containers) -> None:
        self.culler = Culler(site, Launcher(site))
        self.active: list[tuple[str, str]] = []
        self.meter = Meter(
            site,
            lambda user, name, at: self.active.append((user, name)),
            self.culler.look_again,
            containers,
        )

    async def look(self) -> None:
        await self.meter.once()
        self.culler.once()


async def test_a_session_is_charged_with_its_own_processes_only(
    site: Site, gpus: Gpus, containers: Containers
) -> None:
    one, other = session(site, 7), session(site, 8)
    containers.uses(7, 1_000_000, 300)
    on_device(gpus, p7=(2000, 25), p8=(100, 0), p4000=(50, 50))
    watch = Watch(site, containers)
    await watch.look()
    sample = site.meter.latest(one.id)
    assert sample is not None
    assert (sample.gpu_memory_mib, sample.gpu, sample.memory_mib) == (2000, 0.5, 300)
    assert sample.cpu_milli is None  # the first look: since when?
    neighbour = site.meter.latest(other.id)
    assert neighbour is not None
    assert (neighbour.gpu_memory_mib, neighbour.memory_mib) == (100, None)


async def test_cpu_is_what_was_used_between_two_looks(
    site: Site, gpus: Gpus, containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = session(site, 7)
    watch = Watch(site, containers)
    for second, used_us in ((0, 5_000_000), (5, 12_500_000)):
        monkeypatch.setattr(time, "monotonic", lambda second=second: 1000.0 + second)
        containers.uses(7, used_us, 300)
        await watch.meter.once()
    sample = site.meter.latest(one.id)
    assert sample is not None
    assert sample.cpu_milli == 1500


@pytest.mark.parametrize("silence", [lambda *_, **__: None, lambda *_, **__: {}])
async def test_when_the_driver_is_silent_nothing_is_known_and_nobody_is_blamed(
    site: Site,
    gpus: Gpus,
    containers: Containers,
    monkeypatch: pytest.MonkeyPatch,
    silence: Callable[..., Any],
) -> None:
    one = session(site, 7)
    on_device(gpus, p7=(9 * GIB, 25))
    watch = Watch(site, containers)
    await watch.look()
    assert one.id in site.meter.excess
    monkeypatch.setattr(Gpus, "processes", silence)
    with site.database.transaction() as db:  # its time is over meanwhile
        row = db.get(SessionRow, one.id)
        assert row is not None
        row.stops_at = time.time()
    await watch.look()
    sample = site.meter.latest(one.id)
    assert sample is not None
    assert (sample.gpu_memory_mib, sample.gpu) == (None, None)
    stays = site.store.get(one.id)
    assert (stays.status, stays.notice_code) == ("RUNNING", "gpu_memory")
    assert "more GPU memory than its slice" in stays.alerts[0]["message"]


async def test_a_silent_driver_keeps_no_session_beyond_its_lifetime(
    site: Site, gpus: Gpus, containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = session(site, 7)
    on_device(gpus, p7=(9 * GIB, 25))
    watch = Watch(site, containers)
    await watch.look()
    monkeypatch.setattr(Gpus, "processes", lambda *_, **__: None)
    with site.database.transaction() as db:
        row = db.get(SessionRow, one.id)
        assert row is not None
        row.lifetime_s, row.running_at = 60, time.time() - 120
    watch.culler.look_again()
    await watch.look()
    assert site.store.get(one.id).notice_code == "lifetime"


async def test_a_session_near_the_end_of_its_slice_is_told_once_and_again_when_it_is_not(
    site: Site, gpus: Gpus, containers: Containers
) -> None:
    one = session(site, 7)
    watch = Watch(site, containers)
    for mib in (7900, 7950, 7960):
        on_device(gpus, p7=(mib, 0))
        await watch.look()
    (alert,) = site.store.get(one.id).alerts
    assert alert["code"] == "gpu_memory"
    assert "nearly all GPU memory of its slice: 7.7 of 8.0 GiB" in alert["message"]
    on_device(gpus, p7=(1000, 0))
    await watch.look()
    assert site.store.get(one.id).alerts == []
    assert len(site.store.history(one.id)) == 2


async def test_a_session_beyond_its_slice_is_warned_then_stopped_and_its_neighbour_is_not(
    site: Site, gpus: Gpus, containers: Containers
) -> None:
    one, neighbour = session(site, 7), session(site, 8)
    on_device(gpus, p7=(9 * GIB, 50), p8=(4 * GIB, 50))
    watch = Watch(site, containers)
    await watch.look()
    warned = site.store.get(one.id)
    assert warned.status == "RUNNING"
    assert warned.notice_code == "gpu_memory"
    assert "holds 9.0 GiB of GPU memory; its slice has 8.0 GiB" in warned.notice_message
    assert 55 <= (warned.stops_at or 0) - time.time() <= 60
    assert site.store.get(neighbour.id).stops_at is None

    with site.database.transaction() as db:  # a minute later
        row = db.get(SessionRow, one.id)
        assert row is not None
        row.stops_at = time.time()
    since = time.time() - site.policy.gpu_memory_grace_s
    site.meter.excess[one.id] = replace(site.meter.excess[one.id], since=since)
    await watch.look()
    assert site.store.get(one.id).status == "TERMINATING"
    assert site.store.get(neighbour.id).status == "RUNNING"
    assert site.store.get(neighbour.id).alerts == []
    last = site.store.history(one.id)[-1]
    assert (last.to_status, last.code) == ("TERMINATING", "gpu_memory")
    assert "9.0 GiB" in last.message


async def test_who_frees_memory_in_time_stays(
    site: Site, gpus: Gpus, containers: Containers
) -> None:
    one = session(site, 7)
    watch = Watch(site, containers)
    on_device(gpus, p7=(9 * GIB, 50))
    await watch.look()
    on_device(gpus, p7=(2 * GIB, 50))
    await watch.look()
    row = site.store.get(one.id)
    assert (row.status, row.stops_at, row.alerts) == ("RUNNING", None, [])
    assert "keeps to its slice again" in site.store.history(one.id)[-1].message


async def test_a_site_may_choose_only_to_warn(
    site: Site, gpus: Gpus, containers: Containers
) -> None:
    site.policy = replace(site.policy, stop_over_gpu_memory=False)
    one = session(site, 7)
    on_device(gpus, p7=(9 * GIB, 50))
    await Watch(site, containers).look()
    row = site.store.get(one.id)
    assert row.stops_at is None
    assert "more GPU memory than its slice: 9.0 of 8.0 GiB" in row.alerts[0]["message"]


async def test_a_restart_forgets_no_warning_before_it_has_measured(
    site: Site, gpus: Gpus, containers: Containers
) -> None:
    one = session(site, 7, stops_at=time.time() + 30, notice_code="gpu_memory")
    culler = Culler(site, Launcher(site))
    culler.once()
    assert site.store.get(one.id).stops_at is not None


async def test_who_computes_is_in_use_whatever_his_kernels_say(
    site: Site, gpus: Gpus, containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    session(site, 7)
    session(site, 8)
    on_device(gpus, p7=(1000, 40), p8=(1000, 0))
    now = [HOUR + 30.0]
    watch = Watch(site, containers)
    monkeypatch.setattr(watch.meter._store, "_clock", lambda: now[0])
    watch.meter._store._minute = int(now[0]) // 60
    await watch.meter.once()
    assert watch.active == []
    now[0] += 60
    await watch.meter.once()
    assert watch.active == [("user7", "")]


def test_after_a_restart_who_computed_was_in_use_then(site: Site, containers: Containers) -> None:
    on_gpu, on_cpu, idle, ended = (session(site, number) for number in (7, 8, 9, 10))
    with site.database.transaction() as db:
        over = db.get(SessionRow, ended.id)
        assert over is not None
        over.status = "TERMINATED"
    fill(site.database, on_gpu.order, 2, gpu_permille=400, cpu_milli=0)
    fill(site.database, on_cpu.order, 1, cpu_milli=on_cpu.cpu_milli)
    fill(site.database, idle.order, 2, gpu_permille=10, cpu_milli=0)
    fill(site.database, ended.order, 2, gpu_permille=400)
    culler = Culler(site, Launcher(site))
    culler.activity._read_at = time.time()  # the hub has answered
    Meter(site, culler.activity.in_use, culler.look_again, containers).recall()
    assert [culler.activity.of(f"user{number}", "") for number in (7, 8, 9, 10)] == [
        *(HOUR, HOUR),
        *(None, None),
    ]


def fill(database: Database, order: int, minutes: int, **values: int) -> None:
    """So many whole minutes up to HOUR."""
    with database.transaction() as db:
        for number in range(minutes):
            row = {"session_order": order, "span_s": 60, "measured_s": 60}
            at = HOUR // 60 - 1 - number
            db.add(SessionUseRow(**row, at=at, **values))


def counts(database: Database) -> dict[int, int]:
    query = select(SessionUseRow.span_s, func.count()).group_by(SessionUseRow.span_s)
    with database.transaction() as db:
        return {row[0]: row[1] for row in db.execute(query)}


def test_a_minute_is_handed_out_when_the_next_begins(database: Database) -> None:
    now = [HOUR + 50.0]
    store = MinuteStore(database, clock=lambda: now[0])
    assert store.add({1: Sample(now[0], 100, 0.5, 200, 300)}, 5) is None
    now[0] += 5
    assert store.add({1: Sample(now[0], 300, None, 400, 300)}, 5) is None
    now[0] += 5
    full = store.add({1: Sample(now[0], 999)}, 5)
    assert full == {1: Sample(HOUR + 55.0, 200, 0.5, 300, 300)}
    store.write(full, now[0])
    with database.transaction() as db:
        (row,) = db.scalars(select(SessionUseRow))
        assert (row.at, row.measured_s, row.gpu_permille) == (HOUR // 60, 10, 500)


def test_means_are_of_what_was_measured() -> None:
    assert mean([Sample(1), Sample(2, 10)]) == Sample(2, 10)
    assert mean([Sample(1)]) == Sample(1)


def test_longer_spans_are_made_once_from_shorter_ones(database: Database) -> None:
    fill(database, 1, 60, gpu_memory_mib=100, gpu_permille=250, cpu_milli=10)
    fill(database, 2, 5, gpu_permille=1000)
    for _ in range(2):
        with database.transaction() as db:
            roll_up(db, HOUR + 20)
    assert counts(database) == {60: 65, 900: 5, 3600: 2}
    with database.transaction() as db:
        hour = db.get(SessionUseRow, (1, 3600, HOUR // 3600 - 1))
        assert hour is not None
        assert (hour.measured_s, hour.gpu_permille, hour.gpu_memory_mib) == (3600, 250, 100)
        assert hour.memory_mib is None
        part = db.get(SessionUseRow, (2, 3600, HOUR // 3600 - 1))
        assert part is not None
        assert (part.measured_s, part.gpu_permille) == (300, 1000)


def test_a_mean_weighs_spans_by_how_long_they_were_measured(database: Database) -> None:
    with database.transaction() as db:
        for at, seconds, permille in ((0, 60, 1000), (1, 20, 0), (2, 60, None)):
            values = {"session_order": 1, "span_s": 60, "measured_s": seconds}
            row = SessionUseRow(**values, at=HOUR // 60 - 15 + at, gpu_permille=permille)
            db.add(row)
        db.flush()
        roll_up(db, HOUR)
        quarter = db.get(SessionUseRow, (1, 900, HOUR // 900 - 1))
        assert quarter is not None
        assert (quarter.measured_s, quarter.gpu_permille) == (140, 750)


def test_what_is_old_goes(database: Database) -> None:
    fill(database, 1, 60, gpu_permille=1)
    with database.transaction() as db:
        roll_up(db, HOUR)
        prune(db, HOUR + storing.KEPT_S[60] + 60)
    assert counts(database) == {900: 4, 3600: 1}
    with database.transaction() as db:
        prune(db, HOUR + storing.KEPT_S[3600] + 3600)
    assert counts(database) == {}


def test_gpu_hours_that_were_computed(site: Site) -> None:
    with site.database.transaction() as db:
        row = book(db, NODE, {0: 500}, project="ml101")
        idle = book(db, NODE, {0: 500}, project="quiet")
    fill(site.database, row.order, 60, gpu_permille=500)
    fill(site.database, idle.order, 60, gpu_permille=0)
    with site.database.transaction() as db:
        roll_up(db, HOUR)
        found = computed_gpu_hours(db, ["ml101", "quiet", "none"], HOUR - 3600, HOUR)
        assert found == {"ml101": pytest.approx(0.25), "quiet": 0.0}
        use = use_of_session(db, row.order, "hour", HOUR)
    assert use.step_s == 60
    assert len(use.samples) == 60
    assert use.samples[0] == Sample(HOUR - 3600, None, 0.5)

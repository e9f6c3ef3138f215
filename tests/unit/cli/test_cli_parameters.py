"""What people write for durations, sizes, hours and folders."""

from __future__ import annotations

import time
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_ext.cli.parameters import (
    Duration,
    FolderMount,
    Moment,
    Number,
    Size,
    Unless,
    Window,
    window_text,
)
from hub_ext.cli.service_command import NULL
from hub_ext.cli.tables import exact_span, memory, span
from hub_ext.hours import DAYS, read_windows

WEEK = ["mon", "tue", "wed", "thu", "fri"]


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (Duration(), "90m", 5400),
        (Duration(), "2H", 7200),
        (Duration(), "1d12h", 129600),
        (Duration(), "1.5h", 5400),
        (Duration(), "45s", 45),
        (Size(), "4G", 4096),
        (Size(), "512m", 512),
        (Size(), "1.5GiB", 1536),
        (Size(), "1T", 1024 * 1024),
        (Number(), "2", 2),
        (Number(), "0.5", 0.5),
        (Number(), "-1", -1),
        (Unless(Duration(), "unlimited"), "Unlimited", NULL),
        (Unless(Duration(), "unlimited"), "1m", 60),
        (FolderMount(), "data", {"name": "data", "mode": "rw"}),
        (FolderMount(), "data:ro", {"name": "data", "mode": "ro"}),
        (FolderMount(), "data:/mnt/x", {"name": "data", "mode": "rw", "target": "/mnt/x"}),
        (FolderMount(), "data:x:ro", {"name": "data", "mode": "ro", "target": "x"}),
        (Window(), "08:00-18:00", {"days": [*DAYS], "from": "08:00", "until": "18:00"}),
        (Window(), "Mon-Fri 08:00-18:00", {"days": WEEK, "from": "08:00", "until": "18:00"}),
        (
            Window(),
            "sat-mon,wed 22:00-06:00",
            {"days": ["mon", "wed", "sat", "sun"], "from": "22:00", "until": "06:00"},
        ),
        (
            Window(amounts=True),
            "mon 08:00-18:00 fgpu=4 memory=64G cpu=unlimited",
            {
                "days": ["mon"],
                "from": "08:00",
                "until": "18:00",
                "fgpu": 4,
                "memory_mib": 65536,
                "cpu": None,
            },
        ),
    ],
)
def test_is_read_as(type_: click.ParamType, text: str, value: Any) -> None:
    assert type_.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (Duration(), "90"),
        (Duration(), "2 hours"),
        (Duration(), "-1h"),
        (Duration(), "0.0001s"),
        (Duration(), "1.5s"),
        (Duration(), ""),
        (Duration(), "٣h"),
        (Size(), "4"),
        (Size(), "1.0001M"),
        (Size(), "4K"),
        (Size(), "-4G"),
        (Number(), "nan"),
        (Number(), "inf"),
        (Number(), "half"),
        (Moment(), "tomorrow"),
        (Moment(), "2026-02-30"),
        (FolderMount(), ""),
        (FolderMount(), ":ro"),
        (FolderMount(), "a::ro"),
        (FolderMount(), "a:b:c:ro"),
        (Window(), ""),
        (Window(), "mon-fri"),
        (Window(), "moon 08:00-18:00"),
        (Window(), "mon 8-18"),
        (Window(), "mon 08:00-18:00 fgpu=4"),
        (Window(amounts=True), "mon 08:00-18:00 gpus=4"),
        (Window(amounts=True), "mon 08:00-18:00 fgpu=many"),
    ],
)
def test_is_refused(type_: click.ParamType, text: str) -> None:
    with pytest.raises(click.BadParameter):
        type_.convert(text, None, None)


def test_a_date_is_by_the_clock_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    assert Moment().convert("2026-10-01 08:00", None, None) == 1790834400
    monkeypatch.undo()
    time.tzset()


@given(
    st.sets(st.sampled_from(DAYS), min_size=1),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 64),
)
def test_hours_are_shown_as_they_are_written(
    days: set[str], hour: int, minute: int, fgpu: int
) -> None:
    given = {"days": [*days], "from": f"{hour:02}:{minute:02}", "until": "24:00", "fgpu": fgpu / 4}
    (window,) = read_windows([given], "hours", also=("fgpu",))

    assert Window(amounts=True).convert(window_text(window), None, None) == window


@given(st.integers(1, 10**8))
def test_a_length_of_time_is_shown_as_it_is_written(seconds: int) -> None:
    assert Duration().convert(exact_span(seconds), None, None) == seconds


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, ""), (0, "0s"), (59.9, "59s"), (60, "1m"), (7300, "2h"), (200_000, "2d"), (-3, "0s")],
)
def test_an_age_has_one_unit(seconds: float | None, shown: str) -> None:
    assert span(seconds) == shown


@pytest.mark.parametrize(("mib", "shown"), [(512, "512M"), (4096, "4G"), (1536, "1.5G")])
def test_memory_is_shown_as_it_is_written(mib: int, shown: str) -> None:
    assert memory(mib) == shown
    assert Size().convert(shown, None, None) == mib

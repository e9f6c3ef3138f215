"""Weekly opening hours against a clock that is read minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_ext.errors import BadValue
from hub_ext.hours import DAYS, Closed, closed, closes_at, in_force, opening, read_windows

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = tuple(
    ZoneInfo(name)
    for name in (
        "Europe/Berlin",
        "America/New_York",
        "America/St_Johns",
        "America/Havana",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
    )
)
OFFICE = [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "until": "18:00"}]


def at(text: str, tz: tzinfo = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=tz, fold=fold).timestamp()


def windows(*values: dict[str, Any]) -> list[dict[str, Any]]:
    return read_windows(list(values), "hours")


def test_a_course_is_open_in_its_hours_and_says_when_it_opens_again() -> None:
    hours = windows(*OFFICE)
    assert closed(hours, at("2026-11-20 17:59"), BERLIN) is None
    shut = closed(hours, at("2026-11-20 18:00"), BERLIN)
    assert shut == Closed(at("2026-11-23 08:00"), "Mon-Fri 08:00-18:00")
    assert opening(at("2026-11-23 08:00"), BERLIN) == "Monday at 08:00"


def test_it_closes_at_the_end_of_the_present_opening() -> None:
    hours = windows(*OFFICE)
    assert closes_at(hours, at("2026-11-20 08:00"), BERLIN) == at("2026-11-20 18:00")
    assert closes_at(hours, at("2026-11-20 07:59"), BERLIN) is None


def test_without_windows_it_is_always_open() -> None:
    for none in (None, []):
        assert closed(none, at("2026-11-20 03:00"), BERLIN) is None
        assert closes_at(none, at("2026-11-20 03:00"), BERLIN) is None


def test_a_window_over_midnight_lasts_until_the_next_day() -> None:
    nights = windows({"days": ["sun"], "from": "22:00", "until": "06:00"})
    assert closed(nights, at("2026-11-23 05:59"), BERLIN) is None
    assert closes_at(nights, at("2026-11-22 23:00"), BERLIN) == at("2026-11-23 06:00")
    assert closed(nights, at("2026-11-22 05:00"), BERLIN) is not None


def test_windows_that_touch_are_one_opening() -> None:
    hours = windows(
        {"days": ["mon"], "from": "08:00", "until": "24:00"},
        {"days": ["tue"], "from": "00:00", "until": "12:00"},
    )
    assert closes_at(hours, at("2026-11-23 09:00"), BERLIN) == at("2026-11-24 12:00")


@pytest.mark.parametrize(
    "whole",
    [
        [{"from": "00:00", "until": "24:00"}],
        [{"from": "00:00", "until": "00:00"}],
        [{"from": "08:00", "until": "08:00"}],
        [{"from": "08:00", "until": "20:00"}, {"from": "20:00", "until": "08:00"}],
    ],
)
def test_a_week_that_is_open_all_through_never_closes(whole: list[dict[str, Any]]) -> None:
    hours = windows(*whole)
    for time in ("2026-11-22 23:59", "2026-11-23 00:00", "2026-11-25 08:00"):
        assert closed(hours, at(time), BERLIN) is None
        assert closes_at(hours, at(time), BERLIN) is None


def test_an_opening_that_the_clock_skips_is_skipped() -> None:
    # On 28 March 2027 the clock goes from 02:00 to 03:00.
    sundays = windows({"days": ["sun"], "from": "02:10", "until": "02:50"})
    shut = closed(sundays, at("2027-03-28 01:00"), BERLIN)
    assert shut is not None
    assert shut.opens_at == at("2027-04-04 02:10")


def test_a_day_shortened_by_the_clock_ends_when_the_clock_says_so() -> None:
    early = windows({"days": ["sun"], "from": "01:00", "until": "02:30"})
    assert closes_at(early, at("2027-03-28 01:30"), BERLIN) == at("2027-03-28 03:00")


def test_an_hour_that_the_clock_repeats_opens_twice() -> None:
    # On 25 October 2026 the clock shows 02:00 to 03:00 twice.
    half_hour = windows({"days": ["sun"], "from": "02:00", "until": "02:30"})
    first_end = closes_at(half_hour, at("2026-10-25 02:10"), BERLIN)
    assert first_end == at("2026-10-25 02:30")
    shut = closed(half_hour, first_end, BERLIN)
    assert shut is not None
    assert shut.opens_at == at("2026-10-25 02:00", fold=1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([{"from": "08:00", "until": "18:00"}], "daily 08:00-18:00"),
        ([{"days": ["fri", "mon", "wed"], "from": "8:00", "until": "9:30"}], "Mon/Wed/Fri 08:00"),
        ([{"days": ["sat", "fri", "sun", "mon"], "from": "8:00", "until": "9:00"}], "Mon/Fri-Sun"),
        (
            [
                {"days": ["mon", "tue"], "from": "08:00", "until": "12:00"},
                {"days": ["mon", "tue"], "from": "13:00", "until": "18:00"},
                {"days": ["sat"], "from": "09:00", "until": "12:00"},
            ],
            "Mon-Tue 08:00-12:00 and 13:00-18:00, Sat 09:00-12:00",
        ),
    ],
)
def test_hours_are_told_as_people_write_them(values: list[dict[str, Any]], words: str) -> None:
    shut = closed(windows(*values), at("2026-11-19 23:00"), BERLIN)
    assert shut is not None
    assert words in shut.when


def test_the_first_window_that_is_open_is_in_force() -> None:
    values = [
        {"from": "08:00", "until": "12:00", "gpu_milli": 4000},
        {"from": "08:00", "until": "18:00", "gpu_milli": 1000},
    ]
    quotas = read_windows(values, "quota_hours", also=("gpu_milli",))
    at_nine, at_noon, at_night = (
        in_force(quotas, at(f"2026-11-20 {hour}:00"), BERLIN) for hour in ("09", "12", "22")
    )
    assert at_nine is not None
    assert at_nine["gpu_milli"] == 4000
    assert at_noon is not None
    assert at_noon["gpu_milli"] == 1000
    assert at_night is None


def test_windows_are_kept_in_one_spelling() -> None:
    values = [{"days": ["Fri", "mon", "fri"], "from": "8:05", "until": "24:00"}]
    assert read_windows(values, "hours") == [
        {"days": ["mon", "fri"], "from": "08:05", "until": "24:00"}
    ]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ("mon", "hours"),
        ([], "hours"),
        ([{"from": "08:00", "until": "09:00"}] * 51, "hours"),
        ([7], "hours.0"),
        ([{"from": "08:00"}], "hours.0.until"),
        ([{"until": "08:00"}], "hours.0.from"),
        ([{"from": "24:00", "until": "08:00"}], "hours.0.from"),
        ([{"from": "8", "until": "09:00"}], "hours.0.from"),
        ([{"from": "08:60", "until": "09:00"}], "hours.0.from"),
        ([{"from": "24:01", "until": "09:00"}], "hours.0.from"),
        ([{"from": "08:00", "until": "0\u0669:00"}], "hours.0.until"),
        ([{"from": 8, "until": 9}], "hours.0.from"),
        ([{"from": "08:00", "until": "09:00\n"}], "hours.0.until"),
        ([{"days": [], "from": "08:00", "until": "09:00"}], "hours.0.days"),
        ([{"days": "mon", "from": "08:00", "until": "09:00"}], "hours.0.days"),
        ([{"days": ["monday"], "from": "08:00", "until": "09:00"}], "hours.0.days"),
        ([{"days": [["mon"]], "from": "08:00", "until": "09:00"}], "hours.0.days"),
        ([{"from": "08:00", "until": "09:00", "quota": 3}], "hours.0.quota"),
        ([{"from": "08:00", "until": "09:00"}, {}], "hours.1.from"),
    ],
)
def test_a_bad_window_is_refused_by_its_field(values: Any, field: str) -> None:
    with pytest.raises(BadValue) as caught:
        read_windows(values, "hours")
    assert caught.value.field == field


def _is_open(hours: list[dict[str, Any]], moment: float, tz: tzinfo) -> bool:
    """What the clock on the wall says, by the definition and nothing else."""
    local = datetime.fromtimestamp(moment, tz)
    now = f"{local.hour:02d}:{local.minute:02d}"
    today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
    for window in hours:
        over_midnight = window["until"] <= window["from"]
        ends_later = over_midnight or now < window["until"]
        if today in window["days"] and window["from"] <= now and ends_later:
            return True
        if over_midnight and yesterday in window["days"] and now < window["until"]:
            return True
    return False


_clocks = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from((0, 1, 15, 30, 59)))
_windows = st.lists(
    st.fixed_dictionaries(
        {
            "days": st.lists(st.sampled_from(DAYS), min_size=1, max_size=7),
            "from": _clocks,
            "until": st.one_of(_clocks, st.just("24:00")),
        }
    ),
    min_size=1,
    max_size=4,
)
_CHANGES = ("2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01")
_moments = st.builds(
    lambda day, minutes: at(f"{day} 00:00", UTC) + 60 * minutes,
    st.sampled_from((*_CHANGES, "2011-11-06", "2026-07-01")),
    st.integers(-2 * 1440, 2 * 1440),
)


@settings(max_examples=150, deadline=None)
@given(values=_windows, now=_moments, second=st.integers(0, 59), tz=st.sampled_from(ZONES))
def test_it_agrees_with_reading_the_clock_every_minute(
    values: list[dict[str, Any]], now: float, second: int, tz: ZoneInfo
) -> None:
    hours = read_windows(values, "hours")
    is_open = _is_open(hours, now, tz)
    shut = closed(hours, now + second, tz)
    assert (shut is None) == is_open
    change = closes_at(hours, now + second, tz) if shut is None else shut.opens_at
    minutes = range(1, 8 * 1440)
    seen = next(
        (now + 60 * m for m in minutes if _is_open(hours, now + 60 * m, tz) != is_open), None
    )
    if seen is not None:
        assert change == seen
    else:
        assert change is None or change >= now + 60 * minutes.stop

"""The launch form's fields, as a browser sends them, become a launch request."""

from __future__ import annotations

from typing import Any

import pytest

from hub_ext.errors import BadValue
from hub_ext.web.launch.fields import form_field, launch_values


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"image": ["apportion/base:1"], "preset": ["half"]}, None),
        ({"image": ["listed:1"], "image_by_name": [" mine:2 "]}, {"image": "mine:2"}),
        ({"image": ["listed:1"], "image_by_name": [" "]}, {"image": "listed:1"}),
        (
            {"preset": ["half"], "fgpu": ["0.3"], "cpu": ["2"]},
            {"preset": "half"},
        ),
        (
            {"preset": ["custom"], "fgpu": ["0.3"], "cpu": ["1.5"], "memory_gib": ["2.5"]},
            {"fgpu": "0.3", "cpu": 1.5, "memory_mib": 2560},
        ),
        ({"fgpu": ["0.35"]}, {"fgpu": "0.35"}),
        ({"memory_mib": ["3000"]}, {"memory_mib": 3000}),
        (
            {"folder": ["id1", "id2"], "mode:id1": ["ro"], "mode:id2": ["rwd"], "mode:id3": ["ro"]},
            {"folders": [{"id": "id1", "mode": "ro"}, {"id": "id2", "mode": "rw"}]},
        ),
        (
            {
                "folder": ["id1"],
                "target:id1": [" in "],
                "subpath:id1": ["a/b"],
                "target:id2": ["x"],
            },
            {"folders": [{"id": "id1", "mode": "rw", "target": "in", "subpath": "a/b"}]},
        ),
        ({"mode:data": ["ro"]}, {}),
        ({"new_folder": [" runs "]}, {"new_folders": ["runs"]}),
        ({"name": ["  "], "count": ["3"]}, {"count": 3}),
        ({"project": ["ml101"]}, {"project": "ml101"}),
        ({"priority": ["-5"], "lifetime_h": [""]}, {"priority": -5}),
        ({"priority": ["0"], "lifetime_h": ["2.5"]}, {"priority": 0, "lifetime_s": 9000}),
        (
            {"preemptible": ["1"], "requeue": ["0", "1"]},
            {"preemptible": True, "requeue": True},
        ),
        ({"preemptible": ["on"], "requeue": ["0"]}, {"preemptible": True, "requeue": False}),
        ({"preemptible": ["1"]}, {"preemptible": True}),
        ({"requeue": ["0", "1"]}, {}),
        ({"not_before": [""], "not_before_zone": ["Asia/Tokyo"]}, {}),
        (
            {"not_before": ["2027-01-31T08:00"], "not_before_zone": ["Asia/Tokyo"]},
            {"not_before": "2027-01-30T23:00:00+00:00"},
        ),
        (
            {"not_before": ["2027-01-31T08:00"], "not_before_zone": ["-03:30"]},
            {"not_before": "2027-01-31T11:30:00+00:00"},
        ),
        ({"preemptible": ["0"], "requeue": ["0"]}, {}),
    ],
)
def test_fields_become_options(fields: dict[str, list[str]], options: dict[str, Any]) -> None:
    expected = {"image": "apportion/base:1", "preset": "half"} if options is None else options
    assert launch_values(fields) == expected


@pytest.mark.parametrize(
    "field", ["fgpu", "cpu", "memory_gib", "memory_mib", "count", "priority", "lifetime_h"]
)
@pytest.mark.parametrize("text", ["two", "nan", "inf", "1e99", "1,5"])
def test_what_is_no_number_is_refused_naming_its_field(field: str, text: str) -> None:
    with pytest.raises(BadValue, match=f"{field}: '{text}' is not a number"):
        launch_values({field: [text]})


@pytest.mark.parametrize("field", ["memory_mib", "count", "priority"])
def test_half_a_session_is_refused_not_cut_off(field: str) -> None:
    with pytest.raises(BadValue, match=f"{field}: '1.5' is not a whole number"):
        launch_values({field: ["1.5"]})


@pytest.mark.parametrize("hours", ["0", "-1", "0.01"])
def test_a_lifetime_below_a_minute_is_refused(hours: str) -> None:
    with pytest.raises(BadValue, match=r"lifetime_h: .* less than a minute"):
        launch_values({"lifetime_h": [hours]})


@pytest.mark.parametrize("field", ["preemptible", "requeue"])
def test_a_box_that_is_neither_ticked_nor_not_is_refused(field: str) -> None:
    with pytest.raises(BadValue, match=f"{field}: 'maybe' is neither"):
        launch_values({field: ["maybe"]})


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "+25:00", "Asia", "a\x00b"])
def test_a_start_in_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(BadValue, match=r"no time zone|is no time") as refused:
        launch_values({"not_before": ["2027-01-31T08:00"], "not_before_zone": [zone]})
    assert refused.value.field == "not_before"


@pytest.mark.parametrize("text", ["soon", "2027-13-01T00:00", "0001-01-01T00:00"])
def test_a_start_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="is no time"):
        launch_values({"not_before": [text], "not_before_zone": ["Asia/Tokyo"]})


@pytest.mark.parametrize(
    ("field", "named"),
    [("memory_mib", "memory_gib"), ("folders.0.target", "folders"), ("image", "image"), (None, "")],
)
def test_a_refusal_is_at_the_field_as_the_form_calls_it(field: str | None, named: str) -> None:
    assert form_field(field, {}) == named


def test_a_wrong_image_is_at_the_name_that_was_typed() -> None:
    assert form_field("image", {"image_by_name": ["x"]}) == "image_by_name"

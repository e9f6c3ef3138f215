"""The hub's spawn form: fields in, launch options out, refusals back on the form."""

from __future__ import annotations

from typing import Any

import pytest
from imaginary_spawner import Make
from jupyterhub.spawner import SpawnException
from queue_service import QueueService

from spawner.launch_form import (
    FORM_UNAVAILABLE,
    fetch_launch_form,
    launch_options_from_form,
    parse_launch_form,
)


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
        ({"preemptible": ["0"], "requeue": ["0"]}, {}),
    ],
)
def test_fields_become_options(fields: dict[str, list[str]], options: dict[str, Any]) -> None:
    expected = {"image": "apportion/base:1", "preset": "half"} if options is None else options
    assert parse_launch_form(fields) == expected


@pytest.mark.parametrize(
    "field", ["fgpu", "cpu", "memory_gib", "memory_mib", "count", "priority", "lifetime_h"]
)
@pytest.mark.parametrize("text", ["two", "nan", "inf", "1e99", "1,5"])
def test_what_is_no_number_is_refused_naming_its_field(field: str, text: str) -> None:
    with pytest.raises(SpawnException, match=f"{field}: '{text}' is not a number"):
        parse_launch_form({field: [text]})


@pytest.mark.parametrize("field", ["memory_mib", "count", "priority"])
def test_half_a_session_is_refused_not_cut_off(field: str) -> None:
    with pytest.raises(SpawnException, match=f"{field}: '1.5' is not a whole number"):
        parse_launch_form({field: ["1.5"]})


@pytest.mark.parametrize("hours", ["0", "-1", "0.01"])
def test_a_lifetime_below_a_minute_is_refused(hours: str) -> None:
    with pytest.raises(SpawnException, match=r"lifetime_h: .* less than a minute"):
        parse_launch_form({"lifetime_h": [hours]})


@pytest.mark.parametrize("field", ["preemptible", "requeue"])
def test_a_box_that_is_neither_ticked_nor_not_is_refused(field: str) -> None:
    with pytest.raises(SpawnException, match=f"{field}: 'maybe' is neither"):
        parse_launch_form({field: ["maybe"]})


async def test_a_refused_form_comes_back_with_the_services_words(
    make_spawner: Make, queue: QueueService
) -> None:
    message = "0.35 is not a multiple of 0.1; the nearest are 0.3 and 0.4."
    queue.refuse_next = (400, {"code": "bad_value", "message": message, "field": "fgpu"})

    with pytest.raises(SpawnException) as refused:
        await launch_options_from_form({"fgpu": ["0.35"]}, spawner=make_spawner())
    assert refused.value.message == message


async def test_options_in_the_address_need_no_service() -> None:
    assert await launch_options_from_form({"fgpu": ["0.5"]}) == {"fgpu": "0.5"}


async def test_reloading_a_refused_form_starts_nothing(make_spawner: Make) -> None:
    with pytest.raises(SpawnException, match="from this form"):
        make_spawner().options_from_query({"_xsrf": ["token"]})


async def test_a_form_sent_while_the_service_restarts_is_checked_later(
    make_spawner: Make, queue: QueueService
) -> None:
    await queue.stop()
    options = await launch_options_from_form({"fgpu": ["0.5"]}, spawner=make_spawner())
    assert options == {"fgpu": "0.5"}


async def test_the_form_is_the_services(make_spawner: Make) -> None:
    assert await fetch_launch_form(make_spawner("ann")) == "<p>form of ann</p>"


async def test_a_form_without_its_service_asks_to_reload(
    make_spawner: Make, queue: QueueService
) -> None:
    await queue.stop()
    assert await fetch_launch_form(make_spawner()) == FORM_UNAVAILABLE

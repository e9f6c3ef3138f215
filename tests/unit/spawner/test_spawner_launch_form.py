"""The hub's spawn form: fields in, launch options out, refusals back on the form."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from imaginary_spawner import Make
from jupyterhub.spawner import SpawnException
from queue_service import QueueService

from spawner.launch_form import (
    FORM_UNAVAILABLE,
    fetch_launch_form,
    launch_options_from_form,
)


async def test_a_refused_form_comes_back_with_the_services_words(
    make_spawner: Make, queue: QueueService
) -> None:
    message = "0.35 is not a multiple of 0.1; the nearest are 0.3 and 0.4."
    queue.refuse_next = (400, {"code": "bad_value", "message": message, "field": "fgpu"})

    with pytest.raises(SpawnException) as refused:
        await launch_options_from_form({"fgpu": ["0.35"]}, spawner=make_spawner())
    assert refused.value.message == message


async def test_what_was_typed_comes_back_once_for_the_server_it_was_meant_for(
    make_spawner: Make, queue: QueueService
) -> None:
    fields = {"memory_gib": ["much"], "name": ["my work"]}
    with pytest.raises(SpawnException, match="'much' is not a number"):
        await launch_options_from_form(fields, spawner=make_spawner("eve", "second"))

    for _ in range(2):
        await fetch_launch_form(make_spawner("eve"))

    again, anew = [body for path, body in queue.calls if path == "/spawner/launch-form"]
    assert (again["server_name"], again["refused"]["fields"]) == ("second", fields)
    assert again["refused"]["field"] == "memory_gib"
    assert (anew["server_name"], "refused" in anew) == ("", False)


async def test_the_form_is_in_the_language_of_the_browser(
    make_spawner: Make, queue: QueueService
) -> None:
    spawner = make_spawner("ann")
    spawner.handler = SimpleNamespace(
        request=SimpleNamespace(headers={"Accept-Language": "tlh, en;q=0.5"}),
        get_cookie=lambda name: None,
    )

    await fetch_launch_form(spawner)

    assert queue.calls[-1][1]["language"] == "en"


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

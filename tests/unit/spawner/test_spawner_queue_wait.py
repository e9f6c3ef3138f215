"""From a request to a grant, through restarts, and back when it is given up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from imaginary_spawner import eventually
from queue_service import QueueService

from spawner.queue_wait import (
    SERVICE_RESTARTING,
    SERVICE_STARTING,
    STILL_ENDING,
    QueueWait,
    ServerRequest,
    SessionEnded,
)
from spawner.service_client import Account, Ending, RequestRefused, ServiceClient

REQUEST = ServerRequest(Account("ann"), "lab", "Lab", {"image": "x"})


def waiting(client: ServiceClient, said: list[dict[str, Any]]) -> QueueWait:
    return QueueWait(client, REQUEST, said.append)


def messages(said: list[dict[str, Any]]) -> list[str]:
    return [event["message"] for event in said]


async def test_a_free_slice_is_granted_with_the_first_answer(
    client: ServiceClient, queue: QueueService
) -> None:
    session = await waiting(client, []).granted()

    assert session.granted
    assert [path for path, _ in queue.calls] == ["/spawner/requests"]


async def test_a_full_site_is_explained_until_a_slice_is_free(
    client: ServiceClient, queue: QueueService
) -> None:
    queue.capacity = 0
    said: list[dict[str, Any]] = []
    wait = asyncio.create_task(waiting(client, said).granted())
    await eventually(lambda: said)
    assert said[0]["queue"]["position"] == 1
    assert said[0]["queue"]["reason"] == "No slice is free."

    queue.capacity = 1
    queue.schedule()
    assert (await wait).granted


async def test_a_restart_of_the_service_keeps_the_place(
    client: ServiceClient, queue: QueueService
) -> None:
    queue.capacity = 0
    said: list[dict[str, Any]] = []
    wait = asyncio.create_task(waiting(client, said).granted())
    await eventually(lambda: any("/wait" in path for path, _ in queue.calls))

    await queue.stop()
    await eventually(lambda: SERVICE_RESTARTING in messages(said))
    queue.capacity = 1
    queue.schedule()
    queue.start()

    assert (await wait).granted
    assert len(queue.sessions) == 1


async def test_a_service_that_forgot_the_session_is_asked_again(
    client: ServiceClient, queue: QueueService
) -> None:
    queue.capacity = 0
    wait = asyncio.create_task(waiting(client, []).granted())
    await eventually(lambda: any("/wait" in path for path, _ in queue.calls))
    (forgotten,) = queue.sessions.values()
    queue.sessions.clear()
    queue.capacity = 1
    queue.change(forgotten)

    assert (await wait).granted


async def test_a_service_that_is_not_up_yet_is_waited_for(
    client: ServiceClient, queue: QueueService
) -> None:
    await queue.stop()
    said: list[dict[str, Any]] = []
    wait = asyncio.create_task(waiting(client, said).granted())
    await eventually(lambda: SERVICE_STARTING in messages(said))
    queue.start()

    assert (await wait).granted


async def test_a_session_that_is_still_ending_is_waited_for(
    client: ServiceClient, queue: QueueService
) -> None:
    queue.refuse_next = (409, {"code": "conflict", "message": "still being stopped"})
    said: list[dict[str, Any]] = []

    assert (await waiting(client, said).granted()).granted
    assert messages(said) == [STILL_ENDING]


@pytest.mark.parametrize("status", ["CANCELLED", "EXPIRED", "TERMINATING"])
async def test_a_session_ended_by_others_ends_the_wait(
    client: ServiceClient, queue: QueueService, status: str
) -> None:
    queue.capacity = 0
    wait = asyncio.create_task(waiting(client, []).granted())
    await eventually(lambda: queue.sessions)
    (session,) = queue.sessions.values()
    queue.change(session, status=status, reason={"message": "Cancelled by bob."})

    with pytest.raises(SessionEnded, match="Cancelled by bob"):
        await wait


async def test_a_refused_request_leaves_nothing_to_give_up(
    client: ServiceClient, queue: QueueService
) -> None:
    queue.refuse_next = (422, {"code": "over", "message": "Too much."})
    wait = waiting(client, [])
    with pytest.raises(RequestRefused):
        await wait.granted()
    await wait.give_up(Ending("CANCELLED"))

    assert [path for path, _ in queue.calls] == ["/spawner/requests"]


async def test_a_cancel_before_the_answer_still_ends_what_was_stored(
    client: ServiceClient, queue: QueueService
) -> None:
    queue.hold_answers = asyncio.Event()
    wait = waiting(client, [])
    asking = asyncio.create_task(wait.granted())
    await eventually(lambda: queue.sessions)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    giving_up = asyncio.create_task(wait.give_up(Ending("CANCELLED", "Cancelled.")))
    queue.hold_answers.set()
    await giving_up

    assert queue.outcomes() == ["CANCELLED"]

"""Every answer of the service is a typed value or a typed error."""

from __future__ import annotations

import pytest
from queue_service import TOKEN, QueueService

from spawner.service_client import (
    RequestRefused,
    ServiceClient,
    ServiceDenied,
    ServiceUnavailable,
    SessionConflict,
    SessionGone,
)


async def test_a_request_is_stored_and_granted(client: ServiceClient, queue: QueueService) -> None:
    session = await client.request_session("ann", "", "Lab", {"image": "x"})

    assert session.granted
    assert session.grant is not None
    assert session.grant.node == "gpu-1"
    assert queue.calls[0][1] == {
        "user": "ann",
        "server_name": "",
        "display_name": "Lab",
        "options": {"image": "x"},
    }


@pytest.mark.parametrize("status", [400, 403, 422, 429])
async def test_a_refusal_carries_the_message_for_the_user(
    client: ServiceClient, queue: QueueService, status: int
) -> None:
    queue.refuse_next = (status, {"code": "c", "message": "Too much.", "field": "fgpu"})

    with pytest.raises(RequestRefused) as refused:
        await client.request_session("ann", "", "", {})

    assert refused.value.status_code == status
    assert (refused.value.message, refused.value.field) == ("Too much.", "fgpu")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, ServiceDenied),
        (404, SessionGone),
        (409, SessionConflict),
        (500, ServiceUnavailable),
        (502, ServiceUnavailable),
        (503, ServiceUnavailable),
    ],
)
async def test_a_status_becomes_its_error(
    client: ServiceClient, queue: QueueService, status: int, error: type[Exception]
) -> None:
    queue.refuse_next = (status, {"code": "c", "message": "m"})
    with pytest.raises(error):
        await client.lookup("ann", "")


async def test_a_wrong_token_is_denied(queue: QueueService) -> None:
    client = ServiceClient(queue.url, TOKEN + "x")
    with pytest.raises(ServiceDenied):
        await client.launch_form("ann", "")
    client.close()


async def test_a_service_that_is_away_is_unavailable(
    client: ServiceClient, queue: QueueService
) -> None:
    await queue.stop()
    with pytest.raises(ServiceUnavailable):
        await client.lookup("ann", "")


async def test_names_cannot_leave_their_place_in_an_address(
    client: ServiceClient, queue: QueueService
) -> None:
    assert await client.launch_form(
        "ann&server_name=x", ""
    ) == "<p>form of ann&amp;server_name=x</p>".replace("&amp;", "&")
    with pytest.raises(SessionGone):
        await client.wait("../../spawner/lookup", 0, 1)

"""Every answer of the service is a typed value or a typed error."""

from __future__ import annotations

import pytest
from queue_service import TOKEN, QueueService

from spawner.service_client import (
    Account,
    Ending,
    RequestRefused,
    ServiceClient,
    ServiceDenied,
    ServiceUnavailable,
    SessionConflict,
    SessionGone,
)

ANN = Account("ann", ("course-ml101",))


async def test_a_request_is_stored_and_granted(client: ServiceClient, queue: QueueService) -> None:
    session = await client.request_session(ANN, "", "Lab", {"image": "x"})

    assert session.granted
    assert session.grant is not None
    assert session.grant.node == "gpu-1"
    assert queue.calls[0][1] == {
        "user": "ann",
        "groups": ["course-ml101"],
        "admin": False,
        "server_name": "",
        "display_name": "Lab",
        "options": {"image": "x"},
    }


async def test_the_form_is_asked_for_with_every_group(
    client: ServiceClient, queue: QueueService
) -> None:
    await client.launch_form(Account("ann", ("a b", "c&d"), admin=True), "")

    assert queue.calls[-1][1] == {
        "user": "ann",
        "groups": ["a b", "c&d"],
        "admin": True,
        "server_name": "",
        "language": "en",
    }


async def test_reports_name_their_run_only_when_it_is_known(
    client: ServiceClient, queue: QueueService
) -> None:
    session = await client.request_session(ANN, "", "Lab", {})
    await client.report_status(session.id, "PREPARING", run_id=session.run_id)
    await client.end(session.id, Ending("TERMINATED", run_id=session.run_id))
    await client.end(session.id, Ending("TERMINATED"))

    sent = [body.get("run_id", "none") for _, body in queue.calls[1:]]
    assert sent == [1, 1, "none"]


@pytest.mark.parametrize("status", [400, 403, 422, 429])
async def test_a_refusal_carries_the_message_for_the_user(
    client: ServiceClient, queue: QueueService, status: int
) -> None:
    queue.refuse_next = (status, {"code": "c", "message": "Too much.", "field": "fgpu"})

    with pytest.raises(RequestRefused) as refused:
        await client.request_session(ANN, "", "", {})

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
        await client.launch_form(ANN, "")
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
    assert (
        await client.launch_form(Account("ann&server_name=x"), "")
        == "<p>form of ann&server_name=x</p>"
    )
    with pytest.raises(SessionGone):
        await client.wait("../../spawner/lookup", 0, 1)

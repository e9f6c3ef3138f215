"""What the service may hand a spawner, and what is refused at the edge."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from spawner.grant import Grant, SessionView


def grant_values(**changes: Any) -> dict[str, Any]:
    values = {
        "session_id": "a" * 32,
        "node": "gpu-1",
        "image": "apportion/base:0.1.0",
        "container_name": "apportion-0badcafe-aaaaaaaaaaaa",
        "cpu_milli": 1500,
        "memory_mib": 2048,
    }
    return {**values, **changes}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("container_name", "--privileged"),
        ("container_name", "a b"),
        ("user", "0:0"),
        ("user", "root"),
        ("cpu_milli", 0),
        ("memory_mib", -1),
        ("mounts", [{"source": "relative", "target": "/home/work"}]),
        ("mounts", [{"source": "/data/../etc", "target": "/home/work"}]),
        ("mounts", [{"source": "/data", "target": "home"}]),
    ],
)
def test_a_grant_that_could_harm_the_node_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        Grant.model_validate(grant_values(**{field: value}))


@pytest.mark.parametrize("status", ["SCHEDULED", "PREPARING", "STARTING", "RUNNING"])
def test_a_booked_session_with_a_grant_may_start(status: str) -> None:
    session = SessionView(id="a", status=status, grant=Grant.model_validate(grant_values()))
    assert session.granted


def test_a_terminating_session_may_not_start_though_its_slice_is_booked() -> None:
    session = SessionView(id="a", status="TERMINATING", grant=Grant(**grant_values()))
    assert not session.granted


def test_unknown_fields_of_a_newer_service_are_ignored() -> None:
    assert SessionView.model_validate({"id": "a", "status": "PENDING", "colour": "red"}).id == "a"

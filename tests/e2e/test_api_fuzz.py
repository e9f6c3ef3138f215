"""schemathesis keeps trying the REST API against its own OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error

from hub_ext.web.api.openapi import document
from tests.e2e.lab import API, Lab, Person

schema = schemathesis.openapi.from_dict(document())
# Each with an id of its own, unlike schema.parametrize: of tests with one id only one would run
# where several workers share the tests.
OPERATIONS = [found.ok() for found in schema.get_all_operations()]
ENDED = {"TERMINATED", "CANCELLED", "EXPIRED", "ERROR"}


@pytest.fixture(scope="module")
def person(make_lab: Callable[..., Lab]) -> Person:
    lab = make_lab("--simulate-gpus", "1x8GiB")
    yield lab.person("fuzz")
    lab.person("fuzz").stop_all()
    lab.books_balance()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
@given(data=st.data())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_no_input_breaks_the_api(operation: Any, person: Person, data: st.DataObject) -> None:
    """Any input gets an answer in the documented shape, and never a 5xx."""
    case: schemathesis.Case = data.draw(operation.as_strategy())
    headers = {"Authorization": f"token {person.token}"}
    response = case.call(base_url=person.lab.url + API, headers=headers)
    case.validate_response(response, checks=[not_a_server_error])
    kind = response.headers.get("content-type", [""])[0]
    if response.status_code >= 400 and kind == "application/json":
        error: dict[str, Any] = response.json()["error"]
        assert error["message"]
        assert error["code"]
    if response.status_code == 201 and case.path == "/sessions":
        for session in response.json()["sessions"]:
            person.api.delete(f"/sessions/{session['id']}")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"[]", 400), (b'"x"', 400), (b"\xff\xfe", 400), (b"{" * 2_000_000, 400)],
)
def test_a_body_that_is_no_launch_request_is_refused(
    person: Person, body: bytes, status: int
) -> None:
    answer = person.api.post("/sessions", content=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/sessions?limit=0", 400),
        ("/sessions?limit=x", 400),
        ("/sessions?after=-1", 400),
        ("/sessions/../../hub", 404),
        ("/sessions/zz", 404),
        ("/nothing", 404),
    ],
)
def test_a_bad_query_or_path_gets_a_clear_error(person: Person, path: str, status: int) -> None:
    answer = person.api.get(path)
    assert answer.status_code == status

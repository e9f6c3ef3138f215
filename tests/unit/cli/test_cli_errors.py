"""What a command says when the service refuses, is away, or is something else."""

from __future__ import annotations

import json

import pytest
from scripted_service import Answer, Cli, ScriptedService, recorded

SUBMIT = ("submit", "-g", "0.55")


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


def test_a_bad_value_is_told_with_the_option_that_sets_it(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("POST", "sessions", "bad-value")
    result = cli(*SUBMIT)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert lines(result.stderr) == [
        "Error: fgpu: 0.55 fGPU is not a multiple of 0.1: use 0.5 or 0.6.",
        "What to do: Change --fgpu.",
    ]


def test_a_nested_field_leads_to_its_option(service: ScriptedService, cli: Cli) -> None:
    service.says("PATCH", "projects/full", "project-refused")
    result = cli("project", "set", "full", "--quota-fgpu", "3")

    assert "What to do: Change --quota-fgpu." in result.stderr


def test_a_field_of_a_window_leads_to_the_option_of_all_windows(
    service: ScriptedService, cli: Cli
) -> None:
    error = {"code": "bad_value", "message": "hours.0.until is no time.", "field": "hours.0.until"}
    service.says("PATCH", "projects/full", body={"error": error}, status=400)
    result = cli("project", "set", "full", "--hours", "08:00-28:00")

    assert lines(result.stderr) == [
        "Error: hours.0.until is no time.",
        "What to do: Change --hours.",
    ]


@pytest.mark.parametrize("name", ["over-limit", "conflict"])
def test_other_refusals_are_told_as_the_service_words_them(
    service: ScriptedService, cli: Cli, name: str
) -> None:
    service.says("POST", "sessions", name)
    result = cli(*SUBMIT)

    assert result.exit_code == 1
    assert recorded(name)["error"]["message"] in result.stderr


@pytest.mark.parametrize("name", ["not-found", "forbidden"])
def test_what_is_not_the_callers_is_told_in_one_line(
    service: ScriptedService, cli: Cli, name: str
) -> None:
    service.says("GET", "nodes", name)

    assert lines(cli("node", "list").stderr) == [f"Error: {recorded(name)['error']['message']}"]


def test_an_expired_token_leads_to_login(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", "unauthorized")
    result = cli("list")

    assert result.exit_code == 1
    assert "has expired" in result.stderr
    assert "apportion login" in result.stderr


def test_a_stopped_hub_leads_to_up(service: ScriptedService, cli: Cli) -> None:
    service.close()
    result = cli("list")

    assert result.exit_code == 1
    assert lines(result.stderr) == [
        f"Error: Nothing answers at {service.url}.",
        "What to do: Start it with './apportion up', or name another address: --url URL.",
    ]


def test_a_hub_without_its_service_is_told_apart(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", "proxy-503")
    result = cli("list")

    assert result.exit_code == 1
    assert "its service 'apportion' does not (503)" in result.stderr


@pytest.mark.parametrize(
    ("type_", "body"),
    [
        ("text/html", b"<html>It works!</html>"),
        ("application/json", b'{"sessions": [{"id": "0'),
        ("application/json", b"[1, 2]"),
        ("application/json", b"\xff\xfe"),
        ("application/json", b"[" * 100_000),
    ],
)
def test_an_answer_that_is_not_the_apis_is_no_traceback(
    service: ScriptedService, cli: Cli, type_: str, body: bytes
) -> None:
    service.says_raw("GET", "sessions", Answer(200, type_, body))
    result = cli("list")

    assert result.exit_code == 1
    assert "is not Apportion" in result.stderr


@pytest.mark.parametrize("body", [b"{}", b'{"error": "no"}', b'{"error": {}}', b"7", b"null"])
def test_a_refusal_in_another_shape_is_no_traceback(
    service: ScriptedService, cli: Cli, body: bytes
) -> None:
    service.says_raw("GET", "sessions", Answer(404, "application/json", body))
    result = cli("list")

    assert result.exit_code == 1
    assert "is not Apportion (status 404)" in result.stderr


def test_an_answer_that_breaks_off_is_told(service: ScriptedService, cli: Cli) -> None:
    whole = json.dumps(recorded("list")).encode()
    service.says_raw("GET", "sessions", Answer(200, "application/json", whole, cut=20))
    result = cli("list")

    assert result.exit_code == 1
    assert f"The answer of {service.url} broke off" in result.stderr


def test_an_answer_of_another_version_names_what_is_missing(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("GET", "sessions", body={"found": []})
    result = cli("list")

    assert result.exit_code == 1
    assert "has no 'sessions'" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", "--memory", "4"),
        ("submit", "--lifetime", "soon"),
        ("submit", "--fgpu", "nan"),
        ("submit", "--folder", "a:b:c"),
        ("submit", "--dry-run", "--user", "bob"),
        ("list", "--status", "SLEEPING"),
        ("set", "train"),
        ("project", "set", "ml101"),
        ("project", "set", "ml101", "--image", "any", "--image", "apportion/base:0.1.0"),
        ("project", "member", "set", "ml101", "alice", "--project-limits", "--max-pending", "1"),
        ("node", "label", "local", "zone"),
        ("resource-group", "set", "night"),
    ],
)
def test_wrong_usage_asks_nobody_and_exits_with_2(
    service: ScriptedService, cli: Cli, arguments: tuple[str, ...]
) -> None:
    result = cli(*arguments)

    assert result.exit_code == 2, result.output
    assert service.requests == []

"""``apportion submit``: what is asked for, what is told, and how long it waits."""

from __future__ import annotations

import json
import os
from typing import Any

import click
import pytest
from scripted_service import TOKEN, Answer, Cli, ScriptedService, recorded

from hub_ext.cli import submit as submit_module
from hub_ext.cli.client import Client, ServiceAway
from hub_ext.cli.waiting import PATIENCE_S, AwayTooLong, follow, wait_until_they_run

PENDING = recorded("pending")
RUNNING = {**recorded("running"), "id": PENDING["id"], "name": PENDING["name"]}
ENDED = {**recorded("cancelled"), "id": PENDING["id"]}
ONE = f"sessions/{PENDING['id']}"


@pytest.fixture
def client(service: ScriptedService) -> Client:
    return Client(service.url, TOKEN)


class Pauses:
    """Takes the place of sleeping."""

    def __init__(self) -> None:
        self.lengths: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.lengths.append(seconds)


def test_every_option_becomes_its_field(service: ScriptedService, cli: Cli) -> None:
    service.says("POST", "sessions", body={"sessions": [RUNNING]}, status=201)
    result = cli(
        *("submit", "--name", "train", "-p", "ml101", "-i", "apportion/base:0.1.0"),
        *("--preset", "half-gpu", "-g", "0.5", "-c", "2", "--memory", "4G", "--count", "3"),
        *("-v", "data:/mnt/data:ro", "--folder", "out", "--new-folder", "new"),
        *("--lifetime", "2h", "--preemptible", "--no-requeue", "--priority", "-5"),
        *("--user", "bob", "--not-before", "2030-03-17T17:46:40Z"),
    )

    assert result.exit_code == 0, result.output
    assert service.requests[0].body == {
        "name": "train",
        "project": "ml101",
        "image": "apportion/base:0.1.0",
        "preset": "half-gpu",
        "fgpu": 0.5,
        "cpu": 2,
        "memory_mib": 4096,
        "count": 3,
        "folders": [
            {"name": "data", "mode": "ro", "target": "/mnt/data"},
            {"name": "out", "mode": "rw"},
        ],
        "new_folders": ["new"],
        "lifetime_s": 7200,
        "not_before": 1_900_000_000.0,
        "preemptible": True,
        "requeue": False,
        "priority": -5,
        "user": "bob",
    }


def test_what_is_not_given_is_not_sent(service: ScriptedService, cli: Cli) -> None:
    service.says("POST", "sessions", body={"sessions": [RUNNING]}, status=201)
    cli("submit", "--preset", "half-gpu")

    assert service.requests[0].body == {"preset": "half-gpu"}


def test_a_session_that_waits_says_place_estimate_and_reason(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("POST", "sessions", body={"sessions": [PENDING]}, status=201)
    result = cli("submit", "-g", "2")

    header, row, *sentences = result.stdout.splitlines()
    assert header.split() == ["NAME", "STATUS", "PROJECT", "FGPU", "NODE", "PLACE", "ESTIMATE"]
    assert row.split()[:6] == ["big", "PENDING", "default", "2", "-", "1"]
    assert PENDING["reason"]["message"] in " ".join(" ".join(sentences).split())
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


def test_a_session_that_runs_says_where(service: ScriptedService, cli: Cli) -> None:
    service.says("POST", "sessions", body={"sessions": [RUNNING]}, status=201)

    assert f"{service.url}{RUNNING['url']}" in cli("submit", "-g", "1").stdout


def test_a_new_session_is_told_after_the_schedulers_first_look(
    service: ScriptedService, client: Client
) -> None:
    new = {**PENDING, "position": None, "reason": {"code": "new", "message": "Just.", "help": ""}}
    service.says("GET", ONE, body=new)
    service.says("GET", ONE, body=PENDING)
    pauses = Pauses()

    assert submit_module._looked_at(client, new, pauses) == PENDING
    assert len(pauses.lengths) == 2


def test_a_scheduler_that_does_not_look_holds_nobody_up(
    service: ScriptedService, client: Client
) -> None:
    new = {**PENDING, "reason": {"code": "new", "message": "Just.", "help": ""}}
    service.says("GET", ONE, body=new)
    pauses = Pauses()

    assert submit_module._looked_at(client, new, pauses) == new
    assert sum(pauses.lengths) <= 5


def test_json_is_the_answer_of_the_api(service: ScriptedService, cli: Cli) -> None:
    service.says("POST", "sessions", "submitted")

    assert json.loads(cli("submit", "-g", "0.5", "--json").stdout) == recorded("submitted")
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("name", "sentence"), [("forecast-starts", "Starts now"), ("forecast-waits", "2nd in line")]
)
def test_a_dry_run_tells_what_would_happen_and_asks_for_nothing(
    service: ScriptedService, cli: Cli, name: str, sentence: str
) -> None:
    service.says("POST", "dry-run", name)
    result = cli("submit", "-g", "2", "--dry-run")

    assert result.exit_code == 0
    assert sentence in result.stdout
    assert [request.target for request in service.requests] == ["dry-run"]
    assert json.loads(cli("submit", "-g", "2", "--dry-run", "--json").stdout) == recorded(name)


def test_wait_ends_when_it_runs_and_tells_each_change_once(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("POST", "sessions", body={"sessions": [PENDING]}, status=201)
    service.says("GET", ONE, body=PENDING)
    other = {**RUNNING, "id": "0" * 32}
    service.streams("events", other, PENDING, {**PENDING, "position": 2}, RUNNING)
    result = cli("submit", "-g", "2", "--wait")

    assert result.exit_code == 0, result.output
    told = [line.strip() for line in result.stderr.splitlines() if "place" in line]
    assert [line.split("place ")[1][0] for line in told] == ["1", "2"]
    assert "RUNNING" in result.stdout
    assert service.asked("GET", "events")


def test_wait_fails_when_it_ends_instead(service: ScriptedService, cli: Cli) -> None:
    service.says("POST", "sessions", body={"sessions": [PENDING]}, status=201)
    service.says("GET", ONE, body=PENDING)
    service.streams("events", ENDED)
    result = cli("submit", "-g", "2", "--wait", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"sessions": [ENDED]}


def test_ctrl_c_ends_the_waiting_and_not_the_session(
    service: ScriptedService, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(submit_module, "wait_until_they_run", interrupted)
    service.says("POST", "sessions", body={"sessions": [PENDING]}, status=201)
    result = cli("submit", "--wait")

    assert result.exit_code == 130
    assert "keeps its place" in result.stderr
    assert service.asked("DELETE") == []


def test_waiting_goes_on_where_it_was_after_a_restart_of_the_service(
    service: ScriptedService, client: Client
) -> None:
    service.says("GET", ONE, body=PENDING)
    service.says("GET", ONE, body={**PENDING, "position": 3})
    service.streams("events")
    service.says("GET", "events", "proxy-503")
    service.says_raw("GET", "events", Answer(500, "application/json", b'{"error": '))
    service.streams("events", {**PENDING, "position": 2}, RUNNING)
    pauses, told = Pauses(), []

    assert wait_until_they_run(client, [PENDING], told.append, pause=pauses) == [RUNNING]
    assert len(pauses.lengths) == 3
    assert ["place 1" in told[0], "503" in told[1], "500" in told[2]] == [True] * 3
    assert ["place 3" in told[3], "place 2" in told[4]] == [True] * 2


def test_a_damaged_event_is_the_end_of_its_stream(service: ScriptedService, client: Client) -> None:
    service.says("GET", ONE, body=PENDING)
    service.says_raw("GET", "events", Answer(200, "text/event-stream", b'data: {"id": \n\n'))
    service.streams("events", RUNNING)

    found = wait_until_they_run(client, [PENDING], lambda _: None, pause=Pauses())

    assert found == [RUNNING]


def test_waiting_for_several_tells_how_many_run(service: ScriptedService, client: Client) -> None:
    second = {**PENDING, "id": "1" * 32, "name": "second"}
    service.says("GET", ONE, body=PENDING)
    service.says("GET", f"sessions/{second['id']}", body=second)
    service.streams("events", RUNNING, {**RUNNING, "id": second["id"], "name": "second"})
    told: list[str] = []

    found = wait_until_they_run(client, [PENDING, second], told.append, pause=Pauses())

    assert [session["status"] for session in found] == ["RUNNING", "RUNNING"]
    assert told[0].startswith("0 of 2 run; big: pending")
    assert told[-2].startswith("1 of 2 run; second: pending")
    assert told[-1] == "All run."


def test_patience_has_an_end(service: ScriptedService, client: Client) -> None:
    service.says("GET", "events", "proxy-503")
    pauses, away = Pauses(), list[ServiceAway]()

    with pytest.raises(AwayTooLong, match="has been away for 10m"):
        next(follow(client, [PENDING["id"]], on_away=away.append, pause=pauses))
    assert PATIENCE_S <= sum(pauses.lengths) < PATIENCE_S + 10
    assert len(away) == len(pauses.lengths) + 1


def test_waiting_for_what_is_no_longer_ones_own_is_refused(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("POST", "sessions", body={"sessions": [PENDING]}, status=201)
    service.says("GET", ONE, "not-found")
    service.streams("events")

    assert cli("submit", "--wait").exit_code == 1


def test_open_url_waits_and_opens_it(
    service: ScriptedService, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def launch(url: str, **_: Any) -> int:
        opened.append(url)
        return 0

    monkeypatch.setattr(click, "launch", launch)
    service.says("POST", "sessions", body={"sessions": [PENDING]}, status=201)
    service.says("GET", ONE, body=PENDING)
    service.streams("events", RUNNING)

    assert cli("submit", "--open-url").exit_code == 0
    assert opened == [f"{service.url}{RUNNING['url']}"]


def test_without_a_browser_the_address_is_told(
    service: ScriptedService, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(click, "launch", lambda _: 1)
    service.says("POST", "sessions", body={"sessions": [RUNNING]}, status=201)
    service.says("GET", ONE, body=RUNNING)
    service.streams("events")
    result = cli("submit", "--open-url")

    assert result.exit_code == 1
    assert f"Open {service.url}{RUNNING['url']}" in result.stderr.replace(os.linesep, "")

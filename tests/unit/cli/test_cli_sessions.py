"""``apportion list``, ``get``, ``set`` and ``delete``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted_service import Cli, ScriptedService, recorded

PENDING = recorded("pending")
RUNNING = recorded("running")
BOTH = {"sessions": [PENDING, RUNNING], "after": None}


def a_session(number: int, **changes: Any) -> dict[str, Any]:
    return {**RUNNING, "id": f"{number:032x}", "name": f"s-{number}", **changes}


def test_a_list_reads_at_80_columns_and_says_why_one_waits(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("GET", "sessions", body=BOTH)
    lines = cli("list").stdout.splitlines()

    titles = ["NAME", "STATUS", "PROJECT", "USER", "FGPU", "NODE", "IMAGE", "AGE"]
    assert lines[0].split() == titles
    assert lines[1].split()[:5] == ["big", "PENDING", "default", "alice", "2"]
    assert lines[2].split()[:6] == ["train", "RUNNING", "ml101", "alice", "0.5", "local"]
    assert lines[3].startswith("big: place 1 in line")
    assert PENDING["reason"]["message"] in " ".join(" ".join(lines[3:]).split())
    assert all(len(line) <= 80 for line in lines)
    assert service.requests[0].target == "sessions?all=0&live=1&limit=100"


def test_long_names_stay_whole_at_80_columns(service: ScriptedService, cli: Cli) -> None:
    name = "n" * 64
    session = {**RUNNING, "name": name, "image": "registry.example.org/" + "i" * 200}
    service.says("GET", "sessions", body={"sessions": [session], "after": None})
    output = cli("list").stdout

    assert all(len(line) <= 80 for line in output.splitlines())
    assert output.count("n") >= 64


def test_a_list_of_others_shows_ids_that_work(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", body=BOTH)
    lines = cli("list", "--all").stdout.splitlines()

    assert lines[2].split()[0] == RUNNING["id"][:8]
    assert service.requests[0].target.startswith("sessions?all=1&live=1")


def test_a_session_that_will_be_stopped_says_so(service: ScriptedService, cli: Cli) -> None:
    notice = {"code": "reclaim", "message": "Save your work.", "stops_at": 1.0, "seconds_left": 50}
    warned = {**RUNNING, "notice": notice}
    service.says("GET", "sessions", body={"sessions": [warned], "after": None})
    service.says("GET", f"sessions/{RUNNING['id']}", body=warned)

    assert "train: Save your work." in cli("list").stdout
    assert "Save your work. (50s left)" in cli("get", RUNNING["id"]).stdout


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        (["--ended"], "sessions?all=0&live=0&limit=100"),
        (["--status", "ERROR"], "sessions?all=0&live=0&limit=100"),
        (["--status", "running"], "sessions?all=0&live=1&limit=100"),
        (["-p", "ml101", "--limit", "7"], "sessions?all=0&project=ml101&live=1&limit=7"),
        (["--limit", "900"], "sessions?all=0&live=1&limit=500"),
    ],
)
def test_a_list_asks_for_no_more_than_it_shows(
    service: ScriptedService, cli: Cli, arguments: list[str], target: str
) -> None:
    service.says("GET", "sessions", body=BOTH)
    cli("list", *arguments)

    assert service.requests[0].target == target


def test_a_status_is_looked_for_on_all_pages_until_there_are_enough(
    service: ScriptedService, cli: Cli
) -> None:
    pages = [
        ([a_session(9, status="ERROR"), a_session(8)], 8),
        ([a_session(7), a_session(6, status="ERROR")], 6),
        ([a_session(5, status="ERROR")], 5),
    ]
    for sessions, after in pages:
        service.says("GET", "sessions", body={"sessions": sessions, "after": after})
    found = json.loads(cli("list", "--status", "error", "--limit", "3", "--json").stdout)

    assert [session["name"] for session in found["sessions"]] == ["s-9", "s-6", "s-5"]
    assert found["after"] == 5
    sizes = [request.target.rpartition("limit=")[2] for request in service.requests]
    assert sizes == ["3", "2", "1"]


def test_no_sessions_is_a_sentence(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", body={"sessions": [], "after": None})

    assert cli("list").stdout.strip() == "No sessions. To start one: apportion submit"


def test_json_of_a_list_is_the_apis(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", body=BOTH)

    assert json.loads(cli("list", "--json").stdout) == BOTH


def test_get_tells_all_about_a_session_by_its_name(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", body=BOTH)
    output = cli("get", "train").stdout

    for shown in (RUNNING["id"], "0.5 fGPU", "8G of GPU memory", "(simulated)", "home at"):
        assert shown in output
    assert f"{service.url}{RUNNING['url']}" in output.replace("\n", "")


def test_get_tells_why_a_session_waits(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", body=BOTH)
    output = " ".join(cli("get", "big").stdout.split())

    assert "Place in line 1" in output
    assert PENDING["reason"]["message"] in output


def test_history_tells_every_step(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", body=BOTH)
    service.says("GET", f"sessions/{RUNNING['id']}/history", "history")
    output = cli("get", "train", "--history").stdout
    values = json.loads(cli("get", "train", "--history", "--json").stdout)

    steps = recorded("history")["history"]
    assert all(step["to"] in output for step in steps)
    assert values == {**RUNNING, "history": steps}


def test_get_finds_the_newest_that_has_ended(service: ScriptedService, cli: Cli) -> None:
    ended = recorded("cancelled")
    older = {**ended, "id": "1" * 32}
    service.says("GET", "sessions", body={"sessions": [], "after": None})
    service.says("GET", "sessions", body={"sessions": [RUNNING], "after": 7})
    service.says("GET", "sessions", body={"sessions": [ended, older], "after": None})

    assert json.loads(cli("get", "big", "--json").stdout)["id"] == ended["id"]


def test_a_name_of_two_lists_their_ids(service: ScriptedService, cli: Cli) -> None:
    twins = [a_session(1, name="twin"), a_session(2, name="twin")]
    service.says("GET", "sessions", body={"sessions": twins, "after": None})
    result = cli("get", "twin")

    assert result.exit_code == 1
    assert all(twin["id"] in result.stderr for twin in twins)


def test_the_start_of_an_id_finds_a_session_of_a_project_that_one_teaches(
    service: ScriptedService, cli: Cli
) -> None:
    student = a_session(0xABCDEF01 << 96, user="bob")
    nothing = {"sessions": [], "after": None}
    for body in (nothing, nothing, {"sessions": [student], "after": None}):
        service.says("GET", "sessions", body=body)
    projects = recorded("projects")
    projects["projects"][-1]["role"] = "instructor"
    projects["projects"][0]["role"] = "member"
    service.says("GET", "projects", body=projects)
    service.says("DELETE", f"sessions/{student['id']}", body=student, status=202)

    assert cli("delete", "-y", "abcdef01").exit_code == 0
    assert f"project={projects['projects'][-1]['name']}" in service.asked("GET")[-1].target


def test_set_changes_what_is_given(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", body=BOTH)
    service.says("PATCH", f"sessions/{PENDING['id']}", "changed")
    options = ("--priority", "3", "--no-preemptible", "--requeue", "--lifetime", "unlimited")
    result = cli("set", "big", *options)

    assert result.exit_code == 0, result.output
    assert service.asked("PATCH")[0].body == {
        "priority": 3,
        "preemptible": False,
        "requeue": True,
        "lifetime_s": None,
    }


def test_set_and_delete_find_no_session_that_has_ended(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", body={"sessions": [], "after": None})

    for command in (["set", "big", "--priority", "1"], ["delete", "-y", "big"]):
        result = cli(*command)
        assert result.exit_code == 1
        assert "no live session 'big'" in result.stderr
    assert all("live=1" in request.target for request in service.requests)


def test_delete_asks_first(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", body=BOTH)
    service.says("DELETE", f"sessions/{RUNNING['id']}", "stopping")

    refused = cli("delete", "train", input="n\n")
    assert refused.exit_code == 1
    assert service.asked("DELETE") == []

    assert cli("delete", "train", input="").exit_code == 1
    assert service.asked("DELETE") == []

    agreed = cli("delete", "train", input="y\n")
    assert agreed.exit_code == 0
    assert agreed.stdout == "train: terminating\n"
    assert len(service.asked("DELETE")) == 1


def test_delete_ends_nothing_if_one_of_the_names_is_wrong(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("GET", "sessions", body=BOTH)

    assert cli("delete", "-y", "train", "trian").exit_code == 1
    assert service.asked("DELETE") == []


def test_delete_ends_a_session_once_that_is_named_twice(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "sessions", body=BOTH)
    service.says("GET", f"sessions/{RUNNING['id']}", body=RUNNING)
    service.says("DELETE", f"sessions/{RUNNING['id']}", "stopping")
    result = cli("delete", "-y", "--json", "train", RUNNING["id"])

    assert json.loads(result.stdout) == {"sessions": [recorded("stopping")]}
    assert len(service.asked("DELETE")) == 1

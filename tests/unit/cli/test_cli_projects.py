"""``apportion project`` and ``apportion project member``."""

from __future__ import annotations

import json
from pathlib import Path

from scripted_service import Cli, ScriptedService, recorded

from hub_ext.cli.projects import create
from hub_ext.projects.body import Limits, MemberChange, NewProject, ProjectChange

LISTED = [
    {"user": "alice", "role": "member", "limits": {"max_sessions": 3, "idle_s": 600}},
    {"user": "bob", "role": "member", "limits": {}},
]


def test_every_option_becomes_its_field(service: ScriptedService, cli: Cli) -> None:
    service.says("POST", "projects", "project-full")
    result = cli(
        *("project", "create", "full", "--title", "Whole", "--description", "All of it"),
        *("--parent", "ml101", "--priority", "3", "--open-to-all", "--stops-at-close"),
        *("--quota-fgpu", "0.5", "--quota-cpu", "2", "--quota-memory", "2G"),
        *("--limit-fgpu", "1", "--limit-cpu", "unlimited", "--limit-memory", "4G"),
        *("--weight-fgpu", "2", "--weight-cpu", "1.5", "--weight-memory", "quota"),
        *("--hours", "mon-fri 08:00-18:00", "--hours", "sat 10:00-12:00"),
        *("--quota-hours", "18:00-08:00 fgpu=1 memory=4G"),
        *("--image", "a", "--image", "b", "--preset", "any", "--resource-group", "night"),
        *("--kind", "batch", "--budget", "100"),
        *("--reclaim-min-runtime", "10m", "--preempt-min-runtime", "none"),
        *("--max-sessions", "2", "--max-fgpu", "unlimited", "--max-pending", "5"),
        *("--max-lifetime", "8h", "--idle", "30m", "--max-priority", "10"),
    )

    assert result.exit_code == 0, result.output
    weekdays = ["mon", "tue", "wed", "thu", "fri"]
    assert service.requests[0].body == {
        "name": "full",
        "title": "Whole",
        "description": "All of it",
        "parent": "ml101",
        "priority": 3,
        "open_to_all": True,
        "stops_at_close": True,
        "quota": {"fgpu": 0.5, "cpu": 2, "memory_mib": 2048},
        "limit": {"fgpu": 1, "cpu": None, "memory_mib": 4096},
        "weight": {"fgpu": 2, "cpu": 1.5, "memory_mib": None},
        "hours": [
            {"days": weekdays, "from": "08:00", "until": "18:00"},
            {"days": ["sat"], "from": "10:00", "until": "12:00"},
        ],
        "quota_hours": [
            {
                "days": [*weekdays, "sat", "sun"],
                "from": "18:00",
                "until": "08:00",
                "fgpu": 1,
                "memory_mib": 4096,
            }
        ],
        "images": ["a", "b"],
        "presets": None,
        "resource_groups": ["night"],
        "kinds": ["batch"],
        "budget_fgpu_h": 100,
        "reclaim_min_runtime_s": 600,
        "preempt_min_runtime_s": None,
        "member_limits": {
            "max_sessions": 2,
            "max_fgpu": None,
            "max_pending": 5,
            "max_lifetime_s": 28800,
            "idle_s": 1800,
            "max_priority": 10,
        },
    }
    NewProject.model_validate(service.requests[0].body)


def test_there_is_an_option_for_every_field_of_the_api() -> None:
    given = {str(param.name).partition("__")[0] for param in create.params}
    limits = {
        str(param.name).partition("__")[2]
        for param in create.params
        if str(param.name).startswith("member_limits__")
    }

    assert set(NewProject.model_fields) <= given
    assert limits == set(Limits.model_fields)


def test_set_sends_what_is_given_and_null_for_what_is_taken_away(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("PATCH", "projects/full", "project-changed")
    result = cli(
        *("project", "set", "full", "--parent", "none", "--hours", "always", "--image", "any"),
        *("--valid-until", "none", "--quota-fgpu", "unlimited", "--version", "7"),
        "--not-open-to-all",
    )

    assert result.exit_code == 0, result.output
    body = service.requests[0].body
    assert body == {
        "parent": None,
        "hours": None,
        "images": None,
        "valid_until": None,
        "quota": {"fgpu": None},
        "version": 7,
        "open_to_all": False,
    }
    ProjectChange.model_validate(body)


def test_a_version_alone_changes_nothing_and_is_wrong_usage(cli: Cli) -> None:
    assert cli("project", "set", "full", "--version", "7").exit_code == 2


def test_warnings_of_a_change_are_told(service: ScriptedService, cli: Cli) -> None:
    changed = recorded("project-changed", warnings=["Two sessions go on."])
    service.says("PATCH", "projects/full", body=changed)

    assert "Note: Two sessions go on." in cli("project", "set", "full", "--priority", "1").stderr


def test_get_tells_all_about_a_project(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "projects/full", "project-full")
    output = cli("project", "get", "full").stdout

    assert all(len(line) <= 80 for line in output.splitlines())
    text = " ".join(output.split())
    for shown in (
        "Hours mon-fri 08:00-18:00",
        "Quota at 18:00-08:00 fgpu=1 memory=4096M",
        "At close sessions are stopped",
        "Images apportion/base:0.1.0",
        "Budget 100 fGPU-hours",
        "Member limits sessions 2, lifetime 8h",
        "Not reclaimed for 10m",
        "fGPU 0 - 0.5 1 2",
        "Memory 0M - 2G 4G quota",
    ):
        assert shown in text


def test_a_list_shows_projects_below_their_parents(service: ScriptedService, cli: Cli) -> None:
    child = recorded("project-full", name="child", parent="ml101")
    projects = recorded("projects")
    projects["projects"].append(child)
    service.says("GET", "projects", body=projects)
    lines = cli("project", "list").stdout.splitlines()

    assert lines[-2].startswith("ml101 ")
    assert lines[-1].startswith("  child ")
    assert all(len(line) <= 80 for line in lines)


def test_lists_have_all_pages(service: ScriptedService, cli: Cli) -> None:
    first, second = recorded("project-full", name="a/b"), recorded("project-full", name="c")
    service.says("GET", "projects", body={"projects": [first], "after": "a/b"})
    service.says("GET", "projects", body={"projects": [second], "after": None})
    found = json.loads(cli("project", "list", "--json").stdout)

    assert [each["name"] for each in found["projects"]] == ["a/b", "c"]
    assert service.requests[1].target.endswith("after=a%2Fb")


def test_archive_and_restore(service: ScriptedService, cli: Cli) -> None:
    service.says("DELETE", "projects/full", "archived")
    service.says("POST", "projects/full/restore", "project-full")

    assert cli("project", "archive", "full").stdout == "full is archived.\n"
    assert cli("project", "restore", "full").stdout == "full is open again.\n"
    assert json.loads(cli("project", "archive", "full", "--json").stdout) == recorded("archived")


def test_a_name_cannot_leave_its_place_in_the_path(service: ScriptedService, cli: Cli) -> None:
    cli("project", "get", "../sessions?all=1")

    assert service.requests[0].target == "projects/..%2Fsessions%3Fall%3D1"


def test_members_are_added_with_what_differs(service: ScriptedService, cli: Cli) -> None:
    service.says("POST", "projects/ml101/members", "member-added")
    result = cli("project", "member", "add", "ml101", "Carol", "bob", "--max-sessions", "1")

    assert [request.body for request in service.requests] == [
        {"user": "Carol", "limits": {"max_sessions": 1}},
        {"user": "bob", "limits": {"max_sessions": 1}},
    ]
    assert "lower case" in result.stderr
    assert "Carol is member of ml101." in result.stdout


def test_a_limit_that_is_set_leaves_the_others_of_the_member(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("GET", "projects/ml101/members", body={"members": LISTED[:1], "after": "alice"})
    service.says("GET", "projects/ml101/members", body={"members": LISTED[1:], "after": None})
    service.says("PATCH", "projects/ml101/members/alice", "member-changed")
    result = cli("project", "member", "set", "ml101", "alice", "--idle", "unlimited")

    assert result.exit_code == 0, result.output
    body = service.asked("PATCH")[0].body
    assert body == {"limits": {"max_sessions": 3, "idle_s": None}}
    MemberChange.model_validate(body)


def test_own_limits_are_taken_away_together(service: ScriptedService, cli: Cli) -> None:
    service.says("PATCH", "projects/ml101/members/alice", "member-changed")
    command = ("project", "member", "set", "ml101", "alice")
    cli(*command, "--role", "instructor", "--project-limits")

    assert service.requests[0].body == {"role": "instructor", "limits": None}


def test_limits_of_somebody_who_is_not_listed_are_refused(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("GET", "projects/ml101/members", body={"members": LISTED, "after": None})
    result = cli("project", "member", "set", "ml101", "carol", "--idle", "1h")

    assert result.exit_code == 1
    assert "carol is not listed in ml101" in result.stderr
    assert service.asked("PATCH") == []


def test_members_are_listed_with_their_own_limits(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "projects/ml101/members", "members")
    service.says("DELETE", "projects/ml101/members/Carol", "member-removed")

    assert "sessions 3" in cli("project", "member", "list", "ml101").stdout
    assert "no longer" in cli("project", "member", "remove", "ml101", "Carol").stdout


def test_an_import_tells_what_each_line_does(
    service: ScriptedService, cli: Cli, tmp_path: Path
) -> None:
    service.says("POST", "projects/ml101/members/import", "import-dry")
    file = tmp_path / "students.csv"
    file.write_bytes(b"\xef\xbb\xbfbob,instructor\r\nbad name\r\n")
    result = cli("project", "member", "import", "ml101", str(file), "--dry-run")

    body = service.requests[0].body
    assert body["dry_run"] is True
    assert body["csv"].split() == ["bob,instructor", "bad", "name"]
    assert result.exit_code == 1, "a wrong line is a failure"
    assert "1 add, 0 change, 0 same, 1 wrong. Nothing is written." in result.stdout


def test_a_file_that_is_no_text_is_refused(
    service: ScriptedService, cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "students.xlsx"
    file.write_bytes(b"PK\x03\x04\xff\xfe")
    result = cli("project", "member", "import", "ml101", str(file))

    assert result.exit_code == 1
    assert "UTF-8" in result.stderr
    assert service.requests == []

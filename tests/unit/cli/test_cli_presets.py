"""``apportion preset`` and ``apportion announcement``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted_service import Cli, ScriptedService

from hub_ext.announcements import NewAnnouncement
from hub_ext.nodes.presets import NewPreset, PresetChange

SMALL = {
    "name": "small",
    "title": "Small",
    "description": "",
    "fgpu": 0.5,
    "cpu_milli": 2500,
    "memory_mib": 4096,
    "version": "0" * 16,
    "warnings": [],
}


def test_presets_are_listed_with_what_they_have(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "presets", body={"presets": [SMALL]})
    lines = cli("preset", "list").stdout.splitlines()
    assert lines[0].split() == ["PRESET", "TITLE", "FGPU", "CPU", "MEMORY", "FOR"]
    assert lines[1].split() == ["small", "Small", "0.5", "2.5", "4G", "-"]
    assert json.loads(cli("preset", "list", "--json").stdout) == {"presets": [SMALL]}


@pytest.mark.parametrize(
    ("command", "method", "body"),
    [
        (
            ["create", "small", "--fgpu", "0.5", "--cpu", "2.5", "--memory", "4G"],
            "POST",
            {
                "name": "small",
                "title": "small",
                "fgpu": 0.5,
                "cpu_milli": 2500,
                "memory_mib": 4096,
            },
        ),
        (
            ["set", "small", "--title", "S", "--position", "1"],
            "PATCH",
            {"title": "S", "position": 1},
        ),
    ],
)
def test_a_preset_is_sent_as_the_api_takes_it(
    service: ScriptedService, cli: Cli, command: list[str], method: str, body: dict[str, Any]
) -> None:
    path = "presets" if method == "POST" else "presets/small"
    service.says(method, path, body=SMALL | {"warnings": ["Small is larger than any node."]})
    result = cli("preset", *command)
    assert service.requests[0].body == body
    (NewPreset if method == "POST" else PresetChange).model_validate(body)
    assert "Preset small is" in result.stdout
    assert "Note: Small is larger than any node." in result.stderr


def test_deleting_a_preset_names_the_projects(service: ScriptedService, cli: Cli) -> None:
    service.says("DELETE", "presets/small", body=SMALL | {"projects": ["ai", "ml"]})
    assert "Projects that named it: ai, ml." in cli("preset", "delete", "small").stdout


def test_a_change_without_anything_is_wrong_usage(service: ScriptedService, cli: Cli) -> None:
    result = cli("preset", "set", "small")
    assert result.exit_code == 2
    assert service.requests == []


def test_something_is_announced_listed_and_taken_back(service: ScriptedService, cli: Cli) -> None:
    row = {
        "id": 7,
        "at": 1.0,
        "by": "admin",
        "project": None,
        "level": "warning",
        "text": "Maintenance [at six]",
        "until": None,
        "ended_at": None,
        "state": "shown",
    }
    service.says("POST", "announcements", body=row)
    service.says("GET", "announcements", body={"announcements": [row]})
    service.says("DELETE", "announcements/7", body=row | {"state": "taken_back"})

    made = cli("announcement", "create", "Maintenance [at six]", "--level", "warning")
    sent = service.requests[0].body
    assert sent == {"text": "Maintenance [at six]", "level": "warning"}
    NewAnnouncement.model_validate(sent)
    assert "apportion announcement delete 7" in made.stdout
    assert "Maintenance [at six]" in cli("announcement", "list").stdout
    assert service.requests[1].target == "announcements?all=1"
    assert "taken back" in cli("announcement", "delete", "7").stdout

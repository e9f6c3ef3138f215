"""``apportion node`` and ``apportion resource-group``."""

from __future__ import annotations

import json

import pytest
from scripted_service import Cli, ScriptedService, recorded

from hub_ext.nodes.administration import NodeChange
from hub_ext.nodes.groups import GroupChange, NewGroup


def test_a_list_says_what_is_booked_and_what_is_simulated(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("GET", "nodes", "nodes")
    lines = cli("node", "list").stdout.splitlines()

    titles = ["NODE", "GROUP", "STATUS", "DEVICES", "FGPU", "CPU", "MEMORY", "SESSIONS"]
    assert lines[0].split() == titles
    assert "2 x Simulated GPU" in lines[1]
    assert "0.5/2" in lines[1]
    assert all(len(line) <= 80 for line in lines)
    assert json.loads(cli("node", "list", "--json").stdout) == recorded("nodes")


def test_a_simulated_device_of_any_model_is_told(service: ScriptedService, cli: Cli) -> None:
    nodes = recorded("nodes")
    nodes["nodes"][0]["devices"][0]["model"] = "A100"
    service.says("GET", "nodes", body=nodes)

    assert "A100 (simulated)" in " ".join(cli("node", "list", "--devices").stdout.split())


def test_a_node_that_takes_no_sessions_says_why(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "nodes", body={"nodes": [recorded("node-drained")]})
    output = cli("node", "list").stdout

    assert "drained" in output.splitlines()[1]
    assert "local takes no sessions: it is drained." in output


@pytest.mark.parametrize(
    ("command", "body"),
    [
        (["drain", "local"], {"drained": True}),
        (["resume", "local"], {"drained": False}),
        (["group", "local", "night"], {"resource_group": "night"}),
        (["enforcer", "local", "timeslice"], {"enforcer": "timeslice"}),
        (["enforcer", "local", "-"], {"enforcer": None}),
    ],
)
def test_a_change_is_sent_and_its_effect_told(
    service: ScriptedService, cli: Cli, command: list[str], body: dict[str, object]
) -> None:
    service.says("PATCH", "nodes/local", "node-drained")
    result = cli("node", *command)

    assert service.requests[0].body == body
    NodeChange.model_validate(body)
    assert recorded("node-drained")["message"] in " ".join(result.stdout.split())


def test_several_nodes_are_drained_in_turn_until_one_is_refused(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("PATCH", "nodes/a", "node-drained")
    service.says("PATCH", "nodes/b", "not-found")
    result = cli("node", "drain", "a", "b", "c")

    assert result.exit_code == 1
    assert [request.target for request in service.requests] == ["nodes/a", "nodes/b"]


def test_a_label_is_set_or_taken_away_and_the_others_stay(
    service: ScriptedService, cli: Cli
) -> None:
    nodes = recorded("nodes")
    nodes["nodes"][0]["labels"] = {"zone": "a", "old": "1"}
    service.says("GET", "nodes", body=nodes)
    service.says("PATCH", "nodes/local", "node-drained")
    cli("node", "label", "local", "rack=r1", "old-", "empty=")

    assert service.asked("PATCH")[0].body == {"labels": {"zone": "a", "rack": "r1", "empty": ""}}


def test_a_label_of_a_node_that_is_not_there_is_refused(service: ScriptedService, cli: Cli) -> None:
    service.says("GET", "nodes", "nodes")
    result = cli("node", "label", "gpu-9", "rack=r1")

    assert result.exit_code == 1
    assert "no node 'gpu-9'" in result.stderr


def test_resource_groups_are_made_and_changed_with_their_hours(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("POST", "resource-groups", "group-created")
    service.says("PATCH", "resource-groups/night", "group-created")
    service.says("DELETE", "resource-groups/night", "group-created")
    cli("resource-group", "create", "night", "--title", "At night", "--hours", "18:00-08:00")
    cli("resource-group", "set", "night", "--hours", "always")
    gone = cli("resource-group", "delete", "night")

    made, changed, _ = service.requests
    assert made.body["hours"][0]["from"] == "18:00"
    NewGroup.model_validate(made.body)
    assert changed.body == {"hours": None}
    GroupChange.model_validate(changed.body)
    assert gone.stdout == "Resource group night is gone.\n"


def test_the_enforcer_of_a_resource_group_is_chosen_and_left_to_the_site_again(
    service: ScriptedService, cli: Cli
) -> None:
    service.says("POST", "resource-groups", "group-created")
    service.says("PATCH", "resource-groups/night", "group-created")
    cli("resource-group", "create", "night", "--enforcer", "whole")
    cli("resource-group", "set", "night", "--enforcer", "-")

    made, changed = service.requests
    assert made.body == {"name": "night", "enforcer": "whole"}
    NewGroup.model_validate(made.body)
    assert changed.body == {"enforcer": None}
    GroupChange.model_validate(changed.body)


def test_resource_groups_are_listed_with_hours_and_nodes(
    service: ScriptedService, cli: Cli
) -> None:
    groups = recorded("groups")
    groups["resource_groups"].append(recorded("group-created"))
    service.says("GET", "resource-groups", body=groups)
    lines = cli("resource-group", "list").stdout.splitlines()

    assert lines[1].split() == ["default", "Default", "yes", "always", "local"]
    assert "18:00-08:00" in lines[2]

"""``apportion node``: what the nodes hold; drain, resume, label and group them (admin)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from hub_ext.cli.client import Client, ClientError
from hub_ext.cli.parameters import label as read_label
from hub_ext.cli.service_command import print_json, service_command
from hub_ext.cli.tables import memory, moment, number, say, show_table


@click.group()
def node() -> None:
    """Nodes: what they hold, drain and resume (admin)."""


@node.command(name="list")
@click.option("--devices", is_flag=True, help="One line a device.")
@service_command
def list_(client: Client, as_json: bool, devices: bool) -> None:
    """List the nodes, with what is booked of all that they have."""
    found = client.get("nodes")
    if as_json:
        print_json(found)
        return
    if not found["nodes"]:
        say("No nodes yet; 'apportion doctor' looks for known causes.")
    elif devices:
        _show_devices(found["nodes"])
    else:
        _show_nodes(found["nodes"])


def _show_nodes(nodes: list[dict[str, Any]]) -> None:
    show_table(
        ("NODE", "GROUP", "STATUS", "DEVICES", ">FGPU", ">CPU", ">MEMORY", ">SESSIONS"),
        [
            (
                each["name"],
                each["resource_group"],
                _status(each),
                _models(each["devices"]),
                _fgpu(each["devices"]),
                f"{number(each['cpu_milli_booked'] / 1000)}/{number(each['cpu_milli'] / 1000)}",
                f"{memory(each['memory_mib_booked'])}/{memory(each['memory_mib'])}",
                str(each["sessions"]),
            )
            for each in nodes
        ],
    )
    for each in nodes:
        if each["labels"]:
            say(f"{each['name']}: {' '.join(f'{k}={v}' for k, v in each['labels'].items())}")
        if each.get("gpu_problem"):
            say(f"{each['name']}: {each['gpu_problem']}.", style="yellow")
        if each["reason"]:
            say(f"{each['name']} takes no sessions: {each['reason']}.", style="yellow")


def _status(each: dict[str, Any]) -> str:
    if each["drained"]:
        return "drained"
    return "ready" if each["schedulable"] else "closed"


def _models(devices: list[dict[str, Any]]) -> str:
    """ "2 x A100", and which of them are simulated."""
    names = Counter(f"{device['model']}{_remark(device)}" for device in devices)
    return ", ".join(f"{count} x {name}" for name, count in names.items()) or "-"


def _remark(device: dict[str, Any]) -> str:
    """What must be said of a device, once."""
    words = []
    if device["simulated"] and "simulated" not in device["model"].lower():
        words.append("simulated")
    if device["problem"]:
        words.append(device["problem"])
    return f" ({', '.join(words)})" if words else ""


def _fgpu(devices: list[dict[str, Any]]) -> str:
    booked = sum(device["fgpu_booked"] for device in devices)
    total = booked + sum(device["fgpu_free"] for device in devices)
    return f"{number(booked)}/{number(total)}"


def _show_devices(nodes: list[dict[str, Any]]) -> None:
    show_table(
        ("NODE", "DEVICE", "MODEL", ">MEMORY", ">BOOKED", ">FREE"),
        [
            (
                each["name"],
                device["uuid"],
                f"{device['model']}{_remark(device)}",
                memory(device["memory_mib"]),
                number(device["fgpu_booked"]),
                number(device["fgpu_free"]),
            )
            for each in nodes
            for device in each["devices"]
        ],
    )


@node.command()
@click.argument("names", metavar="NODE...", nargs=-1, required=True)
@service_command
def drain(client: Client, as_json: bool, names: tuple[str, ...]) -> None:
    """Let no new session start on NODEs; those that run go on."""
    _change(client, names, {"drained": True}, as_json)


@node.command()
@click.argument("names", metavar="NODE...", nargs=-1, required=True)
@service_command
def resume(client: Client, as_json: bool, names: tuple[str, ...]) -> None:
    """Let sessions start on NODEs again."""
    _change(client, names, {"drained": False}, as_json)


@node.command()
@click.argument("name", metavar="NODE")
@click.argument("resource_group", metavar="GROUP")
@service_command
def group(client: Client, as_json: bool, name: str, resource_group: str) -> None:
    """Move NODE to the resource group GROUP."""
    _change(client, (name,), {"resource_group": resource_group}, as_json)


@node.command()
@click.argument("name", metavar="NODE")
@click.argument("enforcer_name", metavar="ENFORCER")
@service_command
def enforcer(client: Client, as_json: bool, name: str, enforcer_name: str) -> None:
    """Choose what keeps sessions inside their slices of NODE's GPUs.

    ENFORCER is mps, hami, mig, timeslice or whole; '-' is that of its resource group.
    """
    _change(client, (name,), {"enforcer": None if enforcer_name == "-" else enforcer_name}, as_json)


@node.command()
@click.argument("name", metavar="NODE")
@service_command
def events(client: Client, as_json: bool, name: str) -> None:
    """Show what has happened to the GPUs of NODE, the newest first."""
    found = client.get("nodes", name, "events")
    if as_json:
        print_json(found)
        return
    if not found["events"]:
        say(f"Nothing has happened to the GPUs of {name}.")
        return
    rows = [(moment(each["at"]), each["code"], each["message"]) for each in found["events"]]
    show_table(("WHEN", "WHAT", "MESSAGE"), rows)


@node.command()
@click.argument("name", metavar="NODE")
@click.argument("labels", metavar="KEY=VALUE...", nargs=-1, required=True)
@service_command
def label(client: Client, as_json: bool, name: str, labels: tuple[str, ...]) -> None:
    """Set labels of NODE; KEY- takes one away, all others stay."""
    changes = dict(read_label(text) for text in labels)
    # The API replaces all labels of a node by those that are given.
    nodes = {each["name"]: each for each in client.get("nodes")["nodes"]}
    if name not in nodes:
        raise ClientError(f"There is no node '{name}'.", "See which there are: apportion node list")
    wanted = {**nodes[name]["labels"], **changes}
    kept = {key: value for key, value in wanted.items() if value is not None}
    _change(client, (name,), {"labels": kept}, as_json)


def _change(client: Client, names: tuple[str, ...], change: dict[str, Any], as_json: bool) -> None:
    changed = []
    for name in names:
        changed.append(client.patch("nodes", name, body=change))
        if not as_json:
            say(changed[-1]["message"])
    if as_json:
        print_json({"nodes": changed})


commands = [node]

"""``apportion preset``: the named bundles of resources that people launch with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from hub_ext.cli.client import Client
from hub_ext.cli.parameters import Number, Size
from hub_ext.cli.service_command import body_of, print_json, service_command, warn_all
from hub_ext.cli.tables import memory, number, say, show_table


def _settings(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        (
            click.option("--title", help="What people read."),
            click.option("--description", help="For what it is."),
            click.option("--fgpu", type=Number(), metavar="NUMBER", help="fGPU; 0: no GPU."),
            click.option("--cpu", type=Number(), metavar="CORES", help="CPU cores."),
            click.option("--memory", type=Size(), metavar="SIZE", help="As in 4G or 512M."),
            click.option(
                "--position", type=int, metavar="PLACE", help="Place in the list, from 1."
            ),
        )
    ):
        function = option(function)
    return function


@click.group()
def preset() -> None:
    """Presets: named bundles of resources (changes: admin)."""


@preset.command(name="list")
@service_command
def list_(client: Client, as_json: bool) -> None:
    """List the presets in the order of the launch form."""
    found = client.get("presets")
    if as_json:
        print_json(found)
        return
    if not found["presets"]:
        say("No presets; people choose numbers of their own.")
        return
    show_table(
        ("PRESET", "TITLE", ">FGPU", ">CPU", ">MEMORY", "FOR"),
        [
            (
                each["name"],
                each["title"],
                number(each["fgpu"]),
                number(each["cpu_milli"] / 1000),
                memory(each["memory_mib"]),
                each["description"] or "-",
            )
            for each in found["presets"]
        ],
    )


@preset.command()
@click.argument("name")
@_settings
@service_command
def create(client: Client, as_json: bool, name: str, **values: Any) -> None:
    """Make a preset; its title is its name unless you give one."""
    body = {"name": name, "title": name, **_body(values)}
    _done(client.post("presets", body=body), as_json, f"Preset {name} is there.")


@preset.command(name="set")
@click.argument("name")
@_settings
@service_command
def set_(client: Client, as_json: bool, name: str, **values: Any) -> None:
    """Change a preset; what was launched from it keeps what it has."""
    body = _body(values)
    if not body:
        raise click.UsageError("Say what to change; see --help.")
    _done(client.patch("presets", name, body=body), as_json, f"Preset {name} is changed.")


@preset.command()
@click.argument("name")
@service_command
def delete(client: Client, as_json: bool, name: str) -> None:
    """Remove a preset, from the lists of projects too."""
    gone = client.delete("presets", name)
    projects = gone["projects"]
    more = f" Projects that named it: {', '.join(projects)}." if projects else ""
    _done(gone | {"warnings": []}, as_json, f"Preset {name} is gone.{more}")


def _body(values: dict[str, Any]) -> dict[str, Any]:
    """Options as the API takes them."""
    body = body_of(values)
    if "cpu" in body:
        body["cpu_milli"] = round(body.pop("cpu") * 1000)
    if "memory" in body:
        body["memory_mib"] = body.pop("memory")
    return body


def _done(answer: dict[str, Any], as_json: bool, sentence: str) -> None:
    if as_json:
        print_json(answer)
        return
    say(sentence)
    warn_all(answer)


commands = [preset]

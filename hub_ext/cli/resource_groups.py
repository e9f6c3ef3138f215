"""``apportion resource-group``: named sets of nodes, with the hours at which they are open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from hub_ext.cli.client import Client
from hub_ext.cli.parameters import Unless, Window, window_text
from hub_ext.cli.service_command import body_of, print_json, service_command
from hub_ext.cli.tables import say, show_table, yes_no


def _settings(function: Callable[..., Any]) -> Callable[..., Any]:
    hours = click.option(
        "--hours",
        multiple=True,
        type=Unless(Window(), "always"),
        metavar="HOURS",
        help="Open hours such as 'mon-fri 18:00-08:00'; may be repeated; 'always'.",
    )
    enforcer = click.option(
        "--enforcer",
        type=Unless(click.STRING, "-"),
        metavar="ENFORCER",
        help="Of its nodes that have none of their own: mps, hami, mig, timeslice or whole;"
        " '-' is the site's.",
    )
    return click.option("--title", help="What people read.")(hours(enforcer(function)))


@click.group(name="resource-group")
def resource_group() -> None:
    """Named sets of nodes, with hours (admin)."""


@resource_group.command(name="list")
@service_command
def list_(client: Client, as_json: bool) -> None:
    """List the resource groups."""
    found = client.get("resource-groups")
    if as_json:
        print_json(found)
        return
    show_table(
        ("GROUP", "TITLE", "OPEN", "HOURS", "NODES"),
        [
            (
                each["name"],
                each["title"] or "-",
                yes_no(each["open"]),
                ", ".join(map(window_text, each["hours"] or ())) or "always",
                ", ".join(each["nodes"]) or "-",
            )
            for each in found["resource_groups"]
        ],
    )


@resource_group.command()
@click.argument("name")
@_settings
@service_command
def create(client: Client, as_json: bool, name: str, **values: Any) -> None:
    """Make a resource group; 'apportion node group' moves nodes into it."""
    made = client.post("resource-groups", body={"name": name, **body_of(values)})
    _done(made, as_json, f"Resource group {name} is there.")


@resource_group.command(name="set")
@click.argument("name")
@_settings
@service_command
def set_(client: Client, as_json: bool, name: str, **values: Any) -> None:
    """Change its title, hours or enforcer."""
    body = body_of(values)
    if not body:
        raise click.UsageError("Say what to change; see --help.")
    changed = client.patch("resource-groups", name, body=body)
    _done(changed, as_json, f"Resource group {name} is {'open' if changed['open'] else 'closed'}.")


@resource_group.command()
@click.argument("name")
@service_command
def delete(client: Client, as_json: bool, name: str) -> None:
    """Remove a group that has no nodes and that no project names."""
    _done(client.delete("resource-groups", name), as_json, f"Resource group {name} is gone.")


def _done(answer: dict[str, Any], as_json: bool, sentence: str) -> None:
    if as_json:
        print_json(answer)
    else:
        say(sentence)


commands = [resource_group]

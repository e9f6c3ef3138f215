"""``apportion announcement``: tell everybody something (admin)."""

from __future__ import annotations

from typing import Any

import click

from hub_ext.cli.client import Client
from hub_ext.cli.parameters import Moment
from hub_ext.cli.service_command import body_of, print_json, service_command
from hub_ext.cli.tables import moment, say, show_table

_STATES = {"shown": "shown", "expired": "expired", "taken_back": "taken back"}


@click.group()
def announcement() -> None:
    """Announcements to everybody, on all pages (admin)."""


@announcement.command(name="list")
@service_command
def list_(client: Client, as_json: bool) -> None:
    """List all announcements, the newest first, those that are over too."""
    found = client.get("announcements", all="1")
    if as_json:
        print_json(found)
        return
    if not found["announcements"]:
        say("Nothing has been announced.")
        return
    show_table(
        (">ID", "STATE", "UNTIL", "BY", "TEXT"),
        [
            (
                str(each["id"]),
                _STATES[each["state"]],
                moment(each["until"]) or "-",
                each["by"],
                each["text"],
            )
            for each in found["announcements"]
        ],
    )


@announcement.command()
@click.argument("text")
@click.option("--level", type=click.Choice(["info", "warning"]), help="How it looks.")
@click.option(
    "--until", type=Moment(), metavar="DATE", help="When it goes, by this machine's clock."
)
@service_command
def create(client: Client, as_json: bool, **values: Any) -> None:
    """Tell TEXT to everybody, until they put it away."""
    made = client.post("announcements", body=body_of(values))
    _done(made, as_json, f"Announced. To take it back: apportion announcement delete {made['id']}")


@announcement.command()
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@service_command
def delete(client: Client, as_json: bool, number: int) -> None:
    """Take back the announcement ID: nobody sees it any more."""
    _done(client.delete("announcements", str(number)), as_json, "It is taken back.")


def _done(answer: dict[str, Any], as_json: bool, sentence: str) -> None:
    if as_json:
        print_json(answer)
    else:
        say(sentence)


commands = [announcement]

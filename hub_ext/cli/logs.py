"""``apportion logs``: what a session prints, and what it prints from now on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from hub_ext.cli.client import Client, ServiceAway
from hub_ext.cli.references import find_session
from hub_ext.cli.service_command import print_json, service_command
from hub_ext.cli.waiting import PATIENCE_S, AwayTooLong

_EVERY_S = 2.0
_MOST = 5000
"""Lines of one answer of the service."""


@click.command()
@click.argument("reference", metavar="ID|NAME")
@click.option("-f", "--follow", is_flag=True, help="Go on until the session has ended.")
@click.option(
    "--tail",
    type=click.IntRange(1, _MOST),
    default=200,
    show_default=True,
    help="So many of the last lines.",
)
@service_command
def logs(client: Client, as_json: bool, reference: str, follow: bool, tail: int) -> None:
    """Show what a session prints: its server, and a batch command.

    Only its user and admins see it. When a session has ended its log is gone with its
    container; what is to stay is written into a folder.
    """
    session_id = find_session(client, reference, ended=True)["id"]
    if not follow:
        log = client.get("sessions", session_id, "logs", tail=tail)
        print_json(log) if as_json else _show(log)
        return
    for log in follow_log(client, session_id, tail):
        print_json(log) if as_json else _show(log)


def follow_log(
    client: Client, session_id: str, tail: int, *, pause: Callable[[float], None] = time.sleep
) -> Iterator[dict[str, Any]]:
    """What is printed, piece by piece, until the session has ended, over restarts of the service.

    Raises ClientError: refused, or away for longer than PATIENCE_S.
    """
    since, away_s = "0", 0.0
    while True:
        try:
            log = client.get("sessions", session_id, "logs", tail=tail, since=since)
        except ServiceAway as error:
            if away_s >= PATIENCE_S:
                raise AwayTooLong(error.message, error.way_out) from None
            away_s += _EVERY_S
            pause(_EVERY_S)
            continue
        away_s = 0.0
        if log["lines"] or not log["live"]:
            yield log
        if not log["live"]:
            return
        since, tail = log["next"], _MOST
        pause(_EVERY_S)


def _show(log: dict[str, Any]) -> None:
    for line in log["lines"]:
        click.echo(line["text"])
    if log["message"]:
        click.echo(log["message"], err=True)


commands = [logs]

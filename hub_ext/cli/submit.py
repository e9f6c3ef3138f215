"""``apportion submit``: ask for sessions, see what would happen, wait until they run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console

from hub_ext.cli.client import Client, ClientError
from hub_ext.cli.parameters import Duration, FolderMount, Moment, Number, Size
from hub_ext.cli.service_command import INTERRUPTED, body_of, print_json, service_command
from hub_ext.cli.tables import say, show_table, span
from hub_ext.cli.terminal import Terminal
from hub_ext.cli.waiting import wait_until_they_run

_EXAMPLES = """\b
Examples:
  apportion submit --name train -p ml101 -i apportion/base:0.1.0 -g 0.5
  apportion submit --preset half-gpu --lifetime 2h --wait
"""
_LOOKS = 15
_LOOK_EVERY_S = 0.2


@click.command(epilog=_EXAMPLES)
@click.option("-n", "--name", help="Name of the session; of several, name-1, name-2, ...")
@click.option("-p", "--project", help="Project that it counts for; else the one you used last.")
@click.option("-i", "--image", help="Kernel image, e.g. apportion/base:0.1.0.")
@click.option("--preset", help="Named bundle of resources; numbers below win over its own.")
@click.option("-g", "--fgpu", type=Number(), help="fGPU, e.g. 0.5.")
@click.option("-c", "--cpu", type=Number(), help="Cores, e.g. 2 or 0.5.")
@click.option("--memory", "memory_mib", type=Size(), help="Memory, e.g. 4G or 512M.")
@click.option(
    "-v",
    "--folder",
    "folders",
    multiple=True,
    type=FolderMount(),
    metavar="NAME[:TARGET][:ro]",
    help="Folder to mount, at /home/work/NAME unless TARGET says where; may be repeated.",
)
@click.option(
    "--new-folder", "new_folders", multiple=True, metavar="NAME", help="Make it and mount it."
)
@click.option("--count", type=int, help="So many sessions, each in the queue on its own.")
@click.option(
    "--lifetime", "lifetime_s", type=Duration(), help="Stop it after so long, e.g. 2h, 90m."
)
@click.option(
    "--not-before",
    type=Moment(),
    help="Let it wait until then, e.g. '2027-01-31 20:00' by this machine's clock.",
)
@click.option(
    "--preemptible/--no-preemptible",
    default=None,
    help="It may be reclaimed for others, after a warning; starts sooner over quota.",
)
@click.option(
    "--requeue/--no-requeue",
    default=None,
    help="What becomes of it when it is reclaimed: back to its old place, or ended.",
)
@click.option("--priority", type=int, help="Among the sessions of the project; the higher first.")
@click.option("--user", help="For somebody else (admin).")
@click.option("--dry-run", is_flag=True, help="Only tell what would happen.")
@click.option("--wait", is_flag=True, help="Wait until it runs; exit code 1 if it ends instead.")
@click.option("--open-url", is_flag=True, help="Wait, then open it in the browser.")
@service_command
def submit(
    client: Client,
    as_json: bool,
    dry_run: bool,
    wait: bool,
    open_url: bool,
    **request: Any,
) -> None:
    """Ask for a session, or for several."""
    if dry_run:
        if request.pop("user"):
            raise click.UsageError("A dry run is for yourself; leave out --user.")
        _tell_forecast(client.post("dry-run", body=body_of(request)), as_json)
        return
    sessions = client.post("sessions", body=body_of(request))["sessions"]
    if wait or open_url:
        sessions = _wait(client, sessions)
    elif not as_json:
        sessions = [_looked_at(client, session) for session in sessions]
    if as_json:
        print_json({"sessions": sessions})
    else:
        _tell(client, sessions)
    if open_url:
        _open(client, sessions)
    if (wait or open_url) and any(session["status"] != "RUNNING" for session in sessions):
        sys.exit(1)


def _tell_forecast(forecast: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(forecast)
        return
    say(forecast["sentence"])
    if forecast["reason"] and forecast["reason"]["help"]:
        say(forecast["reason"]["help"])


def _looked_at(
    client: Client, session: dict[str, Any], pause: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """The session after the scheduler's first look at it, which takes it a moment."""
    for _ in range(_LOOKS):
        reason = session["reason"] or {}
        if session["status"] != "PENDING" or reason.get("code") != "new":
            break
        pause(_LOOK_EVERY_S)
        session = client.get("sessions", session["id"])
    return session


def _wait(client: Client, sessions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As they are when they run or have ended; the live line is on standard error."""
    terminal = Terminal(Console(stderr=True, highlight=False, soft_wrap=True))
    names = ", ".join(session["name"] for session in sessions[:3])
    more = f" and {len(sessions) - 3} more" if len(sessions) > 3 else ""
    try:
        with terminal.step(f"Waiting for {names}{more}") as step:
            return wait_until_they_run(client, sessions, step.now)
    except KeyboardInterrupt:
        click.echo("Interrupted. What waits keeps its place: apportion list", err=True)
        sys.exit(INTERRUPTED)


def _tell(client: Client, sessions: list[dict[str, Any]]) -> None:
    """Name, status, place and estimate; below it why, or where."""
    show_table(
        ("NAME", "STATUS", "PROJECT", ">FGPU", "NODE", ">PLACE", ">ESTIMATE"),
        [
            (
                session["name"],
                session["status"],
                session["project"],
                f"{session['fgpu']:.10g}",
                session["node"] or "-",
                str(session["position"] or "-"),
                span(session["estimate_s"]) or "-",
            )
            for session in sessions
        ],
    )
    for session in sessions:
        prefix = f"{session['name']}: " if len(sessions) > 1 else ""
        if session["reason"]:
            say(f"{prefix}{session['reason']['message']} {session['reason']['help'] or ''}".strip())
        if session["url"]:
            say(f"{prefix}{client.url}{session['url']}")


def _open(client: Client, sessions: list[dict[str, Any]]) -> None:
    running = [session for session in sessions if session["url"]]
    if not running:
        raise ClientError("There is nothing to open: no session runs.", "See apportion list.")
    for session in running:
        if click.launch(client.url + session["url"]) != 0:
            raise ClientError(
                "No browser could be started here.", f"Open {client.url}{session['url']}"
            )


commands = [submit]

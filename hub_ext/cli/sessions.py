"""``apportion list``, ``get``, ``set`` and ``delete``: the sessions that there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from hub_ext.cli.client import Client
from hub_ext.cli.parameters import Duration, Unless
from hub_ext.cli.references import SHORT_ID, find_session
from hub_ext.cli.service_command import body_of, print_json, service_command
from hub_ext.cli.session_story import show_history, show_session
from hub_ext.cli.tables import ago, number, say, show_table
from hub_ext.cli.waiting import place_in_line

_LIVE = (
    "PENDING",
    "SCHEDULED",
    "PREPARING",
    "STARTING",
    "RUNNING",
    "PREEMPTED",
    "TERMINATING",
)
_ENDED = ("TERMINATED", "CANCELLED", "EXPIRED", "ERROR")
_PAGE = 500
"""Largest page of results."""


@click.command(name="list")
@click.option("-A", "--all", "everybody", is_flag=True, help="Of everybody (admin).")
@click.option("-p", "--project", help="Only of this project; of all its members if you teach it.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice((*_LIVE, *_ENDED), case_sensitive=False),
    metavar="STATUS",
    help="Only these; may be repeated. Without it: those that have not ended.",
)
@click.option("--ended", is_flag=True, help="Also those that have ended.")
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="So many at most."
)
@service_command
def list_(
    client: Client,
    as_json: bool,
    everybody: bool,
    project: str | None,
    statuses: tuple[str, ...],
    ended: bool,
    limit: int,
) -> None:
    """List your sessions, newest first, and why those that wait do so."""
    live = not ended and set(statuses) <= set(_LIVE)
    query = {"all": int(everybody), "project": project, "live": int(live)}
    found = _select(client, query, statuses, limit)
    if as_json:
        print_json(found)
        return
    sessions = found["sessions"]
    if not sessions:
        say("No sessions." + ("" if ended or statuses else " To start one: apportion submit"))
        return
    _show_list(sessions, with_ids=everybody or project is not None)
    if found["after"] is not None:
        say(f"There are more than these {limit}: --limit", style="dim")


def _select(
    client: Client, query: dict[str, Any], statuses: tuple[str, ...], limit: int
) -> dict[str, Any]:
    """The first sessions with one of the statuses, and where the next ones start.

    No page is larger than what is still missing, so that ``after`` is right.
    """
    found: list[dict[str, Any]] = []
    after = None
    while len(found) < limit:
        page = client.get("sessions", **query, after=after, limit=min(limit - len(found), _PAGE))
        found += [each for each in page["sessions"] if not statuses or each["status"] in statuses]
        after = page["after"]
        if after is None:
            break
    return {"sessions": found, "after": after}


def _show_list(sessions: list[dict[str, Any]], *, with_ids: bool) -> None:
    titles = ["NAME", "STATUS", "PROJECT", "USER", ">FGPU", "NODE", ".IMAGE", ">AGE"]
    show_table(
        [*(["ID"] if with_ids else []), *titles],
        [[*([each["id"][:SHORT_ID]] if with_ids else []), *_row(each)] for each in sessions],
    )
    for session in sessions:
        if session["notice"]:
            say(f"{session['name']}: {session['notice']['message']}", style="yellow")
        elif session["status"] == "PENDING":
            say(f"{session['name']}: {place_in_line(session)}")


def _row(session: dict[str, Any]) -> Iterator[str]:
    for key in ("name", "status", "project", "user"):
        yield session[key]
    yield number(session["fgpu"])
    yield session["node"] or "-"
    yield session["image"]
    yield ago(session["submitted_at"])


@click.command()
@click.argument("reference", metavar="ID|NAME")
@click.option("--history", is_flag=True, help="Also every step of its life.")
@service_command
def get(client: Client, as_json: bool, reference: str, history: bool) -> None:
    """Show all about one session.

    A name is that of your live session; of those that have ended, of the newest.
    """
    session = find_session(client, reference, ended=True)
    steps = client.get("sessions", session["id"], "history")["history"] if history else []
    if as_json:
        print_json({**session, "history": steps} if history else session)
        return
    show_session(session, client.url)
    if history:
        show_history(steps)


@click.command(name="set")
@click.argument("reference", metavar="ID|NAME")
@click.option("--priority", type=int, help="Its priority, while it waits.")
@click.option("--preemptible/--no-preemptible", default=None, help="Whether it may be reclaimed.")
@click.option(
    "--requeue/--no-requeue", default=None, help="Whether it waits again after it was reclaimed."
)
@click.option(
    "--lifetime",
    "lifetime_s",
    type=Unless(Duration(), "unlimited"),
    help="Stop it so long after its start, e.g. 4h.",
)
@service_command
def set_(client: Client, as_json: bool, reference: str, **change: Any) -> None:
    """Change a session that is there."""
    body = body_of(change)
    if not body:
        raise click.UsageError("Say what to change; see --help.")
    session = find_session(client, reference)
    session = client.patch("sessions", session["id"], body=body)
    if as_json:
        print_json(session)
        return
    show_session(session, client.url)


@click.command()
@click.argument("references", metavar="ID|NAME...", nargs=-1, required=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@service_command
def delete(client: Client, as_json: bool, references: tuple[str, ...], yes: bool) -> None:
    """Cancel sessions that wait, stop those that run. Folders stay as they are."""
    found = [find_session(client, reference) for reference in references]
    sessions = list({session["id"]: session for session in found}.values())
    if not yes:
        _confirm(sessions)
    gone = [client.delete("sessions", session["id"]) for session in sessions]
    if as_json:
        print_json({"sessions": gone})
        return
    for session in gone:
        say(f"{session['name']}: {session['status'].lower()}")


def _confirm(sessions: list[dict[str, Any]]) -> None:
    """Raises click.Abort unless somebody says yes."""
    for session in sessions:
        click.echo(
            f"{session['name']}  {session['status']}  of {session['user']}, project"
            f" {session['project']}",
            err=True,
        )
    what = "this session" if len(sessions) == 1 else f"these {len(sessions)} sessions"
    click.confirm(f"End {what}?", abort=True, err=True)


commands = [list_, get, set_, delete]

"""``apportion project member``: who is listed in a project, and with which limits."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hub_ext.cli.client import Client, ClientError
from hub_ext.cli.project_options import limit_options
from hub_ext.cli.service_command import body_of, print_json, service_command, warn_all
from hub_ext.cli.tables import exact_span, moment, number, say, show_table

_ROLES = click.Choice(["member", "instructor"])
LIMIT_NAMES = {
    "max_sessions": "sessions",
    "max_fgpu": "fGPU each",
    "max_pending": "pending",
    "max_lifetime_s": "lifetime",
    "idle_s": "idle",
    "max_priority": "priority",
}
"""Limits of a member as the API has them, and as tables show them."""


def limits_text(limits: Mapping[str, Any]) -> str:
    """ "sessions 2, lifetime 8h"."""
    return ", ".join(
        f"{title} {_limit_text(name, limits[name])}"
        for name, title in LIMIT_NAMES.items()
        if name in limits
    )


def _limit_text(name: str, value: float | None) -> str:
    if value is None or not name.endswith("_s"):
        return number(value, "unlimited")
    return exact_span(value)


@click.group()
def member() -> None:
    """Who is listed in a project. Members by groups of the hub are not in the list."""


@member.command(name="list")
@click.argument("project")
@service_command
def list_(client: Client, as_json: bool, project: str) -> None:
    """List the members of PROJECT; for a member of it, its instructors."""
    found = client.whole("members", "projects", project, "members")
    if as_json:
        print_json(found)
        return
    if not found["members"]:
        say(f"Nobody is listed. To add somebody: apportion project member add {project} USER")
        return
    show_table(
        ("USER", "ROLE", "OWN LIMITS", "ADDED", "BY"),
        [
            (
                each["user"],
                each["role"],
                limits_text(each.get("limits", {})) or "-",
                moment(each.get("added_at"))[:10] or "-",
                each.get("added_by") or "-",
            )
            for each in found["members"]
        ],
    )


@member.command()
@click.argument("project")
@click.argument("users", metavar="USER...", nargs=-1, required=True)
@click.option("--role", type=_ROLES, help="member by default.")
@limit_options("limits")
@service_command
def add(client: Client, as_json: bool, project: str, users: tuple[str, ...], **values: Any) -> None:
    """List USERs in PROJECT; limits are those that differ from the project's."""
    body = body_of(values)
    added = []
    for user in users:
        added.append(client.post("projects", project, "members", body={"user": user, **body}))
        if not as_json:
            warn_all(added[-1])
            say(f"{user} is {added[-1]['role']} of {project}.")
    if as_json:
        print_json({"members": added})


@member.command(name="set")
@click.argument("project")
@click.argument("user")
@click.option("--role", type=_ROLES, help="What the user is there.")
@click.option("--project-limits", is_flag=True, help="Take away all limits of his own.")
@limit_options("limits")
@service_command
def set_(
    client: Client, as_json: bool, project: str, user: str, project_limits: bool, **values: Any
) -> None:
    """Change what USER is in PROJECT, or his own limits; what is not given stays."""
    body = body_of(values)
    if project_limits and "limits" in body:
        raise click.UsageError("--project-limits takes limits away; give no others with it.")
    if project_limits:
        body["limits"] = None
    elif "limits" in body:
        # The API replaces all own limits of a member by those that are given.
        body["limits"] = {**_own_limits(client, project, user), **body["limits"]}
    if not body:
        raise click.UsageError("Say what to change; see --help.")
    changed = client.patch("projects", project, "members", user, body=body)
    if as_json:
        print_json(changed)
        return
    own = limits_text(changed["limits"])
    say(f"{user} is {changed['role']} of {project}{'; own limits: ' if own else '.'}{own}")


def _own_limits(client: Client, project: str, user: str) -> dict[str, Any]:
    """Raises ClientError for somebody who is not listed."""
    for page in client.pages("projects", project, "members"):
        for each in page["members"]:
            if each["user"] == user:
                return dict(each.get("limits", {}))
    raise ClientError(
        f"{user} is not listed in {project}.",
        f"See who is: apportion project member list {project}",
    )


@member.command()
@click.argument("project")
@click.argument("users", metavar="USER...", nargs=-1, required=True)
@service_command
def remove(client: Client, as_json: bool, project: str, users: tuple[str, ...]) -> None:
    """Take USERs off the list of PROJECT; those that wait are held, those that run go on."""
    removed = []
    for user in users:
        removed.append(client.delete("projects", project, "members", user))
        if not as_json:
            warn_all(removed[-1])
            say(f"{user} is no longer listed in {project}.")
    if as_json:
        print_json({"members": removed})


@member.command(name="import")
@click.argument("project")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only tell what each line would do.")
@click.option("--skip-wrong", is_flag=True, help="Carry out the good lines, if some are wrong.")
@service_command
def import_(
    client: Client, as_json: bool, project: str, file: Path, dry_run: bool, skip_wrong: bool
) -> None:
    """Add and change members of PROJECT by FILE: lines of user[,role].

    Who is not in the file stays as he is. One wrong line, and nothing is written.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(
            f"{file} cannot be read: {error}.", "Save it as text in UTF-8 (CSV)."
        ) from None
    body = {"csv": text, "dry_run": dry_run, "skip_wrong": skip_wrong}
    done = client.post("projects", project, "members", "import", body=body)
    if as_json:
        print_json(done)
    else:
        _tell_import(done)
    if done["wrong"]:
        sys.exit(1)


def _tell_import(done: dict[str, Any]) -> None:
    lines = [each for each in done["lines"] if each["result"] != "same"]
    if lines:
        show_table(
            (">LINE", "USER", "ROLE", "RESULT", "PROBLEM"),
            [
                (str(each["line"]), each["user"], each["role"], each["result"], each["problem"])
                for each in lines
            ],
        )
    warn_all(done)
    counts = ", ".join(f"{done[name]} {name}" for name in ("add", "change", "same", "wrong"))
    say(f"{counts}. {'Written.' if done['written'] else 'Nothing is written.'}")

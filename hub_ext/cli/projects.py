"""``apportion project``: list, get, create, set, archive, restore; ``project member`` is beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from hub_ext.cli.client import Client
from hub_ext.cli.members import LIMIT_NAMES, limits_text, member
from hub_ext.cli.parameters import window_text
from hub_ext.cli.project_options import project_options
from hub_ext.cli.service_command import body_of, print_json, service_command, warn_all
from hub_ext.cli.tables import exact_span, memory, moment, number, say, show_facts, show_table


@click.group()
def project() -> None:
    """Projects: quota, limits, members."""


@project.command(name="list")
@click.option("--archived", is_flag=True, help="Those that are archived (admin).")
@service_command
def list_(client: Client, as_json: bool, archived: bool) -> None:
    """List your projects, each below its parent; amounts are fGPU."""
    found = client.whole("projects", "projects", archived=int(archived))
    if as_json:
        print_json(found)
        return
    projects = found["projects"]
    if not projects:
        say("No projects.")
        return
    depth: dict[str, int] = {}
    for each in projects:
        depth[each["name"]] = depth.get(each["parent"], -1) + 1
    show_table(
        ("PROJECT", "ROLE", ">USED", ">QUOTA", ">LIMIT", ">FAIR", ">RUNNING", ">PENDING"),
        [
            (
                "  " * depth[each["name"]] + each["name"],
                each["role"],
                number(each["use"]["fgpu"]),
                number(each["quota"]["fgpu"], "none"),
                number(each["limit"]["fgpu"], "none"),
                number((each["fair_share"] or {}).get("fgpu")),
                str(each["running"]),
                str(each["pending"]),
            )
            for each in projects
        ],
    )


@project.command()
@click.argument("name")
@service_command
def get(client: Client, as_json: bool, name: str) -> None:
    """Show all about one project."""
    _show(client.get("projects", name), as_json)


@project.command()
@click.argument("name")
@project_options
@service_command
def create(client: Client, as_json: bool, name: str, **values: Any) -> None:
    """Make a project (admin). Of what is not given there is no limit; nobody is in it yet."""
    _show(client.post("projects", body={"name": name, **body_of(values)}), as_json)


@project.command(name="set")
@click.argument("name")
@project_options
@click.option(
    "--version", type=int, help="Only if it is still this version, as 'get --json' shows it."
)
@service_command
def set_(client: Client, as_json: bool, name: str, **values: Any) -> None:
    """Change a project; what is not given stays. Instructors: as far as the admin lets them."""
    body = body_of(values)
    if not set(body) - {"version"}:
        raise click.UsageError("Say what to change; see --help.")
    _show(client.patch("projects", name, body=body), as_json)


@project.command()
@click.argument("name")
@service_command
def archive(client: Client, as_json: bool, name: str) -> None:
    """Close a project that has no live sessions (admin); 'restore' opens it again."""
    _say_done(client.delete("projects", name), as_json, f"{name} is archived.")


@project.command()
@click.argument("name")
@service_command
def restore(client: Client, as_json: bool, name: str) -> None:
    """Open an archived project again (admin)."""
    _say_done(client.post("projects", name, "restore", body={}), as_json, f"{name} is open again.")


def _say_done(answer: dict[str, Any], as_json: bool, sentence: str) -> None:
    if as_json:
        print_json(answer)
    else:
        say(sentence)


def _show(described: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(described)
        return
    warn_all(described)
    show_facts(_facts(described))
    rows = []
    for title, key, shown in (
        ("fGPU", "fgpu", number),
        ("CPU cores", "cpu", number),
        ("Memory", "memory_mib", memory),
    ):
        share = described["fair_share"]
        rows.append(
            (
                title,
                shown(described["use"][key]),
                shown(share[key]) if share else "-",
                shown(described["quota"][key], "unlimited"),
                shown(described["limit"][key], "unlimited"),
                number(described["weight"][key], "quota"),
            )
        )
    show_table(("RESOURCE", ">USED", ">FAIR SHARE", ">QUOTA", ">LIMIT", ">WEIGHT"), rows)


def _facts(described: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What differs from what a new project has, and always the rest."""
    yield "Project", described["name"] + (" (archived)" if described["archived"] else "")
    yield "Title", described["title"]
    yield "About", described["description"]
    yield "Parent", described["parent"] or ""
    yield "You are", described["role"]
    yield "Open to all", "yes" if described["open_to_all"] else ""
    yield "Sessions", f"{described['running']} running, {described['pending']} pending"
    yield "Priority", str(described["priority"] or "")
    yield from _times(described)
    for field, title in (
        ("images", "Images"),
        ("presets", "Presets"),
        ("resource_groups", "Resource groups"),
        ("kinds", "Kinds"),
    ):
        yield title, ", ".join(described[field] or ())
    yield "Budget", _budget(described["budget_fgpu_h"])
    yield "Member limits", limits_text(_bounding(described["member_limits"]))
    for field, title in (
        ("reclaim_min_runtime_s", "Not reclaimed for"),
        ("preempt_min_runtime_s", "Not preempted for"),
    ):
        yield title, "" if described[field] is None else exact_span(described[field])


def _times(described: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Term from", moment(described["valid_from"])
    yield "Term until", moment(described["valid_until"])
    for window in described["hours"] or ():
        yield "Hours", window_text(window)
    if described["hours"] and described["stops_at_close"]:
        yield "At close", "sessions are stopped"
    for window in described["quota_hours"] or ():
        yield "Quota at", window_text(window)


def _budget(fgpu_h: float | None) -> str:
    return "" if fgpu_h is None else f"{number(fgpu_h)} fGPU-hours"


def _bounding(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Those that limit anything."""
    return {name: limits[name] for name in LIMIT_NAMES if limits[name] not in (None, 0)}


project.add_command(member)
commands = [project]

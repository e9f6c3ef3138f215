"""All commands by name, each imported when it is called.

``apportion --help`` and a quick ``apportion list`` must not wait for Docker's client, the hub's
or the scheduler's modules; so the table also holds the line that the list of commands shows.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import NamedTuple

import click


class Entry(NamedTuple):
    """Where a command is, and the first line of its help."""

    module: str
    summary: str


ENTRIES = {
    "up": Entry("up", "Start the hub and keep it running until Ctrl-C."),
    "doctor": Entry("doctor", "Check the machine and a deployment."),
    "test": Entry("testing", "Run linters and all tests."),
    "image": Entry("image", "Kernel images: what a session runs in."),
    "simulate": Entry("simulate", "Run the scheduler on the scenarios of FILE."),
    "simulate-trace": Entry("simulate", "What would this hardware hold?"),
    "login": Entry("login", "Keep the address of a hub and your token for it."),
    "logout": Entry("login", "Forget a token that login has kept."),
    "submit": Entry("submit", "Ask for a session, or for several."),
    "list": Entry("sessions", "List your sessions."),
    "get": Entry("sessions", "Show all about one session."),
    "logs": Entry("logs", "Show what a session prints."),
    "set": Entry("sessions", "Change a session that is there."),
    "delete": Entry("sessions", "Cancel sessions that wait, stop those that run."),
    "project": Entry("projects", "Projects: quota, limits, members."),
    "node": Entry("nodes", "Nodes: what they hold, drain and resume (admin)."),
    "preset": Entry("presets", "Presets: named bundles of resources (changes: admin)."),
    "announcement": Entry("announcements", "Announcements to everybody, on all pages (admin)."),
    "resource-group": Entry("resource_groups", "Named sets of nodes, with hours (admin)."),
}


class _Commands(MutableMapping[str, click.Command]):
    """Commands by name; getting one imports its module."""

    def __init__(self) -> None:
        self._added: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._added:
            module = import_module(f"hub_ext.cli.{ENTRIES[name].module}")
            self._added.update({each.name or "": each for each in module.commands})
        return self._added[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._added[name] = command

    def __delitem__(self, name: str) -> None:
        del self._added[name]

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)

    def __contains__(self, name: object) -> bool:
        return name in ENTRIES


class CommandTable(click.Group):
    """The group of all commands; its help needs none of them."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **{**kwargs, "commands": _Commands()})  # type: ignore[arg-type]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name and summary of each, by name."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, ENTRIES[name].summary) for name in self.list_commands(ctx)])

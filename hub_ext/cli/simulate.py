"""``apportion simulate`` and ``apportion simulate-trace``: the scheduler on paper."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

import click

from hub_ext.scheduling.errors import SnapshotError
from hub_ext.scheduling.placement import POLICIES
from hub_ext.scheduling.simulation.play import play
from hub_ext.scheduling.simulation.scenario import read_scenarios

policy_option = click.option(
    "--policy",
    type=click.Choice(POLICIES),
    default="fragmentation",
    show_default=True,
    help="Placement policy: which node and device a session gets.",
)


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@policy_option
@click.option("--seed", default=0, show_default=True, help="Breaks ties between equal nodes.")
def simulate(file: Any, policy: str, seed: int) -> None:
    """Run the scheduler on the scenarios of FILE (JSON) and print how each ends.

    FILE holds one scenario or a list of them. Exits with 1 and names the field when a
    scenario is malformed; nothing is printed on standard output then.
    """
    try:
        data = json.load(file, parse_constant=_no_such_number)
    except (ValueError, RecursionError) as error:
        _refuse(f"{file.name} is not JSON: {error}")
    try:
        results = [play(scenario, policy, seed) for scenario in read_scenarios(data)]
    except SnapshotError as error:
        _refuse(f"{error.field or file.name}: {error.message}")
    click.echo(json.dumps(results, indent=2))


def _no_such_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _refuse(message: str) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(1)


commands = [simulate]

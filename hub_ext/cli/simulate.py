"""``apportion simulate`` and ``apportion simulate-trace``: the scheduler on paper."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import click

from hub_ext.scheduling.errors import SnapshotError
from hub_ext.scheduling.placement import POLICIES
from hub_ext.scheduling.simulation.play import play
from hub_ext.scheduling.simulation.scenario import read_scenarios
from hub_ext.scheduling.simulation.trace import play_trace, read_jobs, read_nodes

input_file = click.Path(exists=True, dir_okay=False, path_type=Path)
policy_option = click.option(
    "--policy",
    type=click.Choice(POLICIES),
    default="fragmentation",
    show_default=True,
    help="Placement policy: which node and device a session gets.",
)
json_option = click.option("--json", "compact", is_flag=True, help="JSON on one line.")


@click.command()
@click.argument("file", type=input_file)
@policy_option
@click.option("--seed", default=0, show_default=True, help="Breaks ties between equal nodes.")
@json_option
def simulate(file: Path, policy: str, seed: int, compact: bool) -> None:
    """Run the scheduler on the scenarios of FILE (JSON) and print how each ends.

    FILE holds one scenario or a list of them; so does the answer. Exits with 1 and
    names the field when a scenario is malformed, with nothing on standard output.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        _refuse(f"{file}: not JSON: {error}")
    try:
        results = [play(scenario, policy, seed) for scenario in read_scenarios(data)]
    except SnapshotError as error:
        _refuse(f"{file}: {error.message}")
    answer = results if isinstance(data, list) else results[0]
    click.echo(json.dumps(answer, indent=None if compact else 2))


@click.command("simulate-trace")
@click.option("--nodes", required=True, type=input_file, help="CSV: sn,cpu_milli,memory_mib,gpu.")
@click.option(
    "--jobs",
    required=True,
    type=input_file,
    help="CSV: name,cpu_milli,memory_mib,num_gpu,gpu_milli.",
)
@policy_option
@click.option(
    "--inflate",
    default=1.3,
    show_default=True,
    help="Jobs are drawn until they ask for so many times the GPUs of the nodes.",
)
@click.option("--seed", default=42, show_default=True, help="Draws the jobs and breaks ties.")
@json_option
def simulate_trace(
    nodes: Path, jobs: Path, policy: str, inflate: float, seed: int, compact: bool
) -> None:
    """What would this hardware hold? Pack jobs of a trace until they no longer fit.

    Jobs are drawn uniformly with replacement, placed in that order, none leaves, and
    what does not fit is dropped.
    """
    if not math.isfinite(inflate) or not 0 < inflate <= 100:
        _refuse(f"--inflate must be above 0 and at most 100, not {inflate:g}.")
    try:
        with nodes.open(encoding="utf-8", newline="") as lines:
            machines = read_nodes(lines, str(nodes))
        with jobs.open(encoding="utf-8", newline="") as lines:
            demands = read_jobs(lines, str(jobs))
    except SnapshotError as error:
        _refuse(error.message)
    except UnicodeDecodeError as error:
        _refuse(f"not a CSV file: {error}")
    result = play_trace(machines, demands, policy, inflate, seed)
    click.echo(json.dumps(asdict(result), indent=None if compact else 2))


def _refuse(message: str) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(1)


commands = [simulate, simulate_trace]

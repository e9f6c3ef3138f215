"""``apportion doctor``: what is wrong here, and what to do about it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from hub_ext.doctor.examination import examine
from hub_ext.doctor.finding import Finding, Level, read_deployment

COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("var"),
    show_default="./var",
    help="Data directory of the deployment.",
)
@click.option(
    "--db-url", default="", help="Database of the service, if it is not SQLite in the directory."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(data: Path, db_url: str, as_json: bool) -> None:
    """Check the machine and a deployment; exit code 1 if something will not work."""
    deployment = read_deployment(data.resolve(), db_url)
    findings = []
    console = Console(highlight=False, soft_wrap=True)
    for finding in examine(deployment):
        findings.append(finding)
        if not as_json:
            _show(console, finding)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    sys.exit(1 if any(finding.level is Level.FAIL for finding in findings) else 0)


def _show(console: Console, finding: Finding) -> None:
    colour = COLOURS[finding.level]
    console.print(
        f"[{colour}]{finding.level:<4}[/{colour}]  {finding.check:<14}{escape(finding.message)}"
    )
    if finding.way_out:
        console.print(f"{'':20}→ {escape(finding.way_out)}")


commands = [doctor]

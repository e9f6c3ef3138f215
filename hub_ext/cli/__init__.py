"""The ``apportion`` command. ``command_table`` names the module of each command."""

from __future__ import annotations

import click

from hub_ext.cli.command_table import CommandTable


@click.group(cls=CommandTable, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="apportion")
def main() -> None:
    """JupyterHub as a fair, shared GPU lab."""

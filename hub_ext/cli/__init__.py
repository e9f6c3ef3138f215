"""The ``apportion`` command. Each module here contributes its ``commands``."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

import click

_NAMES = ("up", "testing", "doctor", "image", "sessions", "simulate")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="apportion")
def main() -> None:
    """JupyterHub as a fair, shared GPU lab."""


for _name in _NAMES:
    if find_spec(f"hub_ext.cli.{_name}") is not None:
        for _command in importlib.import_module(f"hub_ext.cli.{_name}").commands:
            main.add_command(_command)

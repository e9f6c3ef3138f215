"""The ``apportion`` command. Each module here contributes its ``commands``."""

from __future__ import annotations

import click

from hub_ext.cli import doctor, image, simulate, testing, up


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="apportion")
def main() -> None:
    """JupyterHub as a fair, shared GPU lab."""


for _module in (up, testing, doctor, image, simulate):
    for _command in _module.commands:
        main.add_command(_command)

"""The table of all commands, and how soon the first help is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hub_ext.cli import main
from hub_ext.cli.command_table import ENTRIES

HEAVY = ("docker", "jupyterhub", "sqlalchemy", "requests", "pydantic", "hub_ext.scheduling")


@pytest.mark.parametrize("name", ENTRIES)
def test_a_command_is_where_the_table_says_and_its_help_starts_with_the_summary(name: str) -> None:
    help_text = " ".join((main.commands[name].help or "").split())

    assert help_text.startswith(ENTRIES[name].summary.rstrip("."))


@pytest.mark.parametrize("arguments", [[], ["list"], ["project", "create"], ["node", "drain"]])
def test_help_imports_nothing_that_is_slow(arguments: list[str]) -> None:
    program = f"""
import atexit, sys
atexit.register(lambda: print("loaded:", *(n for n in {HEAVY!r} if n in sys.modules)))
sys.argv = ["apportion", *{arguments!r}, "--help"]
from hub_ext.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "Usage: apportion" in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_an_unknown_command_is_wrong_usage() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hub_ext.cli", "sumbit"], capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "No such command 'sumbit'" in done.stderr

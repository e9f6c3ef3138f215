"""The command line as somebody uses it who is logged in at a scripted service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from scripted_service import TOKEN, Cli, ScriptedService

from hub_ext.cli import main


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    service = ScriptedService()
    yield service
    service.close()


@pytest.fixture
def cli(service: ScriptedService, tmp_path: Path) -> Cli:
    """Runs ``apportion ARGUMENTS`` with 80 columns; env: other variables, None: unset."""
    environment = {
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "APPORTION_DATA": str(tmp_path / "data"),
        "APPORTION_URL": service.url,
        "APPORTION_TOKEN": TOKEN,
        "JUPYTERHUB_API_TOKEN": None,
        "COLUMNS": "80",
        "TERM": "dumb",
    }

    def run(
        *arguments: str, input: str | None = None, env: dict[str, str | None] | None = None
    ) -> Result:
        runner = CliRunner(env={**environment, **(env or {})})
        result = runner.invoke(main, arguments, input=input)
        assert TOKEN not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run

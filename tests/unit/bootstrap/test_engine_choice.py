"""Docker or processes: the rule for each situation, and its way out."""

from __future__ import annotations

from typing import Any

import pytest

from hub_ext.bootstrap.docker_engine import Engine, EngineState
from hub_ext.bootstrap.engine_choice import Choice, Situation, choose
from hub_ext.bootstrap.failure import BootstrapError


def situation(state: EngineState, **changes: Any) -> Situation:
    """An ordinary user on Debian with everything at its default."""
    values: dict[str, Any] = {
        "wanted": "auto",
        "engine": Engine(state, "unix:///var/run/docker.sock"),
        "is_root": False,
        "may_install": True,
        "is_debian_like": True,
        "bind": "127.0.0.1",
    }
    return Situation(**{**values, **changes})


@pytest.mark.parametrize("is_root", [True, False])
def test_engine_that_answers_is_used(is_root: bool) -> None:
    assert choose(situation(EngineState.ANSWERS, is_root=is_root)) is Choice.USE_DOCKER


def test_root_on_debian_gets_docker_installed() -> None:
    assert choose(situation(EngineState.ABSENT, is_root=True)) is Choice.INSTALL_DOCKER


def test_root_gets_an_installed_engine_started() -> None:
    assert choose(situation(EngineState.NOT_RUNNING, is_root=True)) is Choice.START_DOCKER


def test_ordinary_user_without_docker_gets_processes() -> None:
    assert choose(situation(EngineState.ABSENT)) is Choice.USE_PROCESSES


@pytest.mark.parametrize(
    ("case", "way_out"),
    [
        (situation(EngineState.ABSENT, is_root=True, may_install=False), "--no-install"),
        (situation(EngineState.ABSENT, is_root=True, is_debian_like=False), "docs.docker.com"),
        (situation(EngineState.ABSENT, wanted="docker"), "docs.docker.com"),
        (situation(EngineState.ABSENT, bind="0.0.0.0"), "--bind 127.0.0.1"),
        (situation(EngineState.NOT_RUNNING), "sudo systemctl start docker"),
        (situation(EngineState.NOT_RUNNING, is_root=True, may_install=False), "systemctl start"),
        (situation(EngineState.NO_PERMISSION), "'docker' group"),
        (situation(EngineState.SILENT), "restart"),
        (situation(EngineState.BROKEN), "docker version"),
        (situation(EngineState.REMOTE), "DOCKER_HOST"),
        (situation(EngineState.ANSWERS, wanted="process", is_root=True), "ordinary user"),
        (situation(EngineState.ANSWERS, wanted="process", bind="192.0.2.7"), "--bind 127.0.0.1"),
    ],
)
def test_refusal_names_the_way_out(case: Situation, way_out: str) -> None:
    with pytest.raises(BootstrapError) as refusal:
        choose(case)

    assert way_out in f"{refusal.value.message} {refusal.value.way_out}"


@pytest.mark.parametrize("bind", ["127.0.0.1", "::1", "localhost", "127.0.0.53"])
def test_processes_may_be_offered_to_this_machine(bind: str) -> None:
    case = situation(EngineState.ANSWERS, wanted="process", bind=bind)

    assert choose(case) is Choice.USE_PROCESSES

"""``apportion test``: prepares the machine, runs everything, leaves the engine as it was."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub_ext.bootstrap.docker_engine import Engine, EngineState
from hub_ext.bootstrap.docker_install import StartedEngine
from hub_ext.cli import testing


class Machine:
    """What the command did to the machine, in order; every program succeeds unless named."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.failing: set[str] = set()

    def module(self, name: str, arguments: Sequence[str]) -> int:
        self.did.append(f"{name} {' '.join(arguments)}".strip())
        return 1 if name in self.failing else 0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Root on Debian, all packages there, an engine that answers."""
    made = Machine()
    answers = Engine(EngineState.ANSWERS, "unix:///docker.sock", "20.10")
    monkeypatch.setattr(testing, "PROJECT", tmp_path)
    monkeypatch.setattr(testing, "_module", made.module)
    monkeypatch.setattr(testing.os, "geteuid", lambda: 0)
    monkeypatch.setattr(testing.docker_engine, "look", lambda: answers)
    monkeypatch.setattr(testing.debian_packages, "is_debian_like", lambda: True)
    monkeypatch.setattr(testing.debian_packages, "missing", lambda _: [])
    monkeypatch.setattr(
        testing.debian_packages, "install", lambda names, _: made.did.append(f"apt {names}")
    )
    monkeypatch.setattr(testing, "build_missing_images", lambda *_, **__: made.did.append("images"))
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(testing.test, arguments)


def test_images_linters_and_then_pytest_run_last(machine: Machine) -> None:
    assert run().exit_code == 0

    assert machine.did == [
        "images",
        "ruff check .",
        "mypy",
        "pytest -n 2 --dist loadfile --no-loadscope-reorder",
    ]


def test_only_missing_packages_are_installed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing.debian_packages, "missing", lambda _: ["chromium"])

    run()

    assert machine.did[0] == "apt ['chromium']"


def test_nothing_is_installed_when_not_root(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(testing.debian_packages, "missing", lambda _: ["chromium"])

    assert run().exit_code == 0
    assert machine.did[0] == "images"


def test_quick_run_needs_no_engine(machine: Machine) -> None:
    run("--quick", "tests/unit")

    assert (
        machine.did[-1]
        == "pytest -n 2 --dist loadfile --no-loadscope-reorder tests/unit -m not e2e"
    )
    assert "images" not in machine.did


def test_other_arguments_go_to_pytest(machine: Machine) -> None:
    run("-k", "slices and not gang", "-x", "--maxfail=2")

    assert machine.did[-1].endswith("-k slices and not gang -x --maxfail=2")


@pytest.mark.parametrize("name", ["ruff", "mypy", "pytest"])
def test_anything_that_fails_fails_the_run_but_the_tests_still_run(
    machine: Machine, name: str
) -> None:
    machine.failing.add(name)

    assert run().exit_code == 1
    assert machine.did[-1].startswith("pytest")


def fail(root: Path, *names: str) -> None:
    """As pytest writes down what has failed."""
    record = root / testing._LAST_FAILED
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps(dict.fromkeys(names, True)))


def test_what_fails_beside_others_is_run_once_more_alone(machine: Machine, tmp_path: Path) -> None:
    machine.failing.add("pytest")
    fail(tmp_path, "tests/e2e/test_up.py::test_ctrl_c")

    result = run()

    assert result.exit_code == 1  # as the second time, too
    assert machine.did[-1] == "pytest --last-failed"
    assert "tests/e2e/test_up.py::test_ctrl_c" in result.output


def test_many_failures_are_not_tried_again(machine: Machine, tmp_path: Path) -> None:
    machine.failing.add("pytest")
    fail(tmp_path, *(f"tests/unit/test_{number}.py::test" for number in range(11)))

    assert run().exit_code == 1
    assert len([call for call in machine.did if call.startswith("pytest")]) == 1


def test_a_selection_is_run_once(machine: Machine, tmp_path: Path) -> None:
    machine.failing.add("pytest")
    fail(tmp_path, "tests/unit/test_hours.py::test")

    assert run("tests/unit").exit_code == 1
    assert machine.did[-1].endswith("tests/unit")


@pytest.fixture
def engine_process(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    started: Callable[..., subprocess.Popen[str]],
) -> subprocess.Popen[str]:
    """An engine that is not running, and the process that starting it makes."""
    stopped = Engine(EngineState.NOT_RUNNING, "unix:///docker.sock")
    process = started("sleep", "1000")
    made = StartedEngine(Engine(EngineState.ANSWERS, "unix:///docker.sock", "20.10"), process)
    monkeypatch.setattr(testing.docker_engine, "look", lambda: stopped)
    monkeypatch.setattr(testing.docker_install, "start", lambda *_: made)
    return process


@pytest.mark.parametrize("failing", [set(), {"pytest"}])
def test_engine_that_was_started_is_stopped_at_the_end(
    machine: Machine, engine_process: subprocess.Popen[str], failing: set[str]
) -> None:
    machine.failing = failing

    run()

    assert engine_process.poll() is not None
    assert machine.did[-1].startswith("pytest")


def test_missing_engine_is_refused_when_it_may_not_be_started(
    machine: Machine, engine_process: subprocess.Popen[str]
) -> None:
    result = run("--no-install")

    assert result.exit_code == 1
    assert "--quick" in result.output
    assert engine_process.poll() is None

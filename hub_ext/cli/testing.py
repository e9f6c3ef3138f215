"""``apportion test``: everything the tests need, the linters, then all tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from hub_ext.bootstrap import debian_packages, docker_engine, docker_install
from hub_ext.bootstrap.deployment import PROJECT
from hub_ext.bootstrap.docker_engine import EngineState
from hub_ext.bootstrap.failure import BootstrapError
from hub_ext.cli.image_step import build_missing_images
from hub_ext.cli.terminal import Terminal

PACKAGES = (
    *docker_install.PACKAGES,
    *("chromium", "libatomic1", "postgresql", "docker-registry"),
    *("gcc", "libc6-dev"),  # for the NVML of machines without a GPU
)
ENGINE_STOP_S = 30.0
WORKERS = "2"
MOST_AGAIN = 10
"""More tests than that do not fail by the load of those beside them."""
_TESTS_FAILED = 1  # pytest.ExitCode.TESTS_FAILED
_LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--quick", is_flag=True, help="Only tests that need no Docker engine and no browser.")
@click.option("--no-install", is_flag=True, help="Install and start nothing on this machine.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(quick: bool, no_install: bool, pytest_arguments: tuple[str, ...]) -> None:
    """Run linters and all tests. Other arguments go to pytest (e.g. -k name, tests/unit)."""
    terminal = Terminal()
    try:
        if quick:
            sys.exit(_check([*pytest_arguments, "-m", "not e2e"], terminal))
        may_install = not no_install and os.geteuid() == 0
        if may_install and debian_packages.is_debian_like():
            _install_packages(terminal)
        with _engine(terminal, may_start=may_install):
            build_missing_images(terminal, may_install=may_install)
            sys.exit(_check(pytest_arguments, terminal))
    except BootstrapError as error:
        terminal.error(error)
        sys.exit(1)


def _install_packages(terminal: Terminal) -> None:
    missing = debian_packages.missing(PACKAGES)
    if missing:
        with terminal.step("Installing what the tests need") as step:
            debian_packages.install(missing, step.now)
        terminal.done(f"Installed {', '.join(missing)}")


@contextmanager
def _engine(terminal: Terminal, *, may_start: bool) -> Iterator[None]:
    """A Docker engine for the tests; one that is started here is stopped here."""
    found = docker_engine.look()
    if found.state is EngineState.ANSWERS:
        yield
        return
    if not may_start:
        raise BootstrapError(
            f"The tests need a Docker engine; {found.where}: {found.state.value}.",
            "Start it and run this again, or run only what needs none: ./apportion test --quick.",
        )
    # Docker takes requests for GPUs only where it finds NVIDIA's hook when it starts.
    os.environ["PATH"] += f":{PROJECT / 'tests' / 'fakes' / 'nvidia_runtime'}"
    log = PROJECT / "test-results" / "dockerd.log"
    log.parent.mkdir(exist_ok=True)
    with terminal.step("Starting the Docker engine") as step:
        started = docker_install.start(log, step.now)
    terminal.done(f"Docker engine {started.engine.detail} answers")
    try:
        yield
    finally:
        if started.process is not None:
            _stop(started.process)


def _stop(engine: subprocess.Popen[bytes]) -> None:
    engine.send_signal(signal.SIGTERM)
    try:
        engine.wait(ENGINE_STOP_S)
    except subprocess.TimeoutExpired:
        engine.kill()


def _check(pytest_arguments: Sequence[str], terminal: Terminal) -> int:
    """Linters, then pytest, whose closing line is the last thing printed."""
    code = 0
    for name, arguments in (("ruff", ["check", "."]), ("mypy", [])):
        terminal.say(f"{name}:")
        code = _module(name, arguments) or code
    # Whole files go to one worker: what is slow to start (a hub) is started once a file. In the
    # order of their names, so that tests/e2e, whose few tests are the longest, goes first.
    spread = ["-n", WORKERS, "--dist", "loadfile", "--no-loadscope-reorder"]
    tests = _module("pytest", [*spread, *pytest_arguments])
    if tests == _TESTS_FAILED and not pytest_arguments:
        tests = _again(terminal)
    return tests or code


def _again(terminal: Terminal) -> int:
    """Run what has failed once more, alone: a full machine may have kept it waiting too long.

    What then passes is named all the same: it depends on what runs beside it.
    """
    failed = _failed()
    if not 0 < len(failed) <= MOST_AGAIN:
        return _TESTS_FAILED
    terminal.say("Failed beside other tests; once more, alone:")
    for name in failed:
        terminal.say(f"  {name}")
    return _module("pytest", ["--last-failed"])


def _failed() -> list[str]:
    """What failed in the run that has just ended."""
    try:
        return sorted(json.loads((PROJECT / _LAST_FAILED).read_text()))
    except (OSError, ValueError):
        return []


def _module(name: str, arguments: Sequence[str]) -> int:
    """Run a Python module of this environment; its exit code."""
    return subprocess.run(
        [sys.executable, "-m", name, *arguments], cwd=PROJECT, stdin=subprocess.DEVNULL
    ).returncode


commands = [test]

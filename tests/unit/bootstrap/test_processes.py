"""Telling processes apart for certain."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub_ext.bootstrap import processes
from hub_ext.bootstrap.deployment_processes import MARK, DeploymentProcesses
from hub_ext.bootstrap.processes import Process


@pytest.fixture
def fork() -> Iterator[Process]:
    """A child that has not got to exec yet, as a hub's while it starts a user server."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    child = processes.find(pid)
    assert child is not None
    yield child
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_child_that_is_only_forked_has_no_program_of_its_own(fork: Process) -> None:
    assert not fork.has_a_program_of_its_own()


def test_fork_of_a_part_is_not_taken_for_a_part(
    started: Callable[..., subprocess.Popen[str]], python: str, tmp_path: Path
) -> None:
    script = "import os, signal; f = os.fork(); f and print(f, flush=True); signal.pause()"
    hub = started(
        *(python, "-c", script),
        env={**os.environ, MARK: str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    assert hub.stdout is not None
    forked = int(hub.stdout.readline())

    left = {process.pid for process in DeploymentProcesses(tmp_path).left_behind()}

    os.kill(forked, signal.SIGKILL)
    assert left == {hub.pid}


def test_pid_with_another_start_time_is_another_process() -> None:
    me = processes.find(os.getpid())
    assert me is not None

    assert me.is_alive()
    assert not Process(me.pid, me.started + 1).is_alive()


def test_process_that_ignores_sigterm_is_killed(
    started: Callable[..., subprocess.Popen[str]],
) -> None:
    stubborn = started(
        "sh", "-c", "trap '' TERM; echo; while :; do sleep 0.1; done", stdout=subprocess.PIPE
    )
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    process = processes.find(stubborn.pid)
    assert process is not None

    assert processes.stop([process], patience_s=0.1) == []
    assert stubborn.wait(10) == -signal.SIGKILL


def test_environment_of_a_process_that_is_gone_is_empty() -> None:
    assert Process(2**22 + 1, 1).environment() == {}


def test_command_line_is_known_after_a_moment_of_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter(["", "", "dockerd --debug"])
    monkeypatch.setattr(processes.Process, "command", lambda self: next(seen))
    this = processes.find(os.getpid())

    assert this is not None
    assert this.command_once_known() == "dockerd --debug"


def test_command_line_of_what_has_none_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes.Process, "command", lambda self: "")
    monkeypatch.setattr(processes, "_EXEC_S", 0.1)
    this = processes.find(os.getpid())

    assert this is not None
    assert this.command_once_known() == ""

"""The supervisor over a stand-in hub with real processes: who lives, who ends, what is said."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub_ext.bootstrap import processes
from hub_ext.bootstrap.deployment import PROJECT
from hub_ext.bootstrap.processes import Process

SCRIPT = Path(__file__).with_name("run_supervisor.py")
LIMIT_S = 30.0


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition with a limit."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_S:.0f} s: {what}"
        time.sleep(0.02)


class Run:
    """One supervisor at work in a data directory."""

    def __init__(self, process: subprocess.Popen[str], data: Path, output: Path) -> None:
        self.process, self.data, self.output = process, data, output

    def said(self) -> str:
        return self.output.read_text()

    def part(self, name: str) -> Process:
        """hub, proxy, service or user, as last started."""
        found = processes.find(int((self.data / f"{name}.pid").read_text()))
        assert found is not None, name
        return found

    def parts(self) -> dict[str, Process]:
        return {name: self.part(name) for name in ("hub", "proxy", "service", "user")}

    def wait_until_ready(self) -> None:
        until(lambda: "ready" in self.said() or self.process.poll() is not None, "ready")
        assert "ready" in self.said(), self.said()
        until((self.data / "hub.pid").exists, "hub's pid file")

    def end(self, signum: int) -> int:
        self.process.send_signal(signum)
        return self.process.wait(LIMIT_S)


@pytest.fixture
def supervise(
    tmp_path: Path, python: str, started: Callable[..., subprocess.Popen[str]]
) -> Iterator[Callable[..., Run]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    runs: list[Run] = []

    def run(behaviour: str = "") -> Run:
        output = tmp_path / f"out{len(runs)}.txt"
        environment = {**os.environ, "BEHAVIOUR": behaviour, "PYTHONPATH": str(PROJECT)}
        process = started(
            *(python, str(SCRIPT), str(tmp_path), str(port)),
            env=environment,
            stdout=output.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        runs.append(Run(process, tmp_path, output))
        return runs[-1]

    yield run
    for name in ("hub", "proxy", "service", "user"):
        path = tmp_path / f"{name}.pid"
        left = processes.find(int(path.read_text())) if path.exists() else None
        if left is not None and ("sleep" in left.command() or "fake_hub" in left.command()):
            left.send(signal.SIGKILL)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop_signal_ends_hub_proxy_and_service_but_no_user_server(
    supervise: Callable[..., Run], signum: int
) -> None:
    run = supervise()
    run.wait_until_ready()
    parts = run.parts()

    code = run.end(signum)

    assert code == 0
    assert {name for name, part in parts.items() if part.is_alive()} == {"user"}
    assert "Stopping" in run.said()


def test_hub_that_ignores_the_stop_signal_is_ended_with_its_parts(
    supervise: Callable[..., Run],
) -> None:
    run = supervise("deaf")
    run.wait_until_ready()
    parts = run.parts()

    assert run.end(signal.SIGTERM) == 0
    assert {name for name, part in parts.items() if part.is_alive()} == {"user"}


def test_killed_hub_is_started_again_without_leaving_its_parts(
    supervise: Callable[..., Run], tmp_path: Path
) -> None:
    run = supervise()
    run.wait_until_ready()
    before = run.parts()

    before["hub"].send(signal.SIGKILL)
    until(lambda: (tmp_path / "hub.pid").read_text() != str(before["hub"].pid), "a new hub")

    assert "ended unexpectedly (killed by SIGKILL)" in run.said()
    assert not before["proxy"].is_alive()
    assert not before["service"].is_alive()
    assert before["user"].is_alive()
    assert run.end(signal.SIGTERM) == 0


def test_no_orphan_is_left_when_hub_is_killed_and_then_stopped(
    supervise: Callable[..., Run],
) -> None:
    run = supervise()
    run.wait_until_ready()
    parts = run.parts()

    parts["hub"].send(signal.SIGKILL)
    run.end(signal.SIGINT)

    assert not parts["proxy"].is_alive()
    assert not parts["service"].is_alive()


def test_hub_that_cannot_start_is_given_up_at_once_with_its_last_words(
    supervise: Callable[..., Run],
) -> None:
    run = supervise("dies-at-start")

    assert run.process.wait(LIMIT_S) == 1
    assert "exit code 3" in run.said()
    assert "ImportError: no module named nonsense" in run.said()
    assert "hub.log" in run.said()
    assert "Traceback" not in run.said()


def test_hub_that_keeps_dying_is_given_up_after_five_times(supervise: Callable[..., Run]) -> None:
    run = supervise("dies-again")
    run.wait_until_ready()

    run.part("hub").send(signal.SIGKILL)

    assert run.process.wait(LIMIT_S) == 1
    assert run.said().count("starting it again") == 4
    assert "ended 5 times" in run.said()
    assert "ImportError" in run.said()


def test_killed_supervisor_takes_hub_proxy_and_service_with_it(
    supervise: Callable[..., Run],
) -> None:
    run = supervise()
    run.wait_until_ready()
    parts = run.parts()

    run.end(signal.SIGKILL)

    ending = [parts[name] for name in ("hub", "proxy", "service")]
    assert processes.wait_for_end(ending, LIMIT_S) == []


def test_next_start_stops_what_a_killed_supervisor_and_hub_left(
    supervise: Callable[..., Run],
) -> None:
    run = supervise()
    run.wait_until_ready()
    left = run.parts()
    run.process.send_signal(signal.SIGSTOP)
    left["hub"].send(signal.SIGKILL)
    assert processes.wait_for_end([left["hub"]], LIMIT_S) == []
    run.end(signal.SIGKILL)
    assert left["proxy"].is_alive()

    again = supervise()
    again.wait_until_ready()

    assert "took over 2" in again.said()
    assert not left["proxy"].is_alive()
    assert not left["service"].is_alive()
    assert left["user"].is_alive()
    again.end(signal.SIGTERM)


def test_foreign_process_with_a_recorded_pid_is_left_alone(
    supervise: Callable[..., Run], started: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    bystander = processes.find(started("sleep", "1000").pid)
    assert bystander is not None
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (tmp_path / "processes.json").write_text(
        f'{{"boot_id": "{boot_id}", "processes": [[{bystander.pid}, {bystander.started - 7}]]}}'
    )

    run = supervise()
    run.wait_until_ready()

    assert "took over 0" in run.said()
    assert bystander.is_alive()
    run.end(signal.SIGTERM)


@pytest.mark.parametrize("damage", ["", "{", '{"boot_id": 3}', '{"processes": [1]}'])
def test_damaged_record_does_not_stop_a_start(
    supervise: Callable[..., Run], tmp_path: Path, damage: str
) -> None:
    (tmp_path / "processes.json").write_text(damage)

    run = supervise()
    run.wait_until_ready()

    run.end(signal.SIGTERM)

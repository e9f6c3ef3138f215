"""Keeps the hub running until it is told to stop, and leaves nothing of it behind.

Stopping ends hub, proxy and service; user containers are not touched (the hub's
``cleanup_servers`` is off). A hub that dies unexpectedly is started again, later each time;
one that keeps dying is given up with its last words.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hub_ext.bootstrap import log_files, processes
from hub_ext.bootstrap.deployment_processes import HUB_PATIENCE_S, DeploymentProcesses
from hub_ext.bootstrap.failure import BootstrapError
from hub_ext.bootstrap.health import HealthCheck
from hub_ext.bootstrap.processes import Process

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TICK_S = 1.0
STARTING_TICK_S = 0.1
CRASHES_ALLOWED = 5
CRASH_WINDOW_S = 60.0
LARGEST_BACKOFF_S = 10.0
LOG_LINES = 25


@dataclass(frozen=True, slots=True)
class HubCommand:
    """How the hub is started. environment: complete, not only additions."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    log: Path


@dataclass(slots=True)
class Supervisor:
    """One run of ``up`` after everything is prepared.

    on_ready is called once, when all health checks have answered; say prints one line.
    start_timeout_s bounds the wait for the first answer.
    """

    data: Path
    command: HubCommand
    checks: Sequence[HealthCheck]
    on_ready: Callable[[], None]
    say: Callable[[str], None]
    start_timeout_s: float = 120.0
    _hub: subprocess.Popen[bytes] | None = None
    _stop_signal: int | None = None
    _crashes: deque[float] = field(default_factory=deque)
    _log_offset: int = 0

    def run(self) -> int:
        """Run until a stop signal; returns the exit code. Raises BootstrapError on failure."""
        processes.become_subreaper()
        deployment = DeploymentProcesses(self.data)
        with _Signals(self._note_signal) as signals:
            try:
                self._start(deployment)
                if self._wait_until_ready(signals, deployment):
                    self.on_ready()
                    self._keep_running(signals, deployment)
            finally:
                self._stop(deployment)
        return 0

    def _note_signal(self, signum: int) -> None:
        if self._stop_signal is None:
            self._stop_signal = signum

    def _start(self, deployment: DeploymentProcesses) -> None:
        """Start the hub in a session of its own: the terminal's Ctrl-C is for us alone."""
        log_files.rotate(self.command.log)
        self._log_offset = self.command.log.stat().st_size if self.command.log.exists() else 0
        with self.command.log.open("ab") as stream:
            self._hub = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "hub_ext.bootstrap.run_hub",
                    str(os.getpid()),
                    *self.command.arguments,
                ],
                env=dict(self.command.environment),
                cwd=self.command.directory,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        hub = processes.find(self._hub.pid)
        if hub is not None:
            deployment.set_hub(hub)

    def _wait_until_ready(self, signals: _Signals, deployment: DeploymentProcesses) -> bool:
        """True when all parts answer, False on a stop signal."""
        deadline = time.monotonic() + self.start_timeout_s
        missing = list(self.checks)
        while missing:
            signals.wait(STARTING_TICK_S)
            if self._stop_signal is not None:
                return False
            deployment.look()
            code = self._exit_code()
            if code is not None:
                raise self._failure(f"The hub ended at its start ({_described(code)}).")
            while missing and missing[0].answers():
                missing.pop(0)
            if missing and time.monotonic() > deadline:
                raise self._failure(
                    f"The {missing[0].part} does not answer within {self.start_timeout_s:.0f} s"
                    f" (http://{missing[0].address}:{missing[0].port}{missing[0].path})."
                )
        return True

    def _keep_running(self, signals: _Signals, deployment: DeploymentProcesses) -> None:
        while self._stop_signal is None:
            signals.wait(TICK_S)
            deployment.look()
            processes.reap(self._hub.pid if self._hub else None)
            code = self._exit_code()
            if code is not None and self._stop_signal is None:
                self._restart(code, signals, deployment)

    def _restart(self, code: int, signals: _Signals, deployment: DeploymentProcesses) -> None:
        """After a crash: clear what the hub left, wait a little longer each time, start again."""
        now = time.monotonic()
        self._crashes.append(now)
        while self._crashes and self._crashes[0] < now - CRASH_WINDOW_S:
            self._crashes.popleft()
        if len(self._crashes) >= CRASHES_ALLOWED:
            raise self._failure(
                f"The hub ended {len(self._crashes)} times within {CRASH_WINDOW_S:.0f} s"
                f" ({_described(code)}); giving up."
            )
        delay = min(0.5 * 2 ** (len(self._crashes) - 1), LARGEST_BACKOFF_S)
        self.say(f"The hub ended unexpectedly ({_described(code)}); starting it again.")
        deployment.stop_parts()
        signals.wait(delay, whole=True)
        if self._stop_signal is None:
            self._start(deployment)

    def _stop(self, deployment: DeploymentProcesses) -> None:
        """End hub, then whatever of proxy and service is left. Bounded."""
        if self._stop_signal is not None:
            self.say("Stopping hub, proxy and service; sessions go on ...")
        deployment.look()
        if self._hub is not None and (hub := _alive(self._hub)) is not None:
            hub.send(signal.SIGTERM)
            try:
                self._hub.wait(HUB_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.say("The hub does not stop by itself; ending it.")
                self._hub.kill()
                self._hub.wait()
        stubborn = deployment.stop_parts()
        processes.reap()
        if stubborn:
            listed = ", ".join(str(process.pid) for process in stubborn)
            self.say(f"These processes would not end: {listed}.")
        else:
            deployment.forget()

    def _exit_code(self) -> int | None:
        return self._hub.poll() if self._hub is not None else None

    def _failure(self, message: str) -> BootstrapError:
        tail = log_files.last_lines(self.command.log, LOG_LINES, since=self._log_offset)
        shown = "\n".join(tail) if tail else "(it wrote nothing)"
        return BootstrapError(
            f"{message} Its last log lines:\n{shown}",
            f"The whole log is {self.command.log}. './apportion doctor' looks for known causes.",
        )


def _alive(child: subprocess.Popen[bytes]) -> Process | None:
    return processes.find(child.pid) if child.poll() is None else None


def _described(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


class _Signals:
    """Stop signals and the end of children wake ``wait``; Python code never runs in between."""

    def __init__(self, on_stop: Callable[[int], None]) -> None:
        self._on_stop = on_stop
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Signals:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._reader, selectors.EVENT_READ)
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for signum in STOP_SIGNALS:
            self._before[signum] = signal.signal(signum, lambda number, _: self._on_stop(number))
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup)
        self._selector.close()
        self._reader.close()
        self._writer.close()

    def wait(self, timeout_s: float, *, whole: bool = False) -> None:
        """Wait for a signal; with ``whole``, only a stop signal's handler ends it early."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            if self._selector.select(left):
                received = self._reader.recv(4096)
                if not whole or any(number in STOP_SIGNALS for number in received):
                    return

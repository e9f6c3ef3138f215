"""A Docker engine on a machine that has none, or whose engine is not running (as root)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hub_ext.bootstrap import debian_packages, docker_engine, log_files, processes
from hub_ext.bootstrap.docker_engine import Engine, EngineState
from hub_ext.bootstrap.failure import BootstrapError

PACKAGES = ("docker.io", "iptables", "debootstrap")
PID_FILE = Path("/var/run/docker.pid")
SYSTEMD_RUNS = Path("/run/systemd/system")  # sd_booted(3)
START_TIMEOUT_S = 60.0
LOG_LINES = 12


@dataclass(frozen=True, slots=True)
class StartedEngine:
    """An engine that answers. process: the dockerd started by hand, None if systemd has it."""

    engine: Engine
    process: subprocess.Popen[bytes] | None


def install(say: Callable[[str], None]) -> None:
    """Debian's Docker engine and what it needs. Raises BootstrapError."""
    wanted = debian_packages.missing(PACKAGES)
    if wanted:
        debian_packages.install(wanted, say)


def start(log: Path, say: Callable[[str], None]) -> StartedEngine:
    """Start the installed engine and wait until it answers. Raises BootstrapError.

    Without systemd, dockerd runs in a session of its own with its output in ``log``, and
    survives the caller: containers must not end with the command that started them.
    """
    already = docker_engine.look()
    if already.state is EngineState.ANSWERS:
        return StartedEngine(already, None)
    if SYSTEMD_RUNS.is_dir() and shutil.which("systemctl"):
        return _start_by_systemd(say)
    return _start_by_hand(log, say)


def _start_by_systemd(say: Callable[[str], None]) -> StartedEngine:
    say("systemctl start docker")
    result = subprocess.run(
        ["systemctl", "start", "docker"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    engine = docker_engine.wait_until_it_answers(START_TIMEOUT_S if result.returncode == 0 else 0.0)
    if engine.state is not EngineState.ANSWERS:
        raise BootstrapError(
            f"systemd could not start the Docker engine: {result.stderr.strip()}".rstrip(": "),
            "See 'systemctl status docker' and 'journalctl -u docker', then run this again.",
        )
    return StartedEngine(engine, None)


def _start_by_hand(log: Path, say: Callable[[str], None]) -> StartedEngine:
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise BootstrapError(
            "The Docker engine (dockerd) is not installed.",
            "Install it (Debian, Ubuntu: apt-get install docker.io) and run this again.",
        )
    if _starts_already():  # by the package's own start script, say
        engine = docker_engine.wait_until_it_answers(START_TIMEOUT_S, _starts_already)
        if engine.state is EngineState.ANSWERS:
            return StartedEngine(engine, None)
    say(f"starting dockerd (log: {log})")
    log_files.rotate(log)
    offset = log.stat().st_size if log.exists() else 0
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [program],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd="/",
            start_new_session=True,
        )
    engine = docker_engine.wait_until_it_answers(
        START_TIMEOUT_S, still_possible=lambda: process.poll() is None
    )
    if engine.state is EngineState.ANSWERS:
        # Ours has ended when another one, begun meanwhile, was faster: that one answers.
        return StartedEngine(engine, process if process.poll() is None else None)
    ended = f"ended with exit code {process.poll()}" if process.poll() is not None else "runs on"
    tail = "\n".join(log_files.last_lines(log, LOG_LINES, since=offset))
    raise BootstrapError(
        f"dockerd was started but does not answer ({ended}). Its last words:\n{tail}",
        f"The whole log is {log}. Inside a container dockerd needs a privileged one.",
    )


def _starts_already() -> bool:
    """Whether the pid file's process is a dockerd at work.

    A pid file whose number now belongs to another program is removed: dockerd, which
    only looks whether the number is in use, would refuse to start.
    """
    try:
        process = processes.find(int(PID_FILE.read_text()))
    except (OSError, ValueError):
        return False
    if process is None or not process.is_alive():
        return False
    if "dockerd" in process.command_once_known():
        return True
    with contextlib.suppress(OSError):
        PID_FILE.unlink()
    return False

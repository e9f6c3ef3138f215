"""The local Docker engine: is there one, does it answer, may this user use it.

Every wait has a limit: a broken engine must not hang the caller.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import docker
from docker.errors import DockerException

DEFAULT_SOCKET = Path("/var/run/docker.sock")
ANSWER_TIMEOUT_S = 10.0


class EngineState(Enum):
    """What was found where the Docker engine should be."""

    ANSWERS = "answers"
    NO_PERMISSION = "no permission"
    NOT_RUNNING = "not running"
    SILENT = "silent"
    BROKEN = "broken"
    REMOTE = "remote"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Engine:
    """State of the engine; ``detail`` is its version, or what went wrong."""

    state: EngineState
    where: str
    detail: str = ""


def look(timeout_s: float = ANSWER_TIMEOUT_S) -> Engine:
    """Find the engine and ask for its version, for at most about ``timeout_s``."""
    where = os.environ.get("DOCKER_HOST") or f"unix://{DEFAULT_SOCKET}"
    if not where.startswith("unix://"):
        return Engine(EngineState.REMOTE, where)
    path = Path(where.removeprefix("unix://"))
    if not path.exists():
        state = EngineState.NOT_RUNNING if _is_installed() else EngineState.ABSENT
        return Engine(state, where)
    refused = _try_socket(path, timeout_s)
    if refused is not None:
        return Engine(refused[0], where, refused[1])
    return _ask_version(where, timeout_s)


def _is_installed() -> bool:
    return shutil.which("dockerd") is not None or Path("/usr/sbin/dockerd").exists()


def _try_socket(path: Path, timeout_s: float) -> tuple[EngineState, str] | None:
    """What keeps a connection from being made; None if nothing does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(timeout_s)
        try:
            probe.connect(str(path))
        except PermissionError:
            return EngineState.NO_PERMISSION, ""
        except (TimeoutError, BlockingIOError):
            return EngineState.SILENT, ""
        except OSError as error:
            return EngineState.NOT_RUNNING, error.strerror or str(error)
    return None


def _ask_version(where: str, timeout_s: float) -> Engine:
    try:
        client = docker.DockerClient(base_url=where, timeout=timeout_s)
        try:
            return Engine(EngineState.ANSWERS, where, str(client.version()["Version"]))
        finally:
            client.close()
    except (DockerException, OSError, ValueError, KeyError) as error:
        if "timed out" in str(error).lower():
            return Engine(EngineState.SILENT, where)
        return Engine(EngineState.BROKEN, where, str(error))


def wait_until_it_answers(
    timeout_s: float, still_possible: Callable[[], bool] = lambda: True
) -> Engine:
    """Ask again until the engine answers, ``still_possible`` says no, or time is up."""
    deadline = time.monotonic() + timeout_s
    while True:
        engine = look(timeout_s=3.0)
        if engine.state is EngineState.ANSWERS:
            return engine
        if time.monotonic() >= deadline or not still_possible():
            return engine
        time.sleep(0.3)

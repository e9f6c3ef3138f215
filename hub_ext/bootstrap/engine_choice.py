"""Docker or local processes: the rule, apart from everything that carries it out."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum

from hub_ext.bootstrap.docker_engine import Engine, EngineState
from hub_ext.bootstrap.failure import BootstrapError

AS_A_TRIAL = "For a trial without isolation, as an ordinary user: --engine process."


class Choice(Enum):
    """What ``up`` does about the engine."""

    USE_DOCKER = "use Docker"
    START_DOCKER = "start Docker"
    INSTALL_DOCKER = "install Docker"
    USE_PROCESSES = "use processes"


@dataclass(frozen=True, slots=True)
class Situation:
    """What the choice depends on. wanted: auto, docker or process."""

    wanted: str
    engine: Engine
    is_root: bool
    may_install: bool
    is_debian_like: bool
    bind: str


def choose(situation: Situation) -> Choice:
    """The engine to use. Raises BootstrapError with the way out when there is none."""
    if situation.wanted == "process":
        return _processes(situation)
    match situation.engine.state:
        case EngineState.ANSWERS:
            return Choice.USE_DOCKER
        case EngineState.NOT_RUNNING:
            return _start(situation)
        case EngineState.ABSENT:
            return _install(situation)
        case _:
            raise _unusable(situation.engine)


def _processes(situation: Situation) -> Choice:
    """Local processes isolate nobody: never as root, never for other machines."""
    if situation.is_root:
        raise BootstrapError(
            "Sessions as local processes are refused to root: every user would be root.",
            "Run this as an ordinary user, or with a Docker engine: --engine docker.",
        )
    if not is_loopback(situation.bind):
        raise BootstrapError(
            f"Sessions as local processes isolate nobody, so they are not offered on"
            f" {situation.bind}.",
            "Bind to this machine only (--bind 127.0.0.1), or use a Docker engine.",
        )
    return Choice.USE_PROCESSES


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches the address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _start(situation: Situation) -> Choice:
    if situation.is_root and situation.may_install:
        return Choice.START_DOCKER
    detail = f" ({situation.engine.detail})" if situation.engine.detail else ""
    command = "systemctl start docker" if situation.is_root else "sudo systemctl start docker"
    raise BootstrapError(
        f"Docker is installed but its engine is not running at {situation.engine.where}{detail}.",
        f"Start it ({command}) and run this again. {AS_A_TRIAL}",
    )


def _install(situation: Situation) -> Choice:
    if situation.is_root and situation.may_install and situation.is_debian_like:
        return Choice.INSTALL_DOCKER
    if situation.wanted == "auto" and not situation.is_root:
        return _processes(situation)
    if situation.is_root and not situation.may_install:
        raise BootstrapError(
            "There is no Docker engine, and --no-install forbids installing one.",
            f"Install Docker by hand, or leave --no-install out. {AS_A_TRIAL}",
        )
    raise BootstrapError(
        "There is no Docker engine on this machine.",
        "Install Docker Engine (https://docs.docker.com/engine/install/; Debian, Ubuntu:"
        f" apt-get install docker.io) and run this again. {AS_A_TRIAL}",
    )


def _unusable(engine: Engine) -> BootstrapError:
    match engine.state:
        case EngineState.NO_PERMISSION:
            return BootstrapError(
                f"A Docker engine is there, but you may not use it ({engine.where}).",
                "Ask to be put in the 'docker' group (sudo usermod -aG docker $USER), log in"
                f" again and run this again. {AS_A_TRIAL}",
            )
        case EngineState.SILENT:
            return BootstrapError(
                f"The Docker engine at {engine.where} takes connections but does not answer.",
                "Look at its log (journalctl -u docker) and restart it (systemctl restart"
                f" docker), then run this again. {AS_A_TRIAL}",
            )
        case EngineState.REMOTE:
            return BootstrapError(
                f"DOCKER_HOST is {engine.where}, on another machine.",
                "The hub must run where its engine runs, since folders are mounted from here:"
                " unset DOCKER_HOST, or run this there.",
            )
        case _:
            return BootstrapError(
                f"The Docker engine at {engine.where} does not work: {engine.detail}.",
                f"Check it with 'docker version', repair it and run this again. {AS_A_TRIAL}",
            )

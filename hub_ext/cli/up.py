"""``apportion up``: from a bare machine to a running hub, and back at Ctrl-C."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
from pathlib import Path
from typing import Any

import click
import docker
import docker.errors
import requests.exceptions

from hub_ext.bootstrap import (
    data_directory,
    debian_packages,
    deployment_processes,
    docker_engine,
    docker_install,
    environment,
    health,
    log_files,
    network,
    ports,
)
from hub_ext.bootstrap.deployment import (
    CONFIG_FILE,
    PROJECT,
    UpOptions,
    hub_command,
    internal_ports,
    public_port,
)
from hub_ext.bootstrap.engine_choice import Choice, Situation, choose
from hub_ext.bootstrap.failure import BootstrapError
from hub_ext.bootstrap.supervise import Supervisor
from hub_ext.cli.image_step import build_missing_images
from hub_ext.cli.terminal import Terminal
from hub_ext.fgpu import FgpuUnit
from hub_ext.gpu.simulated import parse_simulated_gpus
from hub_ext.settings import DeploymentSettings, SettingsError

INTERRUPTED = 130  # as a shell reports SIGINT


def _simulated_gpus(_context: Any, _parameter: Any, value: str) -> str:
    try:
        parse_simulated_gpus(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value


def _fgpu_per_gpu(_context: Any, _parameter: Any, value: int) -> int:
    try:
        FgpuUnit(per_gpu=value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=True, path_type=Path),
    default=Path("var"),
    show_default="./var",
    help="Directory with everything this deployment knows: settings, databases, folders, logs.",
)
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port for it."
)
@click.option(
    "--simulate-gpus",
    default="",
    metavar="COUNTxMEMORY",
    callback=_simulated_gpus,
    help="Pretend to have GPUs, e.g. 2x16GiB or 2x16GiB,1x24GiB; with a slash, several nodes:"
    " '8x16GiB / 8x16GiB'.",
)
@click.option(
    "--fgpu-per-gpu",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    callback=_fgpu_per_gpu,
    help="How many fGPU make one physical GPU.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "docker", "process"]),
    default="auto",
    show_default=True,
    help="Where sessions run. 'process' isolates nobody: a trial on one's own machine.",
)
@click.option("--admin", default="admin", show_default=True, help="Name of the first admin.")
@click.option(
    "--reset-admin-password", is_flag=True, help="Give the admin a new password and print it."
)
@click.option(
    "--no-install", is_flag=True, help="Neither install nor start a Docker engine on this machine."
)
@click.option(
    "--no-image-build", is_flag=True, help="Do not build the images that are not there yet."
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=CONFIG_FILE,
    show_default="jupyterhub_config.py of the project",
    help="JupyterHub configuration.",
)
def up(data: Path, config: Path, no_install: bool, no_image_build: bool, **values: Any) -> None:
    """Start the hub and keep it running until Ctrl-C.

    Sessions outlive it: a later 'up' on the same --data finds them again.
    """
    options = UpOptions(
        data=data.resolve(),
        config=config.resolve(),
        may_install=not no_install,
        build_images=not no_image_build,
        **values,
    )
    terminal = Terminal()
    try:
        sys.exit(_run(options, terminal))
    except BootstrapError as error:
        terminal.error(error)
    except SettingsError as error:
        terminal.error(BootstrapError(str(error)))
    except (OSError, sqlite3.Error) as error:
        terminal.error(_unforeseen(options.data, error))
    except KeyboardInterrupt:
        terminal.say("Interrupted. Run the command again to go on.")
        sys.exit(INTERRUPTED)
    sys.exit(1)


def _unforeseen(data: Path, error: OSError | sqlite3.Error) -> BootstrapError:
    """An error of the machine that no step expected: mostly a disk that fills up meanwhile."""
    if isinstance(error, OSError) and error.errno in data_directory.STORAGE_ERRORS:
        return data_directory.refusal(data, error)
    return BootstrapError(f"{error}.", "'./apportion doctor' looks for known causes.")


def _run(options: UpOptions, terminal: Terminal) -> int:
    """All steps in their order. Raises BootstrapError."""
    data_directory.prepare(options.data)
    if options.reset_admin_password and data_directory.is_locked(options.data):
        terminal.say(f"An 'up' runs on {options.data}: only the password is changed.")
        _ensure_admin(options, terminal)
        return 0
    with data_directory.locked(options.data):
        terminal.log = options.data / "log" / "up.log"
        log_files.rotate(terminal.log)
        _take_over(options, terminal)
        settings = DeploymentSettings.load_or_create(options.data)
        options.remember()
        ports.require_free(public_port(options))
        terminal.done(f"Data in {options.data}, {options.bind_url} is free")
        engine = _prepare_engine(options, terminal)
        gateway, network_name = "127.0.0.1", ""
        if engine == "docker":
            gateway, network_name = _prepare_docker(options, settings, terminal)
        for use in internal_ports(options, settings, gateway):
            ports.require_free(use)
        _ensure_admin(options, terminal)
        return _supervise(options, settings, engine, network_name, terminal)


def _take_over(options: UpOptions, terminal: Terminal) -> None:
    """Nobody holds the lock, so whatever still runs is the rest of an ``up`` that was killed."""
    found, stubborn = deployment_processes.take_over(options.data)
    if found:
        terminal.done(f"Stopped what an earlier 'up' left running ({len(found)} processes)")
    if stubborn:
        listed = ", ".join(str(process.pid) for process in stubborn)
        raise BootstrapError(
            f"Processes of an earlier 'up' on this directory would not end: {listed}.",
            f"End them by hand (kill -9 {listed.replace(',', '')}) and run this again.",
        )


def _prepare_engine(options: UpOptions, terminal: Terminal) -> str:
    """docker or process, with the engine running if docker."""
    with terminal.step("Looking for a Docker engine"):
        engine = docker_engine.look()
    choice = choose(
        Situation(
            wanted=options.engine,
            engine=engine,
            is_root=os.geteuid() == 0,
            may_install=options.may_install,
            is_debian_like=debian_packages.is_debian_like(),
            bind=options.bind,
        )
    )
    if choice is Choice.USE_PROCESSES:
        _prepare_processes(terminal)
        return "process"
    if choice is Choice.INSTALL_DOCKER:
        with terminal.step("Installing the Docker engine") as step:
            docker_install.install(step.now)
        terminal.done("Docker engine installed")
    if choice is not Choice.USE_DOCKER:
        with terminal.step("Starting the Docker engine") as step:
            log = options.data / "log" / "dockerd.log"
            engine = docker_install.start(log, step.now).engine
    terminal.done(f"Docker engine {engine.detail} answers")
    return "docker"


def _prepare_processes(terminal: Terminal) -> None:
    terminal.warn(
        "NO ISOLATION: trial only",
        "Sessions run as processes of your own account: every user can read and change your files"
        " and every other session, and limits of memory, CPU and GPU are not enforced.\n"
        "Let nobody else in. Install Docker for real use.",
    )
    if Path(sys.prefix) == PROJECT / ".venv":
        try:
            environment.ensure_environment(PROJECT, ["local"])
        except environment.SetupError as error:
            raise BootstrapError(str(error)) from error


def _prepare_docker(
    options: UpOptions, settings: DeploymentSettings, terminal: Terminal
) -> tuple[str, str]:
    """Images and network. Returns (gateway address, network name)."""
    if options.build_images:
        build_missing_images(
            terminal,
            may_install=options.may_install,
            way_out="To start without: --no-image-build.",
        )
    client = docker.from_env(timeout=60)
    try:
        made = network.ensure(client, settings.deployment_id)
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise BootstrapError(
            f"The network of the sessions could not be made; the Docker engine says: {error}.",
            "Check it with 'docker version' and 'docker info', and run this again.",
        ) from error
    finally:
        client.close()
    terminal.done(f"Network {made.name} ({made.subnet}): sessions cannot reach each other")
    return made.gateway, made.name


def _ensure_admin(options: UpOptions, terminal: Terminal) -> None:
    # Half a second of imports (JupyterHub's tables) that no other command needs.
    from hub_ext.bootstrap import admin_account

    password = admin_account.ensure_admin(
        options.hub_database, options.admin, reset=options.reset_admin_password
    )
    if password is not None:
        terminal.secret(
            "Shown only once",
            [
                f"Log in as   {options.admin}",
                f"Password    {password}",
                "",
                "Lost it? ./apportion up --reset-admin-password",
            ],
        )


def _supervise(
    options: UpOptions,
    settings: DeploymentSettings,
    engine: str,
    network_name: str,
    terminal: Terminal,
) -> int:
    supervisor = Supervisor(
        data=options.data,
        command=hub_command(options, engine=engine, network=network_name),
        checks=health.of_deployment(options.bind, options.port, settings.service_port),
        on_ready=lambda: _announce(options, terminal),
        say=terminal.say,
    )
    terminal.say("Starting hub, proxy and service ...")
    return supervisor.run()


def _announce(options: UpOptions, terminal: Terminal) -> None:
    address = health.reachable(options.bind)
    host = socket.gethostname() if address != options.bind else options.bind
    host = f"[{host}]" if ":" in host else host
    terminal.done(f"Apportion is running at http://{host}:{options.port}")
    if options.simulate_gpus:
        terminal.say(f"  GPUs      {options.simulate_gpus}, simulated")
    terminal.say(f"  Log in    as {options.admin}")
    terminal.say(f"  Logs      {options.data / 'log'}")
    terminal.say("  Stop      Ctrl-C (sessions go on; the next 'up' finds them)")


commands = [up]

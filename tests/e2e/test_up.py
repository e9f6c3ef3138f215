"""``./apportion up`` as its user knows it: passwords, stops, kills, and a second start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from hub_ext.bootstrap import network, processes
from hub_ext.bootstrap.deployment_processes import MARK
from hub_ext.bootstrap.processes import Process
from tests.e2e.lab import PROJECT, Lab, Person, until


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "1x8GiB")


def apportion(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the CLI to its end."""
    return subprocess.run(
        [sys.executable, "-m", "hub_ext.cli", *arguments],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def parts(lab: Lab) -> dict[str, Process]:
    """Hub, proxy and service of a deployment, by their command lines."""
    assert lab.process is not None
    names = {"jupyterhub -f": "hub", "spawner.streaming_proxy": "proxy", "hub_ext.app": "service"}
    found = {}
    for process in processes.everyone():
        if process.environment().get(MARK) == str(lab.data):
            for sign, name in names.items():
                if sign in process.command():
                    found[name] = process
    return found


def everything_ended(kinds: dict[str, Process]) -> bool:
    return not any(process.is_alive() for process in kinds.values())


def test_up_runs_exactly_hub_proxy_and_service(lab: Lab) -> None:
    assert set(parts(lab)) == {"hub", "proxy", "service"}


def test_password_is_printed_only_once(lab: Lab) -> None:
    assert len(re.findall("Password ", lab.output())) == 1
    lab.stop()
    lab.start()

    assert len(re.findall("Password ", lab.output())) == 1
    assert Person(lab, "admin", lab.admin.password).hub.get("/user").json()["admin"]


def test_password_is_in_no_log(lab: Lab) -> None:
    for log in (lab.data / "log").iterdir():
        assert lab.admin.password not in log.read_text()


def test_new_password_works_at_once_in_a_running_hub(lab: Lab) -> None:
    result = apportion("up", "--data", str(lab.data), "--reset-admin-password")

    assert result.returncode == 0, result.stdout
    new = re.search(r"Password\s+(\S+)", result.stdout)
    assert new is not None
    with pytest.raises(AssertionError):
        Person(lab, "admin", lab.admin.password)
    lab.admin = Person(lab, "admin", new[1])


def test_second_up_on_the_same_data_is_refused(lab: Lab) -> None:
    result = apportion("up", "--data", str(lab.data), "--port", "18999")

    assert result.returncode == 1
    assert "already runs" in result.stdout


def test_port_of_another_deployment_is_refused_by_name(lab: Lab, tmp_path: Path) -> None:
    result = apportion("up", "--data", str(tmp_path), "--port", str(lab.port))

    assert result.returncode == 1
    assert f"Port {lab.port}" in result.stdout
    assert "spawner.streaming_proxy" in result.stdout


def test_doctor_finds_nothing_broken(lab: Lab) -> None:
    result = apportion("doctor", "--data", str(lab.data))

    assert result.returncode == 0, result.stdout
    assert "FAIL" not in result.stdout


def test_ctrl_c_ends_hub_proxy_and_service(lab: Lab) -> None:
    before = parts(lab)

    lab.stop()

    assert everything_ended(before)
    assert not parts(lab)
    lab.start()


@pytest.mark.parametrize("victims", [("up",), ("up", "hub", "service")])
def test_kill_9_does_not_keep_the_next_start_from_working(
    lab: Lab, victims: tuple[str, ...]
) -> None:
    assert lab.process is not None
    before = parts(lab)
    up = processes.find(lab.process.pid)
    assert up is not None
    up.send(signal.SIGSTOP)  # so that it sees nothing of what happens to the others
    for victim in victims[1:]:
        before[victim].send(signal.SIGKILL)
    up.send(signal.SIGKILL)
    lab.process.wait(30)

    lab.start()

    assert everything_ended(before)
    assert set(parts(lab)) == {"hub", "proxy", "service"}
    assert lab.admin.api.get("/nodes").status_code == 200


def test_hub_that_is_killed_comes_back_by_itself(lab: Lab) -> None:
    before = parts(lab)

    before["hub"].send(signal.SIGKILL)

    until(lambda: parts(lab).get("hub") not in (None, before["hub"]), what="a new hub")
    until(lambda: _answers(lab), what="the hub answers again")
    assert "ended unexpectedly (killed by SIGKILL)" in lab.output()


def _answers(lab: Lab) -> bool:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", lab.port)) != 0:
            return False
    return bool(lab.admin.web.get("/hub/health").status_code == 200)


def test_configuration_that_fails_is_shown_and_nothing_is_left(
    make_lab: Callable[..., Lab], lab: Lab, tmp_path: Path
) -> None:
    lab.stop()
    broken = tmp_path / "jupyterhub_config.py"
    broken.write_text("raise RuntimeError('a mistake of the site')\n")

    result = apportion(
        "up",
        "--data",
        str(lab.data),
        "--port",
        str(lab.port),
        "--no-image-build",
        "--config",
        str(broken),
    )

    assert result.returncode == 1
    assert "a mistake of the site" in result.stdout
    assert "hub.log" in result.stdout
    assert not parts(lab)
    lab.start()


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


def test_network_of_the_sessions_is_made_once_on_a_real_engine(
    engine: docker.DockerClient,
) -> None:
    deployment = os.urandom(4).hex()
    try:
        first = network.ensure(engine, deployment)

        assert network.ensure(engine, deployment) == first
        assert network.isolates_sessions(engine.networks.get(first.name))
        with socket.socket() as listener:
            listener.bind((first.gateway, 0))
    finally:
        engine.networks.get(network.network_name(deployment)).remove()

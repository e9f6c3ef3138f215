"""Finding out what is the matter with a Docker engine, within bounds."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hub_ext.bootstrap import docker_engine
from hub_ext.bootstrap.docker_engine import EngineState

VERSION = b'{"Version": "20.10.24", "ApiVersion": "1.41"}'


def test_engine_that_answers_tells_its_version(
    engine_socket: Callable[[int, bytes], Path],
) -> None:
    engine_socket(200, VERSION)

    engine = docker_engine.look()

    assert (engine.state, engine.detail) == (EngineState.ANSWERS, "20.10.24")


def test_no_socket_and_no_dockerd_means_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr(docker_engine, "_is_installed", lambda: False)

    assert docker_engine.look().state is EngineState.ABSENT


def test_installed_engine_without_a_socket_is_not_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr(docker_engine, "_is_installed", lambda: True)

    assert docker_engine.look().state is EngineState.NOT_RUNNING


def test_socket_that_a_dead_engine_left_is_not_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "docker.sock"))
    left.close()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")

    engine = docker_engine.look()

    assert engine.state is EngineState.NOT_RUNNING
    assert "refused" in engine.detail


def test_engine_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "docker.sock"))
        silent.listen(5)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")

        assert docker_engine.look(timeout_s=0.2).state is EngineState.SILENT


def test_engine_that_only_fails_is_broken(engine_socket: Callable[[int, bytes], Path]) -> None:
    engine_socket(500, b'{"message": "storage driver gone"}')

    engine = docker_engine.look()

    assert engine.state is EngineState.BROKEN
    assert "storage driver gone" in engine.detail


def test_program_that_is_no_engine_is_broken(engine_socket: Callable[[int, bytes], Path]) -> None:
    engine_socket(200, b"<html>hello</html>")

    assert docker_engine.look().state is EngineState.BROKEN


def test_engine_of_another_machine_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://gpu-7.example.org:2376")

    assert docker_engine.look().state is EngineState.REMOTE


def test_waiting_ends_when_it_has_become_impossible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    engine = docker_engine.wait_until_it_answers(3600, still_possible=lambda: False)

    assert engine.state is not EngineState.ANSWERS

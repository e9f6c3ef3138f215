"""``up`` that cannot start: a sentence on what is wrong, a way out, no traceback."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub_ext.bootstrap import data_directory
from hub_ext.cli import up as up_module
from hub_ext.cli.up import up
from hub_ext.settings import DeploymentSettings

VERSION = b'{"Version": "20.10.24", "ApiVersion": "1.41"}'


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run ``up`` in a directory of its own, on a machine without an engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setattr(up_module.docker_engine, "_is_installed", lambda: False)

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(
            up, [*arguments, "--no-install", "--no-image-build"], terminal_width=200
        )
        assert result.exit_code not in (0, None)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert "Traceback" not in result.output
        return result

    return invoke


@pytest.fixture
def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--simulate-gpus", "two"], "COUNTxMEMORY"),
        (["--simulate-gpus", "0x16GiB"], "above zero"),
        (["--simulate-gpus", "8x16GiB /"], "slash between nodes"),
        (["--fgpu-per-gpu", "0"], "0 is not in the range"),
        (["--fgpu-per-gpu", "3"], "fgpu_quantum"),
        (["--port", "70000"], "70000 is not in the range"),
        (["--engine", "podman"], "'podman' is not one of"),
        (["--config", "/nonexistent.py"], "/nonexistent.py"),
    ],
)
def test_bad_option_is_explained(
    run: Callable[..., Result], arguments: list[str], expected: str
) -> None:
    assert expected in run(*arguments).output


def test_bad_address_is_explained(run: Callable[..., Result]) -> None:
    assert "not an address" in run("--bind", "not-an-address.invalid").output


def test_busy_port_is_named_with_the_option(run: Callable[..., Result]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        output = run("--port", str(port)).output

    assert f"Port {port}" in output
    assert f"process {os.getpid()}" in output
    assert "--port" in output


def test_second_up_on_the_same_data_is_refused(run: Callable[..., Result], tmp_path: Path) -> None:
    data_directory.prepare(tmp_path / "var")
    with data_directory.locked(tmp_path / "var"):
        assert "already runs" in run().output


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"deployment_id": 5}'])
def test_damaged_settings_are_named(
    run: Callable[..., Result], tmp_path: Path, damage: str
) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "settings.json").write_text(damage)

    assert "settings.json" in run().output


def test_read_only_directory_is_refused(
    run: Callable[..., Result], small_disk: Callable[[str], Path]
) -> None:
    output = run("--data", str(small_disk("ro") / "var")).output

    assert "cannot be written" in output
    assert "--data" in output


def test_full_disk_is_refused(
    run: Callable[..., Result], small_disk: Callable[[str], Path]
) -> None:
    assert "disk is full" in run("--data", str(small_disk("size=64k") / "var")).output


def test_disk_that_fills_up_later_is_called_full(
    run: Callable[..., Result], free_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "hub.log")

    monkeypatch.setattr(up_module, "_prepare_engine", fill)

    assert "disk is full" in run("--port", free_port).output


def test_dead_engine_is_refused(run: Callable[..., Result], tmp_path: Path, free_port: str) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "docker.sock"))

    output = run("--port", free_port).output

    assert "not running" in output
    assert "systemctl start docker" in output


def test_engine_that_does_not_answer_is_refused(
    run: Callable[..., Result], tmp_path: Path, free_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = up_module.docker_engine.look
    monkeypatch.setattr(up_module.docker_engine, "look", lambda: look(timeout_s=0.2))
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "docker.sock"))
        silent.listen()

        assert "does not answer" in run("--port", free_port).output


def test_engine_that_fails_later_is_refused_without_a_traceback(
    run: Callable[..., Result], engine_socket: Callable[[int, bytes], Path], free_port: str
) -> None:
    engine_socket(200, VERSION)  # answers, but has no networks

    assert "could not be made" in run("--port", free_port).output


def test_busy_internal_port_is_named_with_its_setting(
    run: Callable[..., Result],
    tmp_path: Path,
    free_port: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = DeploymentSettings.load_or_create(tmp_path / "var")
    monkeypatch.setattr(up_module, "_prepare_engine", lambda *_: "process")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", settings.service_port))
        holder.listen()

        output = run("--port", free_port).output

    assert f"Port {settings.service_port}" in output
    assert "service_port" in output


def test_processes_are_refused_to_root(run: Callable[..., Result], free_port: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("says nothing when not root")

    assert "refused to root" in run("--engine", "process", "--port", free_port).output


def test_options_are_written_down_for_the_doctor(
    run: Callable[..., Result], tmp_path: Path, free_port: str
) -> None:
    run("--port", free_port, "--simulate-gpus", "2x16GiB")

    written = json.loads((tmp_path / "var" / "up.json").read_text())
    assert written["port"] == int(free_port)
    assert written["simulate_gpus"] == "2x16GiB"

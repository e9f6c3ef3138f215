"""``doctor``: finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub_ext.bootstrap import docker_engine
from hub_ext.cli.doctor import doctor
from hub_ext.db.connection import Database
from hub_ext.doctor import deployment_state, engine, gpus, machine
from hub_ext.doctor.examination import examine
from hub_ext.doctor.finding import Check, Deployment, Finding, Level, read_deployment
from hub_ext.settings import DeploymentSettings
from tests.fakes import nvml
from tests.fakes.mps import PROGRAMS


@pytest.fixture(autouse=True)
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setattr(docker_engine, "_is_installed", lambda: False)


def only(check: Check, data: Path) -> Finding:
    """The one finding of a check."""
    (finding,) = check(read_deployment(data))
    return finding


def test_machine_before_the_first_start_has_no_failure_but_the_engine(tmp_path: Path) -> None:
    findings = list(examine(read_deployment(tmp_path / "var")))

    assert {finding.check for finding in findings if finding.level is Level.FAIL} == {"docker"}
    assert not (tmp_path / "var").exists()


def test_every_finding_that_is_not_ok_names_a_way_out(tmp_path: Path) -> None:
    for finding in examine(read_deployment(tmp_path / "var")):
        assert finding.way_out or finding.level is Level.OK, finding


def test_settings_that_others_may_read_fail(tmp_path: Path) -> None:
    DeploymentSettings.load_or_create(tmp_path)
    assert only(deployment_state.settings_file, tmp_path).level is Level.OK

    (tmp_path / "settings.json").chmod(0o644)

    finding = only(deployment_state.settings_file, tmp_path)
    assert finding.level is Level.FAIL
    assert finding.way_out.startswith("chmod 600")


def test_damaged_settings_fail(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{")

    assert only(deployment_state.settings_file, tmp_path).level is Level.FAIL


def test_database_of_this_release_is_fine(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path}/apportion.sqlite").upgrade()

    assert only(deployment_state.database, tmp_path).level is Level.OK


def test_database_of_another_release_is_pointed_out(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path}/apportion.sqlite").upgrade()
    with sqlite3.connect(tmp_path / "apportion.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'elder'")

    finding = only(deployment_state.database, tmp_path)
    assert finding.level is Level.WARN
    assert "elder" in finding.message


def test_damaged_database_fails(tmp_path: Path) -> None:
    (tmp_path / "apportion.sqlite").write_bytes(b"rubbish" * 1000)

    assert only(deployment_state.database, tmp_path).level is Level.FAIL


def test_ports_of_a_stopped_deployment_are_tried(tmp_path: Path) -> None:
    settings = DeploymentSettings.load_or_create(tmp_path)
    (tmp_path / "up.json").write_text(json.dumps({"bind": "127.0.0.1", "port": 1024}))
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", settings.service_port))
        holder.listen()

        messages = [f.message for f in deployment_state.running(read_deployment(tmp_path))]

    assert any(f"Port {settings.service_port}" in message for message in messages)


def test_ca_bundle_that_cannot_be_read_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "gone.pem"))

    finding = only(machine.certificates, tmp_path)
    assert finding.level is Level.FAIL
    assert "PIP_CERT" in finding.message


def test_simulated_gpus_are_called_simulated(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text(json.dumps({"simulate_gpus": "2x16GiB / 1x8GiB"}))

    assert "3 simulated (2x16GiB / 1x8GiB)" in only(gpus.gpus, tmp_path).message


def test_engine_too_old_fails(tmp_path: Path, engine_socket: Callable[[int, bytes], Path]) -> None:
    engine_socket(200, b'{"Version": "18.09", "ApiVersion": "1.39"}')

    assert only(engine.engine, tmp_path).level is Level.FAIL


def test_missing_engine_is_only_a_warning_for_a_trial_with_processes(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text(json.dumps({"engine": "process"}))

    assert only(engine.engine, tmp_path).level is Level.WARN


def test_check_that_breaks_is_a_finding_and_the_rest_goes_on(tmp_path: Path) -> None:
    def broken(_: Deployment) -> list[Finding]:
        raise ZeroDivisionError("oops")

    findings = list(examine(read_deployment(tmp_path), [broken, machine.python]))

    assert [finding.level for finding in findings] == [Level.FAIL, Level.OK]
    assert "oops" in findings[0].message


def test_command_prints_json_and_fails_with_the_checks(tmp_path: Path) -> None:
    result = CliRunner().invoke(doctor, ["--data", str(tmp_path / "var"), "--json"])

    findings = json.loads(result.output)
    assert result.exit_code == 1
    assert {"check", "level", "message", "way_out"} == set(findings[0])


def test_command_prints_a_line_and_a_way_out_for_each_finding(tmp_path: Path) -> None:
    result = CliRunner().invoke(doctor, ["--data", str(tmp_path / "var")])

    assert "FAIL  docker" in result.output
    assert "→ Install Docker Engine" in result.output


@pytest.fixture
def fake_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nvml.FakeNvml:
    """Two GPUs in the fake NVML, no Docker engine, and a PATH with nothing on it."""
    made = nvml.FakeNvml(tmp_path, nvml.gpu(0), nvml.gpu(1))
    nvml.load(monkeypatch, nvml.build(tmp_path), made)
    monkeypatch.setattr(gpus, "engine_info", lambda: {"Runtimes": {"runc": {}}})
    monkeypatch.setenv("PATH", "/nowhere")
    return made


def found(tmp_path: Path) -> dict[str, tuple[Level, str]]:
    findings = gpus.gpus(read_deployment(tmp_path))
    return {each.check: (each.level, f"{each.message} {each.way_out}") for each in findings}


def test_what_keeps_a_node_with_gpus_from_giving_them_is_found(
    tmp_path: Path, fake_gpus: nvml.FakeNvml
) -> None:
    seen = found(tmp_path)
    assert seen["gpus"][0] is Level.OK
    assert "2, driver 550.54.15: NVIDIA A100-SXM4-40GB" in seen["gpus"][1]
    assert seen["gpu runtime"][0] is Level.FAIL
    assert "nvidia-ctk runtime configure" in seen["gpu runtime"][1]
    assert seen["mps"][0] is Level.FAIL
    assert "choose another enforcer" in seen["mps"][1]
    assert seen["metering"][0] is Level.OK


def test_a_sick_gpu_and_an_old_driver_are_named(
    tmp_path: Path, fake_gpus: nvml.FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS))
    monkeypatch.setattr(gpus, "engine_info", lambda: {"Runtimes": {"nvidia": {}}})
    fake_gpus.devices[1]["celsius"] = 99
    fake_gpus.write(driver="470.57.02")
    every = list(gpus.gpus(read_deployment(tmp_path)))
    levels = {(each.check, each.level) for each in every}
    assert ("gpus", Level.WARN) in levels
    assert ("gpu runtime", Level.OK) in levels
    assert ("mps", Level.FAIL) in levels
    assert any("too hot: 99" in each.message for each in every)

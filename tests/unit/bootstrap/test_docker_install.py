"""Installing and starting an engine, with a fake apt and a fake dockerd."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hub_ext.bootstrap import debian_packages, docker_install
from hub_ext.bootstrap.docker_engine import EngineState
from hub_ext.bootstrap.failure import BootstrapError

FAKE_DOCKERD = """exec {python} -c '
import os, socketserver
from http.server import BaseHTTPRequestHandler
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"{{\\"Version\\": \\"99\\", \\"ApiVersion\\": \\"1.41\\"}}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "local"
socketserver.ThreadingUnixStreamServer("{socket}", Handler).serve_forever()
' dockerd"""


@pytest.fixture(autouse=True)
def no_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No systemd, and an engine's socket of our own. Returns the socket's path."""
    monkeypatch.setattr(docker_install, "SYSTEMD_RUNS", tmp_path / "no-systemd")
    monkeypatch.setattr(docker_install, "PID_FILE", tmp_path / "docker.pid")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    return tmp_path / "docker.sock"


@pytest.fixture
def engine(
    programs: Callable[[str, str], Path], no_systemd: Path, tmp_path: Path
) -> Iterator[docker_install.StartedEngine]:
    """The fake dockerd, started by the code under test."""
    programs("dockerd", FAKE_DOCKERD.format(python=sys.executable, socket=no_systemd))
    started = docker_install.start(tmp_path / "dockerd.log", lambda _: None)
    yield started
    if started.process is not None:
        with suppress(ProcessLookupError):
            started.process.kill()
        started.process.wait()


def test_only_missing_packages_are_installed(
    programs: Callable[[str, str], Path], calls: Callable[[], list[str]]
) -> None:
    programs("dpkg-query", 'case "$*" in *iptables*) printf installed ;; *) exit 1 ;; esac')
    programs("apt-get", 'echo "$DEBIAN_FRONTEND" >> "$CALLS"')
    said: list[str] = []

    docker_install.install(said.append)

    installs = [call for call in calls() if call.startswith("apt-get") and "install" in call]
    assert said == ["apt-get install docker.io debootstrap"]
    assert len(installs) == 1
    assert installs[0].endswith("docker.io debootstrap")
    assert "noninteractive" in calls()


def test_nothing_is_installed_when_all_is_there(
    programs: Callable[[str, str], Path], calls: Callable[[], list[str]]
) -> None:
    programs("dpkg-query", "printf installed")
    programs("apt-get", "")

    docker_install.install(lambda _: None)

    assert not [call for call in calls() if call.startswith("apt-get")]


def test_failed_apt_is_quoted(programs: Callable[[str, str], Path]) -> None:
    programs("apt-get", 'case "$*" in *install*) echo "E: no such package"; exit 100 ;; esac')

    with pytest.raises(BootstrapError, match="E: no such package") as failure:
        debian_packages.install(["docker.io"], lambda _: None)

    assert "apt-get install docker.io" in failure.value.way_out


def test_ctrl_c_does_not_reach_an_engine_that_was_started(
    engine: docker_install.StartedEngine,
) -> None:
    assert engine.engine.state is EngineState.ANSWERS
    assert engine.process is not None
    assert os.getsid(engine.process.pid) == engine.process.pid != os.getsid(0)


def test_running_engine_is_left_alone(
    engine: docker_install.StartedEngine, tmp_path: Path, calls: Callable[[], list[str]]
) -> None:
    again = docker_install.start(tmp_path / "dockerd.log", lambda _: None)

    assert again.process is None
    assert len([call for call in calls() if call.startswith("dockerd")]) == 1


def test_engine_that_its_package_is_starting_is_waited_for(
    programs: Callable[[str, str], Path],
    calls: Callable[[], list[str]],
    no_systemd: Path,
    tmp_path: Path,
    started: Callable[..., subprocess.Popen[str]],
) -> None:
    program = programs("dockerd", FAKE_DOCKERD.format(python=sys.executable, socket=no_systemd))
    by_the_package = started(str(program))
    (tmp_path / "docker.pid").write_text(str(by_the_package.pid))

    engine = docker_install.start(tmp_path / "dockerd.log", lambda _: None)

    assert engine.engine.state is EngineState.ANSWERS
    assert engine.process is None
    assert len([call for call in calls() if call.startswith("dockerd")]) == 1


def test_pid_file_whose_number_another_program_has_is_removed(
    engine: docker_install.StartedEngine, tmp_path: Path
) -> None:
    (tmp_path / "docker.pid").write_text(str(os.getpid()))

    assert not docker_install._starts_already()
    assert not (tmp_path / "docker.pid").exists()


def test_engine_that_dies_at_its_start_is_quoted(
    programs: Callable[[str, str], Path], tmp_path: Path
) -> None:
    programs("dockerd", 'echo "failed to mount overlay: not permitted"; exit 1')

    with pytest.raises(BootstrapError, match="failed to mount overlay") as failure:
        docker_install.start(tmp_path / "dockerd.log", lambda _: None)

    assert "exit code 1" in failure.value.message
    assert "dockerd.log" in failure.value.way_out


def test_systemd_starts_the_engine_where_it_runs(
    programs: Callable[[str, str], Path],
    calls: Callable[[], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker_install, "SYSTEMD_RUNS", tmp_path)
    programs("systemctl", 'echo "Unit docker.service is masked." >&2; exit 1')

    with pytest.raises(BootstrapError, match="masked"):
        docker_install.start(tmp_path / "dockerd.log", lambda _: None)

    assert calls() == ["systemctl start docker"]


@pytest.mark.parametrize(
    ("os_release", "expected"),
    [
        ("ID=debian\n", True),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', True),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', False),
    ],
)
def test_relatives_of_debian_are_known(
    os_release: str, expected: bool, tmp_path: Path, programs: Callable[[str, str], Path]
) -> None:
    programs("apt-get", "")
    (tmp_path / "os-release").write_text(os_release)

    assert debian_packages.is_debian_like(tmp_path / "os-release") is expected

"""What an MPS daemon leaves behind, and what running containers see of the next one."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub_ext.gpu.mps_daemon import MpsDaemon, MpsUnavailable
from hub_ext.gpu.mps_processes import processes_of
from tests.fakes.mps import PROGRAMS

UUID = "GPU-0c1d6f51"


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MpsDaemon]:
    monkeypatch.setenv("PATH", f"{PROGRAMS}:{os.environ['PATH']}")
    made = MpsDaemon(tmp_path, UUID)
    yield made
    made.quit()


def until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_pipes_of_the_next_daemon_are_where_running_containers_have_mounted_them(
    daemon: MpsDaemon, tmp_path: Path
) -> None:
    pipes = tmp_path / UUID / "pipe"
    daemon.start()
    daemon.check()
    mounted = os.open(pipes, os.O_RDONLY)
    try:
        (pipes / "left by a session" / "deep").mkdir(parents=True)
        (pipes / "link").symlink_to(tmp_path)
        daemon.quit()
        daemon.start()
        daemon.check()
        assert sorted(os.listdir(mounted)) == ["answer", "control"]
    finally:
        os.close(mounted)
    assert tmp_path.is_dir()


def test_a_daemon_that_was_started_and_never_noted_is_ended_before_the_next(
    daemon: MpsDaemon, tmp_path: Path
) -> None:
    pipes = tmp_path / UUID / "pipe"
    daemon.start()
    daemon.check()
    (unnoted,) = processes_of(pipes)
    (tmp_path / UUID / "daemon.json").unlink()
    after_a_crash = MpsDaemon(tmp_path, UUID)
    after_a_crash.start()
    until(lambda: unnoted not in processes_of(pipes))
    after_a_crash.check()
    after_a_crash.quit()
    until(lambda: not list(processes_of(pipes)))


def test_servers_that_a_killed_daemon_leaves_are_ended_and_no_others(
    daemon: MpsDaemon, tmp_path: Path
) -> None:
    server = tmp_path / "nvidia-cuda-mps-server"
    server.write_text("#!/bin/sh\nread -r forever\n")
    server.chmod(0o755)

    def start(pipes: Path) -> subprocess.Popen[bytes]:
        env = os.environ | {"CUDA_MPS_PIPE_DIRECTORY": str(pipes)}
        return subprocess.Popen([server], env=env, stdin=subprocess.PIPE)

    pipes, others = tmp_path / UUID / "pipe", tmp_path / "GPU-other" / "pipe"
    with start(pipes) as left, start(others) as other:
        until(lambda: list(processes_of(pipes)) == [left.pid])
        daemon.quit()
        assert left.wait(10) < 0
        assert other.poll() is None
        other.kill()


def test_a_directory_that_cannot_be_made_is_a_reason_and_no_accident(
    daemon: MpsDaemon, tmp_path: Path
) -> None:
    (tmp_path / UUID).write_text("in the way")
    with pytest.raises(MpsUnavailable, match="cannot be started"):
        daemon.start()
    (tmp_path / UUID).unlink()

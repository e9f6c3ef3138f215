"""One MPS daemon, with a stand-in for NVIDIA's program on the PATH."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub_ext.gpu import mps_daemon
from hub_ext.gpu.mps_daemon import MpsDaemon, MpsUnavailable
from tests.fakes.mps import PROGRAMS

UUID = "GPU-0c1d6f51"


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MpsDaemon]:
    monkeypatch.setenv("PATH", f"{PROGRAMS}:{os.environ['PATH']}")
    made = MpsDaemon(tmp_path, UUID)
    yield made
    made.quit()


def pid_of(daemon: MpsDaemon) -> int:
    process = daemon._read_note()
    assert process is not None
    return process.pid


def kill(daemon: MpsDaemon) -> None:
    os.kill(pid_of(daemon), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while daemon.runs():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_serves_its_device_and_others_may_open_its_pipes(
    daemon: MpsDaemon, tmp_path: Path
) -> None:
    daemon.start()
    daemon.check()
    assert (tmp_path / UUID / "device").read_text().strip() == UUID
    pipes = tmp_path / UUID / "pipe"
    assert pipes.stat().st_mode & 0o777 == 0o777
    assert (pipes / "control").stat().st_mode & 0o666 == 0o666
    assert (tmp_path / UUID / "commands").read_text().split() == ["get_server_list"]


def test_its_death_is_seen_and_it_can_be_started_again(daemon: MpsDaemon) -> None:
    daemon.start()
    daemon.check()
    first = pid_of(daemon)
    kill(daemon)
    with pytest.raises(MpsUnavailable, match="has died"):
        daemon.check()
    daemon.start()
    daemon.check()
    assert pid_of(daemon) != first


def test_the_next_service_finds_it_and_starts_no_second(daemon: MpsDaemon, tmp_path: Path) -> None:
    daemon.start()
    daemon.check()
    after_a_restart = MpsDaemon(tmp_path, UUID)
    after_a_restart.start()
    after_a_restart.check()
    assert pid_of(after_a_restart) == pid_of(daemon)


def test_a_pid_that_is_used_again_is_not_taken_for_it(daemon: MpsDaemon, tmp_path: Path) -> None:
    note = tmp_path / UUID / "daemon.json"
    note.parent.mkdir()
    note.write_text(f'{{"pid": {os.getpid()}, "started": "1"}}')
    assert not daemon.runs()
    daemon.quit()  # and is not killed


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x", "started": "1"}'])
def test_a_damaged_note_is_as_good_as_none(daemon: MpsDaemon, tmp_path: Path, text: str) -> None:
    note = tmp_path / UUID / "daemon.json"
    note.parent.mkdir()
    note.write_text(text)
    assert not daemon.runs()
    daemon.start()
    daemon.check()


def test_it_is_told_to_quit(daemon: MpsDaemon, tmp_path: Path) -> None:
    daemon.start()
    daemon.check()
    daemon.quit()
    assert not daemon.runs()
    assert (tmp_path / UUID / "commands").read_text().split()[-1] == "quit"


def test_one_that_does_not_answer_is_given_up_and_killed(
    daemon: MpsDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mps_daemon, "ANSWER_S", 0.2)
    daemon.start()
    (tmp_path / UUID / "mute").touch()
    with pytest.raises(MpsUnavailable, match="does not answer"):
        daemon.check()
    daemon.quit()
    assert not daemon.runs()


def test_one_that_does_not_start_says_so(daemon: MpsDaemon, tmp_path: Path) -> None:
    (tmp_path / UUID).mkdir()
    (tmp_path / UUID / "refuse").touch()
    daemon.start()
    with pytest.raises(MpsUnavailable):
        daemon.check()


def test_without_the_program_the_way_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MpsUnavailable, match="choose another enforcer"):
        MpsDaemon(tmp_path, UUID).start()

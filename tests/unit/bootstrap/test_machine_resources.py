"""Ports, the data directory and its lock: refusals say who, what and how to go on."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub_ext.bootstrap import data_directory, log_files, ports
from hub_ext.bootstrap.failure import BootstrapError
from hub_ext.bootstrap.ports import PortUse


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def use(port: int, address: str = "127.0.0.1") -> PortUse:
    return PortUse(address, port, "web pages", "Choose another with --port.")


def test_busy_port_names_its_holder_and_the_option(busy_port: int) -> None:
    with pytest.raises(BootstrapError) as refusal:
        ports.require_free(use(busy_port))

    assert f"Port {busy_port}" in refusal.value.message
    assert f"process {os.getpid()}" in refusal.value.message
    assert "--port" in refusal.value.way_out


def test_free_port_is_accepted(busy_port: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]

    ports.require_free(use(free))


def test_address_of_another_machine_is_refused() -> None:
    with pytest.raises(BootstrapError, match=r"no address 192\.0\.2\.7"):
        ports.require_free(use(8000, "192.0.2.7"))


def test_nonsense_address_is_refused() -> None:
    with pytest.raises(BootstrapError, match="not an address"):
        ports.require_free(use(8000, "256.1.1.1"))


def test_data_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    data_directory.prepare(tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b" / "log").is_dir()


def test_data_directory_is_its_owners_alone(tmp_path: Path) -> None:
    data_directory.prepare(tmp_path / "var")

    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700


def test_nothing_but_the_log_folder_is_left_by_the_probe(tmp_path: Path) -> None:
    data_directory.prepare(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_file_in_the_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").touch()

    with pytest.raises(BootstrapError, match="a file is in its place"):
        data_directory.prepare(tmp_path / "var")


def test_full_disk_is_called_so(small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("size=256k")

    with pytest.raises(BootstrapError, match="disk is full") as refusal:
        data_directory.prepare(disk / "var")

    assert "--data" in refusal.value.way_out


def test_nearly_full_disk_is_refused_before_it_hurts(small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("size=20m")

    with pytest.raises(BootstrapError, match="MiB are free"):
        data_directory.prepare(disk / "var")


def test_read_only_directory_is_refused_with_another_place(
    small_disk: Callable[[str], Path],
) -> None:
    disk = small_disk("ro")

    with pytest.raises(BootstrapError, match="cannot be written") as refusal:
        data_directory.prepare(disk / "var")

    assert "--data" in refusal.value.way_out


def test_second_user_of_the_directory_is_told_of_the_first(tmp_path: Path) -> None:
    with (
        data_directory.locked(tmp_path),
        pytest.raises(BootstrapError, match=f"process {os.getpid()}"),
        data_directory.locked(tmp_path),
    ):
        pass


def test_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    with data_directory.locked(tmp_path):
        assert data_directory.is_locked(tmp_path)

    assert not data_directory.is_locked(tmp_path)


def test_log_is_rotated_only_when_it_is_large(tmp_path: Path) -> None:
    log = tmp_path / "hub.log"
    log.write_text("small")
    log_files.rotate(log)
    assert log.exists()

    log.write_bytes(b"x" * (log_files.LARGEST_BYTES + 1))
    log_files.rotate(log)

    assert not log.exists()
    assert (tmp_path / "hub.log.1").exists()


def test_only_so_many_old_logs_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "hub.log"
    for _ in range(log_files.KEPT + 2):
        log.write_bytes(b"x" * (log_files.LARGEST_BYTES + 1))
        log_files.rotate(log)

    assert len(list(tmp_path.iterdir())) == log_files.KEPT


def test_last_lines_leave_out_what_was_before(tmp_path: Path) -> None:
    log = tmp_path / "hub.log"
    log.write_text("old\n")
    offset = log.stat().st_size
    with log.open("a") as stream:
        stream.write("one\ntwo\nthree\n")

    assert log_files.last_lines(log, 2, since=offset) == ["two", "three"]
    assert log_files.last_lines(log, 9, since=offset) == ["one", "two", "three"]

"""Stand-ins for programs and machines that a unit test must not touch."""

from __future__ import annotations

import os
import socketserver
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Put a fake program in front of the PATH; it notes its arguments in ``calls.txt``."""
    directory = tmp_path / "fake-bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(directory / "calls.txt"))

    def add(name: str, body: str = "") -> Path:
        program = directory / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "$CALLS"\n{body}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return program

    return add


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[str]]:
    """What the fake programs were called with."""

    def read() -> list[str]:
        path = tmp_path / "fake-bin" / "calls.txt"
        return path.read_text().splitlines() if path.exists() else []

    return read


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    answer: tuple[int, bytes] = (200, b"{}")


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "local"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def engine_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int, bytes], Path]]:
    """A Docker engine's socket that gives one answer to everything."""
    servers: list[_UnixServer] = []

    def serve(status: int, body: bytes) -> Path:
        path = tmp_path / "docker.sock"
        server = _UnixServer(str(path), _Handler)
        server.answer = (status, body)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        return path

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of its own, mounted with the given options; needs root."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("mounting needs root")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command; whatever still runs at the end of the test is killed, by its pid."""
    running: list[subprocess.Popen[str]] = []

    def start(*command: str, **options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # type: ignore[call-overload]
            command, stdin=subprocess.DEVNULL, text=True, **options
        )
        running.append(process)
        return process  # type: ignore[no-any-return]

    yield start
    for process in running:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


@pytest.fixture
def python() -> str:
    """The interpreter that the tests run with."""
    return sys.executable

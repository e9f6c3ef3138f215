"""The cards' view of the image's apps: real small programs behind jupyter-server-proxy."""

from __future__ import annotations

import asyncio
import os
import runpy
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from apportion_lab.app_problem import Problem
from apportion_lab.apps import Apps, UnknownApp
from apportion_lab.ports import listening_ports, probe
from jupyter_server_proxy.config import ServerProxy, make_handlers, make_server_process
from tornado import web
from traitlets.config import Config

ETC = Path(__file__).parents[3] / "images" / "base" / "rootfs" / "opt" / "apportion" / "etc"
CONFIG = ETC / "jupyter" / "jupyter_server_config.py"
BASE_URL = "/user/ann-b/lab/"
SERVE = "import http.server,sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])),"
SERVE += " http.server.SimpleHTTPRequestHandler).serve_forever()"
NEVER = "import time; print('looking for my settings', flush=True); time.sleep(60)"
DIES = "import sys; print('no licence'); sys.exit(3)"


def starting(tmp_path: Path) -> str:
    """The image's own way to start an app, with its files elsewhere."""
    config = runpy.run_path(str(CONFIG), {"get_config": Config})
    return str(config["STARTING"]).replace("/tmp/apportion-apps", str(tmp_path))


def declared(tmp_path: Path, **programs: str) -> dict[str, Any]:
    """As the image's configuration makes them of apps.d."""
    return {
        name: {
            "command": [
                *("/bin/sh", "-c", starting(tmp_path), name),
                *(sys.executable, "-c", program, "{port}"),
            ],
            "timeout": 3,
            "launcher_entry": {"title": name.title(), "icon_path": str(tmp_path / "icon.svg")},
        }
        for name, program in programs.items()
    }


@pytest.fixture
async def apps(tmp_path: Path) -> AsyncIterator[Apps]:
    (tmp_path / "icon.svg").write_text('<?xml version="1.0"?><svg><path/></svg>')
    values = declared(
        tmp_path, serve=SERVE, never=NEVER, dies=DIES, leaves="print('nothing to do')"
    )
    values["absent"] = {"command": ["/nowhere/program"], "timeout": 3}
    application = web.Application([], base_url=BASE_URL)
    configured = ServerProxy()
    processes = {name: make_server_process(name, values[name], configured) for name in values}
    application.add_handlers(".*", make_handlers(BASE_URL, list(processes.values())))
    made = Apps(application, processes, tmp_path)
    yield made
    for name in values:
        await made.get(name).stop()


async def until(condition: Callable[[], Awaitable[bool]], limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def told(apps: Apps, name: str) -> dict[str, Any]:
    return await apps.get(name).describe(BASE_URL)


async def in_state(apps: Apps, name: str, state: str) -> dict[str, Any]:
    async def there() -> bool:
        return (await told(apps, name))["state"] == state

    await until(there)
    return await told(apps, name)


def pid_of(apps: Apps, name: str) -> int:
    return int(apps.get(name).state["proc"].proc.pid)


async def test_an_app_starts_apart_from_any_page(apps: Apps) -> None:
    before = await told(apps, "serve")
    assert (before["state"], before["title"], before["url"]) == (
        "stopped",
        "Serve",
        f"{BASE_URL}serve/",
    )
    assert before["icon"] == "<svg><path/></svg>"
    apps.get("serve").start()
    assert (await told(apps, "serve"))["state"] == "starting"
    await in_state(apps, "serve", "ready")


async def test_a_second_start_uses_the_one_that_runs(apps: Apps) -> None:
    apps.get("serve").start()
    apps.get("serve").start()
    await in_state(apps, "serve", "ready")
    first = pid_of(apps, "serve")
    apps.get("serve").start()
    assert (await told(apps, "serve"))["state"] == "ready"
    assert pid_of(apps, "serve") == first


async def test_one_that_has_died_comes_back(apps: Apps) -> None:
    apps.get("serve").start()
    await in_state(apps, "serve", "ready")
    first = pid_of(apps, "serve")
    os.kill(first, signal.SIGKILL)

    async def comes_back() -> bool:
        return pid_of(apps, "serve") != first and (await told(apps, "serve"))["state"] == "ready"

    await until(comes_back)
    assert (await told(apps, "serve"))["restarts"] == 1


async def test_one_that_never_opens_its_port_fails_in_time_and_says_what_it_printed(
    apps: Apps,
) -> None:
    apps.get("never").start()
    failed = await in_state(apps, "never", "failed")
    assert failed["message"] == "It has not opened its port in 3 s. looking for my settings"
    assert apps.get("never").printed() == "looking for my settings\n"


async def test_one_that_ends_at_once_fails_with_its_last_line(apps: Apps) -> None:
    apps.get("dies").start()
    failed = await in_state(apps, "dies", "failed")
    assert failed["message"] == "It has ended. no licence"
    apps.get("dies").start()
    assert (await told(apps, "dies"))["state"] == "starting"


async def test_one_that_ends_without_an_error_has_failed_too(apps: Apps) -> None:
    apps.get("leaves").start()
    failed = await in_state(apps, "leaves", "failed")
    assert failed["message"] == "It has ended. nothing to do"


async def test_one_that_runs_and_serves_no_more_can_be_started_again(
    apps: Apps, tmp_path: Path
) -> None:
    apps.get("serve").start()
    await in_state(apps, "serve", "ready")
    app, first = apps.get("serve"), pid_of(apps, "serve")
    app.timeout_s = 0.0
    os.kill(first, signal.SIGSTOP)  # its port stays open, so that it must be told another way
    app.problem = Problem("no_port", "3")
    app.start()
    app.timeout_s = 3.0
    os.kill(first, signal.SIGCONT)
    await in_state(apps, "serve", "ready")
    assert pid_of(apps, "serve") != first


async def test_a_program_that_is_not_there_is_named(apps: Apps) -> None:
    apps.get("absent").start()
    failed = await in_state(apps, "absent", "failed")
    assert "/nowhere/program" in failed["message"] or "No such file" in failed["message"]


async def test_an_app_can_be_stopped_also_while_it_starts(apps: Apps) -> None:
    for name in ("serve", "never"):
        apps.get(name).start()
    await in_state(apps, "serve", "ready")
    pids = [pid_of(apps, name) for name in ("serve", "never")]
    for name in ("serve", "never"):
        await apps.get(name).stop()
        assert (await told(apps, name))["state"] == "stopped"
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_two_apps_on_one_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    values = declared(tmp_path, one=SERVE, two=SERVE)
    for each in values.values():
        each["port"] = port
    application = web.Application([], base_url=BASE_URL)
    configured = ServerProxy()
    processes = {name: make_server_process(name, values[name], configured) for name in values}
    application.add_handlers(".*", make_handlers(BASE_URL, list(processes.values())))
    apps = Apps(application, processes, tmp_path)
    try:
        apps.get("one").start()
        await in_state(apps, "one", "ready")
        apps.get("two").start()
        failed = await in_state(apps, "two", "failed")
        assert failed["message"] == f"Port {port} is used by another program."
        assert (await told(apps, "one"))["state"] == "ready"
    finally:
        for name in values:
            await apps.get(name).stop()


def test_an_app_that_the_image_does_not_declare_is_unknown() -> None:
    with pytest.raises(UnknownApp):
        Apps(web.Application([], base_url=BASE_URL), {}).get("../etc")


async def test_what_a_port_answers() -> None:
    silent = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-x\r\n")
        writer.close()

    other = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with silent, other:
        assert port in listening_ports()
        assert await probe(port) == "silent"
        assert await probe(other.sockets[0].getsockname()[1]) == "silent"
    assert await probe(port) == "closed"


def test_ports_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    head = "  sl  local_address rem_address   st tx_queue\n"
    (tmp_path / "tcp").write_text(
        f"{head}   0: 0100007F:1F90 00000000:0000 0A 0:0\n   1: 0100007F:1F91 0:0 01 0:0\n"
    )
    (tmp_path / "tcp6").write_text(f"{head}   0: {'0' * 32}:0050 0:0 0A 0:0\ndamaged\n")
    assert listening_ports(tmp_path) == [80, 8080]
    assert listening_ports(tmp_path / "none") == []

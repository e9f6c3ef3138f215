"""JupyterLab's load time with and without Apportion's extension, side by side.

    .venv/bin/python benchmarks/labextension_load.py [--rounds 15]

Needs a Docker engine, the base image and chromium. Two containers of the image serve the same
JupyterLab on this machine's loopback, in one of them the extension is disabled; behind the other a
hub answers at once. Each round opens both, in turns first, each with an empty cache, and takes the
time until the launcher is there. Told are the medians and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import http.server
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import docker
import httpx
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.lab import free_port

BASE = "apportion/base:0.1.0"
CHROMIUM = "/usr/bin/chromium"
LIMIT_S = 60
TOKEN = "benchmark"
DISABLE = "jupyter labextension disable apportion-lab --level=user && "
SERVE = (
    "{before}exec jupyter lab --ip=127.0.0.1 --port={port} --no-browser --port-retries=0"
    f" --IdentityProvider.token={TOKEN}"
)
SESSION = {
    **{"id": "a" * 32, "name": "work", "status": "RUNNING", "project": "ml101", "fgpu": 0.5},
    **{"gpu_memory_mib": 8192, "cpu_milli": 2000, "memory_mib": 4096, "simulated": False},
    **{"notice": None, "alerts": [], "preemptible": False, "requeue": False, "page": "/"},
    "use": {"gpu_memory_mib": 1000, "gpu": 0.5, "cpu_milli": 700, "memory_mib": 900},
    "time": {"seconds_left": 7200, "code": "lifetime"},
}


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers every question with a session."""

    def do_GET(self) -> None:
        """The same whatever is asked."""
        content = json.dumps(SESSION).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def jupyterlab(hub: str, *, extended: bool) -> Iterator[str]:
    """Its address, once it answers."""
    port, client = free_port(), docker.from_env()
    environment = {"HOME": "/tmp", "JUPYTERHUB_API_TOKEN": "secret"}
    if extended:
        environment["APPORTION_SESSION_URL"] = f"{hub}/hub/apportion/session/ada/"
    command = SERVE.format(before="" if extended else DISABLE, port=port)
    container = client.containers.run(
        BASE,
        ["-c", command],
        entrypoint="/bin/sh",
        network_mode="host",
        environment=environment,
        working_dir="/tmp",
        detach=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + LIMIT_S
        while not answers(url):
            assert time.monotonic() < deadline, container.logs().decode()[-2000:]
            time.sleep(0.2)
        yield url
    finally:
        container.remove(force=True)
        client.close()


def answers(url: str) -> bool:
    """Whether the server is there."""
    try:
        return httpx.get(f"{url}/api", timeout=5).is_success
    except httpx.HTTPError:
        return False


def load_s(browser: Browser, url: str, *, extended: bool) -> float:
    """Until the launcher is there; the extension must be there, or must not."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        began = time.monotonic()
        page.goto(f"{url}/lab?reset&token={TOKEN}")
        page.locator(".jp-LauncherCard").first.wait_for(timeout=LIMIT_S * 1000)
        took = time.monotonic() - began
        status = page.locator(".apl-status-button")
        if extended:
            status.wait_for(timeout=LIMIT_S * 1000)
        assert (status.count() > 0) == extended
        return took
    finally:
        context.close()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub = f"http://127.0.0.1:{server.server_address[1]}"
    found: dict[bool, list[float]] = {True: [], False: []}
    with (
        jupyterlab(hub, extended=True) as extended,
        jupyterlab(hub, extended=False) as plain,
        sync_playwright() as playwright,
    ):
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        urls = {True: extended, False: plain}
        for number in range(-1, rounds):  # the first warms both up
            for which in (True, False) if number % 2 else (False, True):
                took = load_s(browser, urls[which], extended=which)
                if number >= 0:
                    found[which].append(took)
        browser.close()
    for which, label in ((False, "without"), (True, "with")):
        print(f"{label:8} {statistics.median(found[which]):.3f} s (median of {rounds})")
    ratios = [a / b for a, b in zip(found[True], found[False], strict=True)]
    print(f"ratio    {statistics.median(ratios):.3f} (median of the rounds' ratios)")


if __name__ == "__main__":
    main()

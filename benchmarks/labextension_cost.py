"""What the extension in JupyterLab costs a session: memory of its Jupyter server.

``.venv/bin/python benchmarks/labextension_cost.py [--rounds 5]``

Two Jupyter servers side by side with the same extensions, as an image has them, one of them
with Apportion's on top; a hub that answers at once stands behind it. Each has served a page, and
the one with the extension a minute's questions of an open panel. Told is the median of the
rounds' differences in resident memory (USS: what would be freed if the process ended).
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx

from tests.e2e.process_hub import LABEXTENSION, free_port

MOST_MIB = 15.0
QUESTIONS = 24
"""Of a panel that is open for a minute: state and panel, every five seconds."""
_START_LIMIT_S = 60.0
_TOKEN = "benchmark"
_POINTS = [
    {"ago_s": 5 * n, "gpu_memory_mib": 1000, "gpu": 0.5, "cpu_milli": 700, "memory_mib": 900}
    for n in range(120)
]
_SESSION = {"id": "a" * 32, "status": "RUNNING", "notice": None, "recent": {"points": _POINTS}}


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers every question with a session and ten minutes of its plots."""

    def do_GET(self) -> None:
        """The same whatever is asked."""
        content = json.dumps(_SESSION).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def uss_mib(pid: int) -> float:
    """Memory that belongs to this process alone, in MiB (proc(5): Private_*)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kib = [int(line.split()[1]) for line in lines if line.startswith("Private_")]
    return sum(kib) / 1024


@contextlib.contextmanager
def jupyter_server(directory: Path, hub: str, *, extended: bool) -> Iterator[tuple[str, int]]:
    """Its URL and process."""
    enabled = directory / "jupyter_server_config.d"
    enabled.mkdir(parents=True)
    extensions = {"jupyterlab": True, "jupyter_server_proxy": True, "apportion_lab": extended}
    settings = {"ServerApp": {"jpserver_extensions": extensions}}
    (enabled / "benchmark.json").write_text(json.dumps(settings))
    port = free_port()
    environment = os.environ | {
        "PYTHONPATH": str(LABEXTENSION),
        "JUPYTER_CONFIG_PATH": str(directory),
        "JUPYTER_CONFIG_DIR": str(directory / "own"),
        "JUPYTER_DATA_DIR": str(directory / "data"),
        "JUPYTER_RUNTIME_DIR": str(directory / "runtime"),
        "JUPYTERHUB_API_TOKEN": _TOKEN,
    }
    if extended:
        environment["APPORTION_SESSION_URL"] = f"{hub}/hub/apportion/session/ada/"
    command = [sys.executable, "-m", "jupyter_server", "--allow-root", f"--port={port}"]
    command += [f"--IdentityProvider.token={_TOKEN}", "--no-browser", "--port-retries=0"]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + _START_LIMIT_S
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/api", timeout=5).is_success:
                    break
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit((directory / "log").read_text()[-3000:])
            time.sleep(0.1)
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def memory_mib(directory: Path, hub: str, *, extended: bool) -> float:
    """Of one server that has been used."""
    headers = {"Authorization": f"token {_TOKEN}"}
    with jupyter_server(directory, hub, extended=extended) as (url, pid):
        assert httpx.get(f"{url}/lab", headers=headers, timeout=30).is_success
        for number in range(QUESTIONS):
            what = "panel" if number % 2 else "session"
            path = f"apportion/{what}" if extended else "api/status"
            answer = httpx.get(f"{url}/{path}", headers=headers, timeout=30)
            assert answer.is_success, answer.text
            assert not extended or answer.json()["state"] == "ok"
            time.sleep(0.25)
        return uss_mib(pid)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub = f"http://127.0.0.1:{server.server_address[1]}"
    more = []
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory(prefix="labextension-cost-") as directory:
            without = memory_mib(Path(directory, "without"), hub, extended=False)
            extended = memory_mib(Path(directory, "with"), hub, extended=True)
        more.append(extended - without)
        print(f"round {number + 1}: {without:.1f} MiB without, {extended:.1f} MiB with")
    cost = statistics.median(more)
    print(
        f"the server extension adds {cost:.1f} MiB (at most {MOST_MIB:g});"
        f" median of {arguments.rounds} rounds"
    )
    sys.exit(cost > MOST_MIB)


if __name__ == "__main__":
    main()

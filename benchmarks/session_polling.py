"""What the open JupyterLabs of many sessions cost service and hub.

``.venv/bin/python benchmarks/session_polling.py [--sessions 200] [--seconds 20] [--rounds 5]``

A real hub with the real service; each session is a process of its own that sleeps, and this
process asks the hub in its place, with its server's own token, as the server extension does
every five seconds while a page is open: ``GET /hub/apportion/session/USER``. The times at which
they ask are spread evenly, as those of people are.

A round is so many seconds without and so many with all of them asking, one after the other, when
each has asked once; both have the queue, the meter and the reconciler of that many running
sessions. Told is the median of
the rounds' differences, as a share of one core, by the kernel's count of each process.
"""

from __future__ import annotations

import argparse
import asyncio
import http.server
import logging
import os
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tornado.httpclient import AsyncHTTPClient

from tests.e2e.process_hub import ProcessHub, SleepingSpawner

EVERY_S = 5.0
MOST_OF_A_CORE = 0.05
AT_ONCE = 8
"""Starts."""
_ROOMY = """
from hub_ext.nodes import engine, process_engine
async def machine(self):
    return engine.Machine(2000, 1024 * 1024)
process_engine.ProcessEngine.machine = machine
"""
"""The smallest session has 128 MiB, and what sleeps needs none of it."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class AnyServer(http.server.BaseHTTPRequestHandler):
    """In the place of all Jupyter servers, for the hub that looks whether they answer."""

    def do_GET(self) -> None:
        """As JupyterHub's own."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@dataclass(slots=True)
class Round:
    """Shares of one core; answers and the slowest of them in seconds."""

    service_quiet: float
    service_asked: float
    hub_quiet: float
    hub_asked: float
    answers: int
    slowest_s: float


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


class Asking:
    """All sessions, each every five seconds."""

    def __init__(self, hub: ProcessHub, tokens: dict[str, str]) -> None:
        address = hub.server_address()
        self._urls = {user: f"{address}/apportion/session/{user}" for user in tokens}
        self._tokens = tokens
        self._client = AsyncHTTPClient(force_instance=True, max_clients=len(tokens) + 1)
        self.took_s: list[float] = []

    async def run(self, seconds: float) -> None:
        """Raises when an answer is no session."""
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for number, user in enumerate(self._tokens):
                group.create_task(self._one(user, EVERY_S * number / len(self._tokens), end))

    async def _one(self, user: str, first_s: float, end: float) -> None:
        due = time.monotonic() + first_s
        while due < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            begin = time.monotonic()
            answer = await self._client.fetch(
                self._urls[user], headers={"Authorization": f"token {self._tokens[user]}"}
            )
            assert b'"RUNNING"' in answer.body
            self.took_s.append(time.monotonic() - begin)
            due += EVERY_S


async def measure(hub: ProcessHub, asking: Asking, seconds: float) -> Round:
    """One round."""
    pids = (hub.service_pid(), hub.process.pid)

    async def used(work: float, *, ask: bool) -> list[float]:
        before, begin = [cpu_s(pid) for pid in pids], time.monotonic()
        await (asking.run(work) if ask else asyncio.sleep(work))
        took_s = time.monotonic() - begin
        return [(cpu_s(pid) - at) / took_s for pid, at in zip(pids, before, strict=True)]

    quiet = await used(seconds, ask=False)
    await asking.run(EVERY_S)  # pages are opened
    asking.took_s.clear()
    asked = await used(seconds, ask=True)
    return Round(*(quiet[0], asked[0], quiet[1], asked[1]), len(asking.took_s), max(asking.took_s))


def start_sessions(hub: ProcessHub, tokens: Path, count: int) -> dict[str, str]:
    """Each user's token."""
    users = [f"user{number:04d}" for number in range(count)]
    for start in range(0, count, AT_ONCE):
        batch = users[start : start + AT_ONCE]
        for user in batch:
            hub.spawn(user, project="default", fgpu=0.1, cpu=0.1, memory_mib=128)
        for user in batch:
            hub.wait_ready(user, limit_s=120)
        print(f"\r{start + len(batch)} of {count} sessions run", end="", flush=True)
    print()
    return {user: (tokens / user).read_text() for user in users}


async def rounds(hub: ProcessHub, tokens: dict[str, str], arguments: argparse.Namespace) -> float:
    """Print each; the median share that asking costs the service."""
    asking = Asking(hub, tokens)
    found = []
    for number in range(arguments.rounds):
        one = await measure(hub, asking, arguments.seconds)
        found.append(one)
        print(
            f"round {number + 1}: service {one.service_quiet:.2%} -> {one.service_asked:.2%},"
            f" hub {one.hub_quiet:.2%} -> {one.hub_asked:.2%} of a core;"
            f" {one.answers} answers, slowest {one.slowest_s * 1000:.0f} ms"
        )
    service = statistics.median(one.service_asked - one.service_quiet for one in found)
    hub_share = statistics.median(one.hub_asked - one.hub_quiet for one in found)
    print(
        f"{len(tokens)} sessions asking every {EVERY_S:g} s cost the service {service:.2%} of a"
        f" core (at most {MOST_OF_A_CORE:.0%}), and the hub {hub_share:.2%}; medians of"
        f" {arguments.rounds} rounds"
    )
    return service


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0, help="of half a round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    logging.getLogger("tornado").setLevel(logging.ERROR)
    answering = http.server.ThreadingHTTPServer(("127.0.0.1", 0), AnyServer)
    threading.Thread(target=answering.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="session-polling-") as directory:
        tokens = Path(directory, "tokens")
        tokens.mkdir()
        data = Path(directory, "hub")
        data.mkdir()
        environment = {
            "APPORTION_TEST_TOKENS": str(tokens),
            "APPORTION_TEST_PORT": str(answering.server_address[1]),
        }
        gpus = f"{-(-arguments.sessions // 10)}x16GiB"
        hub = ProcessHub(
            data, spawner=SleepingSpawner, gpus=gpus, environment=environment, config=_ROOMY
        )
        try:
            known = start_sessions(hub, tokens, arguments.sessions)
            cost = asyncio.run(rounds(hub, known, arguments))
        finally:
            hub.stop()
    sys.exit(cost > MOST_OF_A_CORE)


if __name__ == "__main__":
    main()

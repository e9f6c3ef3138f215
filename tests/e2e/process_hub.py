"""A real hub and service whose sessions are processes of this machine: no engine, no image.

``ApportionProcessSpawner`` refuses root, since it isolates nobody; here nobody is to be isolated.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from spawner.grant import Grant
from spawner.mixin import ApportionSpawnerMixin
from spawner.process import ApportionProcessSpawner

ROOT = Path(__file__).resolve().parents[2]
LABEXTENSION = ROOT / "labextension"
START_LIMIT_S = 90.0
STOP_LIMIT_S = 30.0

_CONFIG = """
import hub_ext
c = get_config()
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.services = [{{"name": "test", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{"name": "test", "services": ["test"],
    "scopes": ["admin:users", "admin:servers", "access:servers", "tokens"]}}]
c.JupyterHub.spawner_class = "{spawner}"
c.ApportionService.cpu_overcommit = 1000
c.Spawner.environment = {environment!r}
hub_ext.configure(c, {config!r})
"""


class LabSpawner(ApportionProcessSpawner):
    """JupyterLab as the images start it."""

    async def run_pre_spawn_hook(self) -> None:
        """Also for root."""
        await ApportionSpawnerMixin.run_pre_spawn_hook(self)

    def get_args(self) -> list[str]:
        """Root is no user of the images."""
        return [*super().get_args(), "--allow-root"]


class SleepingSpawner(LabSpawner):
    """A process that does nothing in place of JupyterLab; something else answers for all of them.

    Writes each server's token to APPORTION_TEST_TOKENS/USER.
    """

    async def launch_server(
        self, grant: Grant, announced: Callable[[], Awaitable[None]]
    ) -> tuple[str, int]:
        """Ready at once."""
        self.cmd = ["sleep", "infinity"]
        await super().launch_server(grant, announced)
        tokens = Path(os.environ["APPORTION_TEST_TOKENS"])
        (tokens / str(self.user.name)).write_text(self.api_token)
        self.mark_server_ready()
        return "127.0.0.1", int(os.environ["APPORTION_TEST_PORT"])

    def get_args(self) -> list[str]:
        """None: it only sleeps."""
        return []


class ProcessHub:
    """Runs until ``stop``. ``data``: an empty directory."""

    def __init__(
        self,
        data: Path,
        *,
        spawner: type[LabSpawner] = LabSpawner,
        gpus: str = "2x16GiB",
        environment: Mapping[str, str] | None = None,
        config: str = "",
    ) -> None:
        """``config``: more of the configuration, which hub and service read."""
        self.token = secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = data / "hub.log"
        path = data / "jupyterhub_config.py"
        wiring = _CONFIG.format(
            token=self.token,
            spawner=f"tests.e2e.process_hub.{spawner.__name__}",
            environment=_session_environment(data),
            config=str(path),
        )
        path.write_text(wiring + config)
        python_path = os.pathsep.join([str(ROOT), str(LABEXTENSION)])
        self._environment = os.environ | {
            "PYTHONPATH": python_path,
            "APPORTION_DATA": str(data / "var"),
            "APPORTION_BIND_URL": self.url,
            "APPORTION_ENGINE": "process",
            "APPORTION_SIMULATE_GPUS": gpus,
            **(environment or {}),
        }
        (data / "var").mkdir()
        self._command = [sys.executable, "-m", "jupyterhub", "-f", str(path)]
        self._directory = data
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                health = httpx.get(f"{self.url}/services/apportion/api/v1/health", timeout=5)
                if health.is_success and self.call("GET", "/users").is_success:
                    return process
            time.sleep(0.2)
        raise AssertionError(f"The hub did not come up:\n{self.log()[-4000:]}")

    def restart(self) -> None:
        """Kill the hub, and its service with it; sessions go on."""
        self._end(signal.SIGKILL)
        self.process = self._start()

    def stop(self) -> None:
        """End the sessions, then hub and service."""
        with contextlib.suppress(httpx.HTTPError):
            deadline = time.monotonic() + STOP_LIMIT_S
            while (users := self._users_with_servers()) and time.monotonic() < deadline:
                for user in users:
                    for name in user["servers"]:
                        self.call("DELETE", f"/users/{user['name']}/servers/{name}")
                time.sleep(0.2)
        self._end(signal.SIGTERM)

    def _users_with_servers(self) -> list[dict[str, Any]]:
        """The hub tells of so many at once, the first of them."""
        users = self.call("GET", "/users", params={"limit": 200, "state": "active"}).json()
        return [user for user in users if user["servers"]]

    def _end(self, with_signal: signal.Signals) -> None:
        self.process.send_signal(with_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            if with_signal is signal.SIGTERM:
                os.killpg(self.process.pid, signal.SIGKILL)

    def log(self) -> str:
        """What the hub has written."""
        return self._log.read_text()

    def call(self, method: str, path: str, **values: Any) -> httpx.Response:
        """The hub's REST API as an admin."""
        headers = {"Authorization": f"token {self.token}"}
        return httpx.request(
            method, f"{self.url}/hub/api{path}", headers=headers, timeout=60, **values
        )

    def spawn(self, user: str, **options: Any) -> None:
        """Ask for the user's default server."""
        self.call("POST", f"/users/{user}")
        answer = self.call("POST", f"/users/{user}/server", json=options)
        assert answer.status_code in {201, 202}, answer.text

    def server(self, user: str) -> dict[str, Any]:
        """The user's default server as the hub has it; empty when there is none."""
        answer = self.call("GET", f"/users/{user}")
        return dict(answer.json()["servers"].get("") or {})

    def wait_ready(self, user: str, limit_s: float = 60.0) -> None:
        """Until the user's default server is ready."""
        deadline = time.monotonic() + limit_s
        while not self.server(user).get("ready"):
            assert time.monotonic() < deadline, self.log()[-4000:]
            time.sleep(0.2)

    def server_address(self) -> str:
        """Where sessions reach the hub: not by way of the proxy."""
        settings = json.loads((self._directory / "var" / "settings.json").read_text())
        return f"http://127.0.0.1:{settings['hub_port']}/hub"

    def service_pid(self) -> int:
        """Of the queue service, a child of the hub."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for child in children.split():
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"hub_ext.app" in command:
                return int(child)
        raise AssertionError("The service does not run.")


def _session_environment(data: Path) -> dict[str, str]:
    """JupyterLab finds the extension in its sources, as if it were installed."""
    enabled = data / "jupyter" / "jupyter_server_config.d"
    enabled.mkdir(parents=True)
    for path in (LABEXTENSION / "jupyter-config").iterdir():
        (enabled / path.name).write_text(path.read_text())
    return {"JUPYTER_CONFIG_PATH": str(data / "jupyter"), "JUPYTERHUB_SINGLEUSER_EXTENSION": "1"}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""Hubs to measure, each a real ``jupyterhub`` process with its own ports, network and data."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import requests

from hub_ext.bootstrap import network
from hub_ext.settings import DeploymentSettings

ROOT = Path(__file__).resolve().parents[1]
START_LIMIT_S = 90.0

_APPORTION = """
import hub_ext
c = get_config()
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.ApportionService.cpu_overcommit = 64
c.JupyterHub.services = [{{"name": "benchmark", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{"name": "benchmark", "services": ["benchmark"],
    "scopes": ["admin:users", "admin:servers"]}}]
c.JupyterHub.log_level = "WARN"
hub_ext.configure(c, {config!r})
"""

_STOCK = """
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_ip = "{gateway}"
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "docker"
c.DockerSpawner.image = "{image}"
c.DockerSpawner.network_name = "{network}"
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.prefix = "{network}"
c.DockerSpawner.cmd = {command!r}
c.JupyterHub.services = [{{"name": "benchmark", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{"name": "benchmark", "services": ["benchmark"],
    "scopes": ["admin:users", "admin:servers"]}}]
c.JupyterHub.log_level = "WARN"
"""


@dataclass
class Hub:
    """One running hub; ``options`` go with every spawn."""

    name: str
    image: str
    apportion: bool = False
    #: what stock DockerSpawner runs; None: the image's own command
    command: list[str] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    url: str = ""
    _process: subprocess.Popen[bytes] | None = None
    _directory: tempfile.TemporaryDirectory[str] | None = None
    _network: str = ""

    def start(self, client: Any) -> None:
        """Start it and wait until its API answers."""
        self._directory = tempfile.TemporaryDirectory(prefix="spawn-benchmark-")
        data = Path(self._directory.name)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = data / "jupyterhub_config.py"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if self.apportion:
            environment |= self._prepare_apportion(data, client)
            config.write_text(_APPORTION.format(token=self.token, config=str(config)))
        else:
            config.write_text(self._stock_config(port, client))
        with (data / "hub.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(config)],
                cwd=data,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_up()

    def log(self) -> str:
        """What the hub has written; for the report of a failure."""
        return Path(self._directory.name, "hub.log").read_text() if self._directory else ""

    def stop(self, client: Any) -> None:
        """End the hub, its containers, its network and its data."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for container in client.containers.list(all=True, filters={"network": self._network}):
            container.remove(force=True, v=True)
        for container in client.containers.list(all=True, filters={"name": self._network}):
            container.remove(force=True, v=True)
        with contextlib.suppress(docker.errors.APIError):
            client.networks.get(self._network).remove()
        if self._directory is not None:
            self._directory.cleanup()

    def _prepare_apportion(self, data: Path, client: Any) -> dict[str, str]:
        settings = DeploymentSettings.load_or_create(data)
        self._network = network.network_name(settings.deployment_id)
        network.ensure(client, settings.deployment_id)
        return {
            "APPORTION_DATA": str(data),
            "APPORTION_BIND_URL": self.url,
            "APPORTION_ENGINE": "docker",
            "APPORTION_SIMULATE_GPUS": "32x16GiB",
        }

    def _stock_config(self, port: int, client: Any) -> str:
        self._network = f"spawn-benchmark-{secrets.token_hex(4)}"
        created = client.networks.create(self._network, driver="bridge")
        created.reload()
        return _STOCK.format(
            port=port,
            hub_port=free_port(),
            api_port=free_port(),
            gateway=created.attrs["IPAM"]["Config"][0]["Gateway"],
            image=self.image,
            command=self.command,
            network=self._network,
            token=self.token,
            proxy=[str(Path(sys.executable).parent / "configurable-http-proxy")],
        )

    def _wait_until_up(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(requests.RequestException):
                if self.call("GET", "/users").ok and self._takes_requests():
                    return
            time.sleep(0.2)
        raise SystemExit(f"{self.name} did not come up:\n{self.log()[-3000:]}")

    def _takes_requests(self) -> bool:
        if not self.apportion:
            return True
        return requests.get(f"{self.url}/services/apportion/api/v1/health", timeout=5).ok

    def call(self, method: str, path: str, **values: Any) -> requests.Response:
        """The hub's REST API as an admin."""
        headers = {"Authorization": f"token {self.token}"}
        return requests.request(
            method, f"{self.url}/hub/api{path}", headers=headers, timeout=120, **values
        )


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

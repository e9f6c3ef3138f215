"""One deployment on this machine: what it is started with, and the hub's command line."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import hub_ext
from hub_ext.bootstrap.deployment_processes import MARK
from hub_ext.bootstrap.ports import PortUse
from hub_ext.bootstrap.supervise import HubCommand
from hub_ext.settings import DeploymentSettings

PROJECT = Path(hub_ext.__file__).resolve().parent.parent
CONFIG_FILE = PROJECT / "jupyterhub_config.py"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the person asked for on the command line of ``up``. data, config: absolute."""

    data: Path
    config: Path
    bind: str
    port: int
    engine: str
    simulate_gpus: str
    fgpu_per_gpu: int
    admin: str
    reset_admin_password: bool
    may_install: bool
    build_images: bool

    @property
    def bind_url(self) -> str:
        """Where the proxy listens."""
        host = f"[{self.bind}]" if ":" in self.bind else self.bind
        return f"http://{host}:{self.port}"

    @property
    def hub_database(self) -> str:
        """SQLAlchemy URL of JupyterHub's own database."""
        return f"sqlite:///{self.data / 'jupyterhub.sqlite'}"

    def remember(self) -> None:
        """Write down, for ``doctor``, what the deployment is started with. No secrets."""
        values = {
            "bind": self.bind,
            "port": self.port,
            "engine": self.engine,
            "simulate_gpus": self.simulate_gpus,
            "fgpu_per_gpu": self.fgpu_per_gpu,
        }
        (self.data / "up.json").write_text(json.dumps(values, indent=2) + "\n")


def hub_command(options: UpOptions, *, engine: str, network: str) -> HubCommand:
    """The hub's command line, environment, directory and log. engine: docker or process."""
    environment = {
        **os.environ,
        # The programs that the hub starts by name are this environment's.
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "APPORTION_DATA": str(options.data),
        "APPORTION_BIND_URL": options.bind_url,
        "APPORTION_ENGINE": engine,
        "APPORTION_SIMULATE_GPUS": options.simulate_gpus,
        "APPORTION_FGPU_PER_GPU": str(options.fgpu_per_gpu),
        "APPORTION_NETWORK": network,
        "APPORTION_ADMIN": options.admin,
        MARK: str(options.data),
    }
    return HubCommand(
        arguments=[sys.executable, "-P", "-m", "jupyterhub", "-f", str(options.config)],
        environment=environment,
        directory=options.data,
        log=options.data / "log" / "hub.log",
    )


def public_port(options: UpOptions) -> PortUse:
    """The port that browsers come to."""
    return PortUse(
        options.bind, options.port, "web pages", "Choose another with --port, e.g. --port 8080."
    )


def internal_ports(options: UpOptions, settings: DeploymentSettings, gateway: str) -> list[PortUse]:
    """The ports between the parts; they are fixed, since running sessions know them."""
    file = options.data / "settings.json"

    def use(address: str, port: int, purpose: str, field: str) -> PortUse:
        way_out = f"End what holds it, or give another port as '{field}' in {file}."
        return PortUse(address, port, purpose, way_out)

    return [
        use("127.0.0.1", settings.proxy_api_port, "the proxy's control port", "proxy_api_port"),
        use("127.0.0.1", settings.service_port, "the service", "service_port"),
        use(gateway, settings.hub_port, "the hub", "hub_port"),
    ]

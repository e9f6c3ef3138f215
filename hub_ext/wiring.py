"""The wiring of hub, service and spawners: all that ``jupyterhub_config.py`` need not say."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import nativeauthenticator
from jupyterhub.services.service import _ServiceSpawner

from hub_ext.bootstrap import network
from hub_ext.login import LocalAccountAuthenticator
from hub_ext.settings import DeploymentSettings
from spawner import page_language
from spawner.docker import ApportionDockerSpawner
from spawner.handlers import extra_handlers
from spawner.hub_database import tune_sqlite
from spawner.process import ApportionProcessSpawner

_SERVICE = "apportion"
_SERVICE_WATCH_S = 2
_HANDED_ON = ("DOCKER_CERT_PATH", "DOCKER_CONFIG", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "PYTHONPATH")
"""To the service, beside APPORTION_*: how to reach the engine, and what `docker login` keeps."""
_TEMPLATES = Path(__file__).parents[1] / "spawner" / "templates"

SERVICE_SCOPES = ["list:users", "servers"]
"""All that the service may do in the hub: see who has a server, start one, stop one."""


def configure(c: Any, config_file: str) -> None:
    """Fill the configuration of hub and service from this deployment's data directory.

    ``c``: the config object of ``config_file``, whose path goes to the service, which
    reads the same file. What the file sets before or after this call stays.
    Environment (``./apportion up`` sets it): APPORTION_DATA, APPORTION_BIND_URL,
    APPORTION_ENGINE, APPORTION_SIMULATE_GPUS, APPORTION_FGPU_PER_GPU, APPORTION_NETWORK,
    APPORTION_ADMIN.
    """
    data = Path(os.environ.get("APPORTION_DATA", "var")).resolve()
    settings = DeploymentSettings.load_or_create(data)
    bind_url = os.environ.get("APPORTION_BIND_URL", "http://127.0.0.1:8000")
    engine = os.environ.get("APPORTION_ENGINE", "docker")
    _configure_service(c, data, settings, bind_url, engine)
    if os.environ.get("JUPYTERHUB_SERVICE_NAME") == _SERVICE:
        return
    tune_sqlite()
    _watch_service_closely()
    _configure_hub(c, data, settings, bind_url)
    _configure_login(c)
    _add_service(c, config_file, settings)
    _configure_spawner(c, settings, engine)


def _configure_service(
    c: Any, data: Path, settings: DeploymentSettings, bind_url: str, engine: str
) -> None:
    values: dict[str, Any] = {
        "data_dir": str(data),
        "engine": engine,
        "network": os.environ.get("APPORTION_NETWORK")
        or network.network_name(settings.deployment_id),
        "simulate_gpus": os.environ.get("APPORTION_SIMULATE_GPUS", ""),
        "public_url": _public_url(bind_url),
    }
    if os.environ.get("APPORTION_FGPU_PER_GPU"):
        values["fgpu_per_gpu"] = int(os.environ["APPORTION_FGPU_PER_GPU"])
    _defaults(c.ApportionService, values)


def _public_url(bind_url: str) -> str:
    """Where users find the hub; "" when it listens everywhere and only the site knows."""
    host = urlsplit(bind_url).hostname
    return "" if host in {None, "0.0.0.0", "::"} else bind_url


def _configure_hub(c: Any, data: Path, settings: DeploymentSettings, bind_url: str) -> None:
    _defaults(
        c.JupyterHub,
        {
            "bind_url": bind_url,
            "db_url": f"sqlite:///{data / 'jupyterhub.sqlite'}",
            "cookie_secret_file": str(data / "jupyterhub_cookie_secret"),
            "cleanup_servers": False,
            "allow_named_servers": True,
            # The queue decides who starts and how many at once; the hub must not refuse.
            "concurrent_spawn_limit": 0,
            "tornado_settings": {"slow_spawn_timeout": 0},
            "template_paths": [str(_TEMPLATES)],
            "jinja_environment_options": {"extensions": [page_language.NAME]},
            "extra_handlers": extra_handlers,
            "init_spawners_timeout": 10,
            # Idle times are limited by what the hub knows of activity.
            "last_activity_interval": 60,
        },
    )
    os.environ.setdefault("JUPYTERHUB_CRYPT_KEY", settings.crypt_key)
    _defaults(
        c.ConfigurableHTTPProxy,
        {
            # The proxy of PyPI: no Node.js needed.
            "command": [sys.executable, "-m", "spawner.streaming_proxy"],
            "api_url": f"http://127.0.0.1:{settings.proxy_api_port}",
            "auth_token": settings.proxy_token,
            "pid_file": str(data / "jupyterhub-proxy.pid"),
        },
    )


def _watch_service_closely() -> None:
    """Let the hub see within seconds that the service has died, and start it again.

    JupyterHub offers no option for it: it makes the service's process watcher without
    handing it the configuration, and looks every 30 s. Spawners have their own setting.
    """
    _ServiceSpawner.poll_interval.default_value = _SERVICE_WATCH_S


def _configure_login(c: Any) -> None:
    """Accounts with passwords in the hub's database; any other authenticator may replace it."""
    if "authenticator_class" not in c.JupyterHub:
        c.JupyterHub.authenticator_class = LocalAccountAuthenticator
        c.JupyterHub.template_paths = [
            *c.JupyterHub.template_paths,
            str(Path(nativeauthenticator.__file__).parent / "templates"),
        ]
        c.JupyterHub.template_vars = {
            "sign_up_url": f"{c.JupyterHub.get('base_url', '/')}hub/signup",
            **c.JupyterHub.get("template_vars", {}),
        }
        _defaults(
            c.NativeAuthenticator,
            {
                "check_common_password": True,
                "allowed_failed_logins": 10,
                "seconds_before_next_try": 60,
            },
        )
    _defaults(c.Authenticator, {"admin_users": {os.environ.get("APPORTION_ADMIN", "admin")}})


def _add_service(c: Any, config_file: str, settings: DeploymentSettings) -> None:
    """The managed service and its role; every user may reach its pages."""
    service = {
        "name": _SERVICE,
        "url": f"http://127.0.0.1:{settings.service_port}",
        "api_token": settings.service_token,
        "oauth_no_confirm": True,
        "command": [
            sys.executable,
            "-m",
            "hub_ext.app",
            "--config",
            str(Path(config_file).resolve()),
        ],
        "environment": {
            name: value for name, value in os.environ.items() if name.startswith("APPORTION_")
        }
        | {name: os.environ[name] for name in _HANDED_ON if name in os.environ},
    }
    roles = [
        {"name": "apportion-service", "services": [_SERVICE], "scopes": SERVICE_SCOPES},
        {"name": "user", "scopes": ["self", f"access:services!service={_SERVICE}"]},
    ]
    c.JupyterHub.services = [*c.JupyterHub.get("services", []), service]
    c.JupyterHub.load_roles = [*c.JupyterHub.get("load_roles", []), *roles]


def _configure_spawner(c: Any, settings: DeploymentSettings, engine: str) -> None:
    hub = "127.0.0.1"
    spawner: type = ApportionProcessSpawner
    if engine == "docker":
        spawner = ApportionDockerSpawner
        hub = network.ensure(docker.from_env(), settings.deployment_id).gateway
    _defaults(
        c.JupyterHub,
        {"spawner_class": spawner, "hub_bind_url": f"http://{hub}:{settings.hub_port}"},
    )
    base_url = c.JupyterHub.get("base_url", "/")
    _defaults(
        c.ApportionSpawnerMixin,
        {
            "service_url": f"http://127.0.0.1:{settings.service_port}" + base_url.rstrip("/"),
            "service_token": settings.spawner_token,
        },
    )
    _defaults(c.Spawner, {"start_timeout": 120, "http_timeout": 60, "poll_interval": 30})


def _defaults(section: Any, values: dict[str, Any]) -> None:
    """Set what the site's own configuration has not set."""
    for name, value in values.items():
        if name not in section:
            section[name] = value

"""The deployment itself: settings file, databases, ports, and whether its parts answer."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from hub_ext.bootstrap import data_directory, health, ports
from hub_ext.bootstrap.failure import BootstrapError
from hub_ext.bootstrap.ports import PortUse
from hub_ext.db.connection import Database, DatabaseError
from hub_ext.doctor.finding import Deployment, Finding, fail, ok, warn
from hub_ext.settings import FILE_NAME, DeploymentSettings, SettingsError

OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def settings_file(deployment: Deployment) -> Iterator[Finding]:
    """Readable, whole, and nobody else's to read."""
    path = deployment.data / FILE_NAME
    if not path.exists():
        yield warn(
            "settings", f"No deployment in {deployment.data} yet.", "'./apportion up' makes one."
        )
        return
    try:
        settings = DeploymentSettings.load(deployment.data)
    except SettingsError as error:
        yield fail("settings", str(error), f"Repair {path}, or restore it from a backup.")
        return
    if path.stat().st_mode & OPEN_TO_OTHERS:
        yield fail("settings", f"{path} holds secrets and others may read it.", f"chmod 600 {path}")
    else:
        yield ok("settings", f"{path} (deployment {settings.deployment_id})")


def database(deployment: Deployment) -> Iterator[Finding]:
    """The service's database: reachable, and at this release's migration."""
    if is_sqlite_to_come(deployment.db_url):
        yield warn("database", "Not made yet.", "The service makes it at its first start.")
        return
    try:
        service = Database(deployment.db_url)
        try:
            current, newest = service.revision(), service.head()
        finally:
            service.engine.dispose()
    except (DatabaseError, SQLAlchemyError) as error:
        cause = getattr(error, "orig", None) or error
        yield fail("database", f"Cannot be used: {cause}", "Check the server, or restore a backup.")
        return
    if current == newest:
        yield ok("database", f"Reachable, at migration {current}")
    else:
        yield warn(
            "database",
            f"At migration {current or 'none'}; this release has {newest}.",
            "The service migrates at its next start; keep a backup.",
        )


def hub_database(deployment: Deployment) -> Iterator[Finding]:
    """JupyterHub's own database can be opened and has its tables."""
    url = f"sqlite:///{deployment.data / 'jupyterhub.sqlite'}"
    if is_sqlite_to_come(url):
        return
    try:
        hub = Database(url)
        try:
            tables = inspect(hub.engine).get_table_names()
        finally:
            hub.engine.dispose()
    except (DatabaseError, SQLAlchemyError) as error:
        cause = getattr(error, "orig", None) or error
        yield fail("hub database", f"Cannot be used: {cause}", "Restore it from a backup.")
        return
    if "users_info" in tables:
        yield ok("hub database", f"{len(tables)} tables")
    else:
        yield warn("hub database", "Has no local accounts.", "'./apportion up' makes the first.")


def is_sqlite_to_come(url: str) -> bool:
    """Whether the database is a file that nobody has made yet."""
    parsed = make_url(url)
    return parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists()


def running(deployment: Deployment) -> Iterator[Finding]:
    """With an ``up`` at work: its parts answer. Without: its ports are free."""
    settings, options = deployment.settings, deployment.started_with
    if settings is None or not isinstance(options.get("port"), int):
        return
    bind, port = str(options.get("bind", "127.0.0.1")), options["port"]
    if not data_directory.is_locked(deployment.data):
        yield warn("running", "No 'up' runs on this directory now.", "./apportion up")
        yield from _free_ports(settings, bind, port)
        return
    for check in health.of_deployment(bind, port, settings.service_port):
        where = f"http://{check.address}:{check.port}{check.path}"
        if check.answers():
            yield ok(check.part, f"{where} answers")
        else:
            yield fail(
                check.part,
                f"{where} does not answer.",
                f"See the logs in {deployment.data / 'log'}.",
            )


def _free_ports(settings: DeploymentSettings, bind: str, port: int) -> Iterator[Finding]:
    file_way_out = f"End what holds it, or change it in {FILE_NAME}."
    uses = [
        PortUse(bind, port, "web pages", "Choose another: up --port."),
        PortUse("127.0.0.1", settings.service_port, "the service", file_way_out),
        PortUse("127.0.0.1", settings.proxy_api_port, "the proxy's control port", file_way_out),
    ]
    taken = False
    for use in uses:
        try:
            ports.require_free(use)
        except BootstrapError as error:
            taken = True
            yield warn("ports", error.message, error.way_out)
    if not taken:
        yield ok("ports", f"{', '.join(str(use.port) for use in uses)} are free")

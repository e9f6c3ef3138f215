"""A real database under every test here: SQLite, and PostgreSQL where it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from glob import glob
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from hub_ext.db.connection import Database
from hub_ext.fgpu import FgpuUnit
from hub_ext.folders.catalogue import FolderCatalogue
from hub_ext.folders.jobs import FolderJobs
from hub_ext.folders.measuring import Measuring
from hub_ext.folders.mounting import SubpathMounts
from hub_ext.folders.storage import FolderStorage
from hub_ext.folders.uploads import Uploads
from hub_ext.gpu.simulated import simulated_nodes
from hub_ext.hub_client import HubServer
from hub_ext.images.catalogue import CatalogueImage
from hub_ext.nodes.engine import EngineUnavailable, Machine, SessionContainer
from hub_ext.nodes.presets import seed_presets
from hub_ext.projects.store import ProjectStore
from hub_ext.sessions.changes import Changes
from hub_ext.sessions.store import SessionStore
from hub_ext.site import Policy, Site

IMAGE = CatalogueImage("apportion/base:test", "sha256:0", "base", "Base", "test", labelled=True)


class RoomyEngine:
    """A large node without containers, but those that a test puts there."""

    def __init__(self) -> None:
        self.present: list[SessionContainer] = []
        self.removed: list[str] = []

    async def machine(self) -> Machine:
        return Machine(64_000, 256 * 1024)

    async def images(self) -> list[CatalogueImage]:
        return [IMAGE]

    async def containers(self) -> list[SessionContainer]:
        return list(self.present)

    async def remove(self, container_id: str) -> None:
        self.removed.append(container_id)
        self.present = [found for found in self.present if found.container_id != container_id]


class SilentEngine(RoomyEngine):
    """An engine that does not answer any more."""

    async def machine(self) -> Machine:
        raise EngineUnavailable("Docker does not answer: connection refused")

    async def containers(self) -> list[SessionContainer]:
        raise EngineUnavailable("Docker does not answer: connection refused")


class RecordingHub:
    """The hub's REST API as a list of what was asked of it."""

    def __init__(self) -> None:
        self.servers: dict[tuple[str, str], HubServer] = {}
        self.several_users = False
        self.asked: list[tuple[str, str, str]] = []

    async def start_server(
        self, user: str, server_name: str, display_name: str, options: dict[str, object]
    ) -> None:
        self.asked.append(("start", user, server_name))

    async def stop_server(self, user: str, server_name: str) -> bool:
        self.asked.append(("stop", user, server_name))
        return False

    async def server(self, user: str, server_name: str) -> HubServer | None:
        return self.servers.get((user, server_name))

    async def has_several_users(self) -> bool:
        return self.several_users

    async def active_servers(self) -> dict[tuple[str, str], HubServer]:
        return dict(self.servers)


@pytest.fixture(scope="session")
def postgresql_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL cluster of our own, on a socket in a temporary directory."""
    found = sorted(glob("/usr/lib/postgresql/*/bin/initdb"))
    initdb = shutil.which("initdb") or (found[-1] if found else None)
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    binaries = Path(initdb).resolve().parent
    root = Path(f"/tmp/apportion-pg-{uuid.uuid4().hex[:8]}")
    root.mkdir(mode=0o700)
    account = "postgres" if os.geteuid() == 0 else None
    if account:
        shutil.chown(root, account)

    def run(*command: str) -> None:
        subprocess.run(
            command, check=True, user=account, cwd=root, stdout=subprocess.DEVNULL, timeout=120
        )

    data = str(root / "data")
    run(str(binaries / "initdb"), "-D", data, "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-k {root} -c listen_addresses='' -c fsync=off"
    run(str(binaries / "pg_ctl"), "-D", data, "-w", "-l", str(root / "log"), "-o", options, "start")
    user = account or pwd.getpwuid(os.geteuid()).pw_name
    try:
        yield f"postgresql+psycopg://{user}@/postgres?host={root}"
    finally:
        run(str(binaries / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(root)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file as migrations make it, to be copied: they take longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "apportion.sqlite"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_url: str) -> str:
    """Name of a PostgreSQL database as migrations make it, a template for others."""
    name = "migrated"
    _create_database(postgresql_url, name)
    _migrate(_database_url(postgresql_url, name))
    return name


def _migrate(url: str) -> None:
    database = Database(url)
    database.upgrade()
    database.engine.dispose()


def _create_database(server: str, name: str, *, template: str = "template1") -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    engine.dispose()


def _database_url(server: str, name: str) -> str:
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database of each kind without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'apportion.sqlite'}"
    server = request.getfixturevalue("postgresql_url")
    name = f"t{uuid.uuid4().hex}"
    _create_database(server, name)
    return _database_url(server, name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database of each kind with the tables that migrations make."""
    if request.param == "sqlite":
        path = tmp_path / "apportion.sqlite"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        return f"sqlite:///{path}"
    server = request.getfixturevalue("postgresql_url")
    name = f"t{uuid.uuid4().hex}"
    template = request.getfixturevalue("migrated_postgresql")
    _create_database(server, name, template=template)
    return _database_url(server, name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database of each kind."""
    database = Database(database_url)
    yield database
    database.engine.dispose()


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Site:
    """A site with two simulated GPUs of 8 GiB; node and devices are read by ``refresh``."""
    storage = FolderStorage(tmp_path / "folders")
    storage.prepare()
    changes = Changes()
    policy = Policy(unit=FgpuUnit(1, 100))
    with database.transaction() as db:
        seed_presets(db, policy.unit)
    return Site(
        deployment_id="0123abcd",
        nodes=simulated_nodes("2x8GiB", "gpu-1"),
        policy=policy,
        database=database,
        changes=changes,
        store=SessionStore(database, changes),
        projects=ProjectStore(database, policy.unit),
        folders=FolderCatalogue(storage),
        folder_jobs=FolderJobs(database, storage, policy),
        measuring=Measuring(database, storage),
        uploads=Uploads(database, storage),
        subpath_mounts=SubpathMounts(storage),
        engine=RoomyEngine(),
        hub=RecordingHub(),  # type: ignore[arg-type]
        data_dir=tmp_path,
    )

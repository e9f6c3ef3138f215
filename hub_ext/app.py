"""The service "apportion": a managed service of JupyterHub, put together and run."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyterhub.services.auth import HubOAuth
from sqlalchemy import exists, select
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from hub_ext import __version__
from hub_ext.db.connection import Database, DatabaseError
from hub_ext.db.folder_models import FolderRow
from hub_ext.errors import ApportionError
from hub_ext.folders.catalogue import FolderCatalogue
from hub_ext.folders.fullness import tell_of_full
from hub_ext.folders.jobs import FolderJobs
from hub_ext.folders.measuring import Measuring
from hub_ext.folders.mounting import SubpathMounts
from hub_ext.folders.storage import FolderStorage
from hub_ext.folders.storage_watch import StorageWatch
from hub_ext.folders.trash_collector import TrashCollector
from hub_ext.folders.uploads import Uploads
from hub_ext.gpu.devices import GpuSource
from hub_ext.gpu.mps_keeper import MpsKeeper
from hub_ext.gpu.nvml import NvmlGpus
from hub_ext.gpu.simulated import simulated_nodes
from hub_ext.hub_client import HubClient
from hub_ext.images.saving import Saver
from hub_ext.metering.meter import Meter
from hub_ext.nodes import inventory
from hub_ext.nodes.device_rows import DeviceWatch
from hub_ext.nodes.docker_engine import DockerEngine
from hub_ext.nodes.engine import Engine
from hub_ext.nodes.presets import seed_presets
from hub_ext.nodes.process_engine import ProcessEngine
from hub_ext.options import ServiceOptions
from hub_ext.projects.store import ProjectStore
from hub_ext.sessions.changes import Changes
from hub_ext.sessions.culler import Culler
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.reconcile import Reconciler
from hub_ext.sessions.store import SessionStore
from hub_ext.sessions.submission import Submissions
from hub_ext.settings import DeploymentSettings, SettingsError
from hub_ext.site import Site
from hub_ext.web.application import make_application
from hub_ext.web.base import Parts
from hub_ext.web.live import LiveTopics

_PR_SET_PDEATHSIG = 1
_BIND_ATTEMPTS = 100


class ApportionService(ServiceOptions):
    """Queue, scheduler, folders, images, pages and REST API."""

    name = "apportion-service"
    version = __version__
    description = "The service of Apportion; JupyterHub starts it."
    aliases = {"config": "ApportionService.config_file"}

    def initialize(self, argv: list[str] | None = None) -> None:
        """Command line, then the config file, then the command line again (it wins)."""
        super().initialize(argv)
        if self.config_file:
            path = Path(self.config_file)
            self.load_config_file(path.name, path=str(path.parent))
            self.parse_command_line(argv)

    def start(self) -> None:
        """Run until a signal or the hub ends it. A refusal to start is one line, exit 1."""
        os.umask(0o077)
        if self.exit_with_parent:
            _end_with_parent()
        try:
            asyncio.run(self._serve())
        except (DatabaseError, SettingsError, ApportionError, ValueError, OSError) as error:
            self.log.critical("%s", error)
            sys.exit(1)

    async def _serve(self) -> None:
        site, settings = self._site()
        launcher, queue = Launcher(site), Queue(site)
        reconciler, culler = Reconciler(site, launcher), Culler(site, launcher)
        live = LiveTopics(site.changes, site.database.changed_tables)
        parts = Parts(
            *(site, Submissions(site), launcher, queue, live, culler.activity),
            settings.spawner_token,
        )
        mps, meter = MpsKeeper(site), Meter(site, culler.activity.in_use, culler.look_again)
        await inventory.refresh(site)
        await mps.once()
        server = HTTPServer(make_application(parts))
        server.add_sockets(await self._sockets(settings.service_port))
        self.log.info("Apportion %s serves at port %d", __version__, settings.service_port)
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        parts_that_run = (
            *(queue, launcher, reconciler, culler, DeviceWatch(site), mps, meter),
            *(site.folder_jobs, site.measuring, StorageWatch(site), TrashCollector(site)),
            Saver(site),
        )
        loops = [asyncio.create_task(part.run()) for part in parts_that_run]
        gc.freeze()  # what is there from the start is not looked at again in each collection
        await stopped.wait()
        server.stop()
        for loop in loops:
            loop.cancel()
            with suppress(asyncio.CancelledError):
                await loop

    async def _sockets(self, port: int) -> list[Any]:
        """The port may still be held for a moment by the service of a hub that was killed."""
        for _ in range(_BIND_ATTEMPTS):
            try:
                return list(bind_sockets(port, "127.0.0.1"))
            except OSError:
                await asyncio.sleep(0.1)
        raise OSError(f"Port {port} is in use; another service of this deployment runs.")

    def _site(self) -> tuple[Site, DeploymentSettings]:
        """Everything put together. Raises what ``start`` catches."""
        if not self.data_dir:
            raise ValueError("ApportionService.data_dir is not set.")
        data_dir = Path(self.data_dir)
        settings = DeploymentSettings.load_or_create(data_dir)
        database = Database(self.db_url or f"sqlite:///{data_dir / 'apportion.sqlite'}")
        database.upgrade()
        storage = FolderStorage(Path(self.folder_root or data_dir / "folders").resolve())
        policy = self.policy()
        with database.transaction() as db:
            seed_presets(db, policy.unit)
            used = db.scalar(select(exists().where(FolderRow.state == "ready")))
        storage.prepare(used=bool(used))
        changes = Changes()
        site = Site(
            deployment_id=settings.deployment_id,
            nodes=self._nodes(),
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
            engine=self._engine(settings.deployment_id),
            hub=HubClient(HubOAuth.instance().api_url, HubOAuth.instance().api_token),
            data_dir=data_dir,
        )
        site.measuring.listen(lambda owners: tell_of_full(site, owners))
        return site, settings

    def _engine(self, deployment_id: str) -> Engine:
        if self.engine == "process":
            return ProcessEngine(deployment_id)
        return DockerEngine(deployment_id, url=self.docker_url)

    def _nodes(self) -> Mapping[str, GpuSource]:
        return simulated_nodes(self.simulate_gpus, self.node_name) or {self.node_name: NvmlGpus()}


def _end_with_parent() -> None:
    """SIGTERM for us when the parent dies (prctl(2), Linux)."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)


if __name__ == "__main__":
    ApportionService.launch_instance()

"""The service's own application on a seeded site, in a process of its own.

``python benchmarks/served_site.py --db URL``: pages, forms, REST API and event streams are the
real ones; the hub is ``tests/small_hub.py``, and no container engine is there. ``--queue`` lets
the real queue grant what waits. Below ``/bench/`` it tells what it has cost, and changes
sessions at a steady rate (``/bench/drive``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import event
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from benchmarks.changing_sessions import ChangingSessions
from benchmarks.seeded_site import UNIT
from benchmarks.seeded_things import catalogue
from hub_ext.db.connection import Database
from hub_ext.folders.catalogue import FolderCatalogue
from hub_ext.folders.jobs import FolderJobs
from hub_ext.folders.measuring import Measuring
from hub_ext.folders.mounting import SubpathMounts
from hub_ext.folders.storage import FolderStorage
from hub_ext.folders.uploads import Uploads
from hub_ext.images.catalogue import CatalogueImage
from hub_ext.nodes.engine import Machine, SessionContainer
from hub_ext.projects.store import ProjectStore
from hub_ext.sessions.changes import Changes
from hub_ext.sessions.culler import Culler
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.queue import Queue
from hub_ext.sessions.store import SessionStore
from hub_ext.sessions.submission import Submissions
from hub_ext.site import Policy, Site
from hub_ext.web.application import make_application
from hub_ext.web.base import Parts
from hub_ext.web.live import LiveTopics
from tests.small_hub import add_hub, environment

_START_LIMIT_S = 60.0


class EngineWithoutContainers:
    """A catalogue of images, and nothing that runs."""

    image_store = None
    """Sessions can become images here, as far as the pages are concerned."""

    def __init__(self, images: int) -> None:
        self._images = catalogue(images)

    async def machine(self) -> Machine:
        return Machine(128_000, 1024 * 1024)

    async def images(self) -> list[CatalogueImage]:
        return self._images

    async def containers(self) -> list[SessionContainer]:
        return []

    async def remove(self, container_id: str) -> None:
        return None


class HubWithoutServers:
    """Starts nothing: whoever drives the benchmark moves sessions on."""

    async def start_server(self, *_: Any) -> None:
        return None

    async def stop_server(self, *_: Any) -> bool:
        return True

    async def server(self, *_: Any) -> None:
        return None

    async def active_servers(self) -> dict[tuple[str, str], Any]:
        return {}


def make_site(database: Database, data_dir: Path, images: int, unit: Any = UNIT) -> Site:
    """The service's parts on this database; nodes are those that are in it."""
    storage = FolderStorage(data_dir / "folders")
    storage.prepare()
    changes, policy = Changes(), Policy(unit=unit)
    return Site(
        deployment_id="0123abcd",
        nodes={},
        policy=policy,
        database=database,
        changes=changes,
        store=SessionStore(database, changes),
        projects=ProjectStore(database, unit),
        folders=FolderCatalogue(storage),
        folder_jobs=FolderJobs(database, storage, policy),
        measuring=Measuring(database, storage),
        uploads=Uploads(database, storage),
        subpath_mounts=SubpathMounts(storage),
        engine=EngineWithoutContainers(images),
        hub=cast(Any, HubWithoutServers()),
        data_dir=data_dir,
        images={image.reference: image for image in catalogue(images)},
    )


class Figures(web.RequestHandler):
    """``GET /bench/figures``: SQL statements so far, and CPU seconds of this process."""

    def get(self) -> None:
        self.finish({"statements": self.settings["statements"][0], "cpu_s": time.process_time()})


class Drive(web.RequestHandler):
    """``GET /bench/drive?rate=5&seconds=30``: change sessions; the answer says what changed."""

    async def get(self) -> None:
        rate, seconds = (float(self.get_query_argument(name)) for name in ("rate", "seconds"))
        driver: ChangingSessions = self.settings["driver"]
        self.finish({"changes": await driver.drive(rate, seconds)})


async def serve(arguments: argparse.Namespace) -> None:
    """Until the process is ended; the first line of the output is the URL."""
    listening = bind_unused_port()
    os.environ.update(environment(listening[1]))
    database = Database(arguments.db)
    statements = [0]
    event.listen(database.engine, "before_cursor_execute", _counting(statements))
    site = make_site(database, arguments.data, arguments.images)
    launcher, queue = Launcher(site), Queue(site)
    parts = Parts(
        site=site,
        submissions=Submissions(site),
        launcher=launcher,
        queue=queue,
        live=LiveTopics(site.changes, database.changed_tables),
        activity=Culler(site, launcher).activity,
        spawner_token="spawner-token",
    )
    application = make_application(parts)
    add_hub(application)
    application.add_handlers(".*", [(r"/bench/figures", Figures), (r"/bench/drive", Drive)])
    application.settings["statements"] = statements
    application.settings["driver"] = ChangingSessions(site, random.Random(1))
    server = HTTPServer(application)
    server.add_sockets([listening[0]])
    print(json.dumps({"url": f"http://127.0.0.1:{listening[1]}"}), flush=True)
    await (queue.run() if arguments.queue else asyncio.Event().wait())


def _counting(statements: list[int]) -> Any:
    def count(*_: Any) -> None:
        statements[0] += 1

    return count


@dataclass(slots=True)
class Served:
    """A running one."""

    url: str
    process: subprocess.Popen[str]

    def ask(self, path: str) -> dict[str, Any]:
        """One of the answers below ``/bench/``."""
        with urlopen(f"{self.url}/bench/{path}", timeout=600) as answer:
            return dict(json.load(answer))


@contextmanager
def served(db: str, data: Path, *options: str) -> Iterator[Served]:
    """Start one, and end it with the block. Its log goes to ``data``."""
    command = [sys.executable, __file__, "--db", db, "--data", str(data), *options]
    with (data / "served.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit((data / "served.log").read_text()[-3000:])
        yield Served(json.loads(line)["url"], process)
    finally:
        process.terminate()
        process.wait(_START_LIMIT_S)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", required=True, help="URL of a database that has been seeded")
    parser.add_argument("--data", type=Path, required=True, help="directory for folders")
    parser.add_argument("--images", type=int, default=200, help="images of the catalogue")
    parser.add_argument("--queue", action="store_true", help="let the queue run")
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()

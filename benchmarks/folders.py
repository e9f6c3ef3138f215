"""What a clone of a folder costs beside ``cp -a``, and whether the service answers meanwhile.

Run from the top of the repository: ``python benchmarks/folders.py [--where DIR]``.
Both copy the same tree, in turn, in the same run: 10,000 small files, and one file of 2 GB.
A clone is the whole job: row, process of its own, copy, rename, row. While either runs, another
folder is listed over and over by the process that looks after the jobs, so that both have the
same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hub_ext.db.connection import Database
from hub_ext.db.folder_models import FolderJobRow, FolderRow
from hub_ext.folders.access import Person
from hub_ext.folders.jobs import FolderJobs
from hub_ext.folders.storage import FolderStorage
from hub_ext.site import Policy

REPEATS = 5
FILES, FILE_BYTES = 10_000, 4_000
LARGE_BYTES = 2_000_000_000
LISTED = 200
"""Files in the folder that is listed meanwhile."""
USER = Person("u")
_PAUSE_S = 0.01


def fill_small(folder: Path) -> None:
    """10,000 files in 100 directories."""
    content = os.urandom(FILE_BYTES)
    for number in range(FILES):
        directory = folder / f"lesson-{number // 100}"
        directory.mkdir(exist_ok=True)
        (directory / f"sample-{number}.bin").write_bytes(content)


def fill_large(folder: Path) -> None:
    """One file of 2 GB, without holes."""
    piece = os.urandom(10_000_000)
    with (folder / "model.bin").open("wb") as file:
        for _ in range(LARGE_BYTES // len(piece)):
            file.write(piece)


class Bench:
    """One storage with its database, and a loop that runs jobs."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.database = Database(f"sqlite:///{where / 'apportion.sqlite'}")
        self.database.upgrade()
        self.storage = FolderStorage(where / "folders")
        self.storage.prepare()
        self.jobs = FolderJobs(self.database, self.storage, Policy())
        self.latencies_s: list[float] = []
        self.progress: set[tuple[int, int]] = set()

    def add_folder(self, state: str = "ready") -> str:
        """A folder's row; its directory when it is ready."""
        folder_id = uuid.uuid4().hex
        if state == "ready":
            self.storage.make(folder_id)
        with self.database.transaction() as db:
            db.add(
                FolderRow(
                    id=folder_id, owner="u", name=folder_id, state=state, created_at=time.time()
                )
            )
        return folder_id

    async def clone_s(self, source: str, listed: str) -> float:
        """Seconds from asking for the clone to its row being done."""
        target = self.add_folder("cloning")
        began = time.perf_counter()
        with self.database.transaction() as db:
            job_id = self.jobs.add_clone(db, folder_id=target, source_id=source, by=USER).id
        self.jobs.wake()
        while (job := self._job(job_id)).state == "running":
            self.progress.add((job.files_done, job.bytes_done))
            self.latencies_s.append(await self.list_s(listed))
        took = time.perf_counter() - began
        if job.state != "done":
            raise SystemExit(f"The clone {job.state}: {job.error}")
        shutil.rmtree(self.storage.path(target))
        return took

    async def cp_s(self, source: Path, listed: str) -> float:
        """Seconds of ``cp -a``."""
        target = self.where / "copied"
        began = time.perf_counter()
        cp = await asyncio.create_subprocess_exec("cp", "-a", str(source), str(target))
        while cp.returncode is None:
            await self.list_s(listed)
        took = time.perf_counter() - began
        shutil.rmtree(target)
        return took

    async def list_s(self, folder_id: str) -> float:
        """Seconds until the listing was there; then a short pause."""
        asked = time.perf_counter()
        await self.storage.list(folder_id)
        took = time.perf_counter() - asked
        await asyncio.sleep(_PAUSE_S)
        return took

    def _job(self, job_id: str) -> FolderJobRow:
        with self.database.transaction() as db:
            return db.get_one(FolderJobRow, job_id)


async def compare(bench: Bench, name: str, source: str) -> None:
    """Print one line: medians of both, their ratio, the listings meanwhile."""
    listed = bench.add_folder()
    for number in range(LISTED):
        (bench.storage.path(listed) / f"file-{number}").touch()
    path = bench.storage.path(source)
    await bench.cp_s(path, listed)
    bench.latencies_s.clear()
    bench.progress.clear()
    of_cp, of_clone = [], []
    for _ in range(REPEATS):
        # Neither pays for writing back what the other left in the page cache.
        os.sync()
        of_cp.append(await bench.cp_s(path, listed))
        os.sync()
        of_clone.append(await bench.clone_s(source, listed))
    cp, clone = statistics.median(of_cp), statistics.median(of_clone)
    p95 = statistics.quantiles(bench.latencies_s, n=20)[-1]
    print(
        f"{name:22} {cp:8.2f} {clone:8.2f} {clone / cp:7.2f} {1000 * p95:10.1f}"
        f" {len(bench.latencies_s):9} {len(bench.progress):9}",
        flush=True,
    )


async def run(where: Path) -> None:
    """Both trees."""
    bench = Bench(where)
    runner = asyncio.create_task(bench.jobs.run())
    print(f"medians of {REPEATS}, on {where}; the listing is of {LISTED} files")
    print(
        f"{'':22} {'cp -a s':>8} {'clone s':>8} {'ratio':>7} {'list p95 ms':>10}"
        f" {'listings':>9} {'progress':>9}"
    )
    for name, fill in (("10,000 files of 4 kB", fill_small), ("one file of 2 GB", fill_large)):
        source = bench.add_folder()
        fill(bench.storage.path(source))
        await compare(bench, name, source)
    runner.cancel()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--where", type=Path, help="Directory on the storage to be measured.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.where) as where:
        asyncio.run(run(Path(where)))


if __name__ == "__main__":
    main()

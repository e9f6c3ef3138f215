"""The size of a folder that has not been measured yet, where it has to be known at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hub_ext.folders.file_process import WorkFailed, run_file_work
from hub_ext.folders.storage import StorageError

if TYPE_CHECKING:  # the site holds the folders
    from hub_ext.site import Site


async def measure_now(site: Site, folder_id: str) -> None:
    """Fill in bytes and files of the row. Raises StorageError."""
    root = str(site.folders.storage.root)
    now = time.time()
    try:
        outcome = await run_file_work({"task": "measure", "root": root, "folders": [folder_id]})
    except WorkFailed as error:
        raise StorageError(f"The folder could not be measured: {error}") from error
    with site.database.transaction() as db:
        row = site.folders.get(db, folder_id)
        if row is not None and folder_id in outcome.results:
            row.used_bytes, row.used_files, _took_s = outcome.results[folder_id]
            row.measured_at = now

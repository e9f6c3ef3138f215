"""Local processes instead of containers: a trial on a machine without Docker.

It isolates nobody. A session's processes are found by their environment, which is
readable for the user who runs both the hub and the sessions.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from hub_ext.images.catalogue import CatalogueImage
from hub_ext.nodes.engine import Machine, SessionContainer

LOCAL_IMAGE = "local"
_MIB = 1024 * 1024


class ProcessEngine:
    """An Engine over /proc, for the processes of one deployment."""

    def __init__(self, deployment_id: str, proc: Path = Path("/proc")) -> None:
        self._deployment = f"APPORTION_DEPLOYMENT={deployment_id}".encode()
        self._proc = proc

    async def machine(self) -> Machine:
        """Cores and memory of this machine."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Machine((os.cpu_count() or 1) * 1000, memory // _MIB)

    async def images(self) -> list[CatalogueImage]:
        """The one environment there is: this Python's."""
        version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        return [
            CatalogueImage(
                reference=LOCAL_IMAGE,
                image_id=LOCAL_IMAGE,
                family="local",
                title="This machine's Python (no isolation: trial only)",
                version=version,
                description="A process on this machine instead of a container.",
                labelled=True,
            )
        ]

    async def containers(self) -> list[SessionContainer]:
        """The first process of every session that runs."""
        oldest: dict[str, SessionContainer] = {}
        for entry in self._proc.iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError):
                found = self._session(entry)
                if found is None:
                    continue
                known = oldest.get(found.session_id)
                if known is None or found.created_at < known.created_at:
                    oldest[found.session_id] = found
        return list(oldest.values())

    async def remove(self, container_id: str) -> None:
        """End the process group of a session's first process."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(os.getpgid(int(container_id)), signal.SIGTERM)

    def _session(self, entry: Path) -> SessionContainer | None:
        variables = (entry / "environ").read_bytes().split(b"\0")
        if self._deployment not in variables:
            return None
        prefix = b"APPORTION_SESSION_ID="
        session = next((text for text in variables if text.startswith(prefix)), None)
        if session is None:
            return None
        started = (entry / "stat").stat().st_ctime
        return SessionContainer(
            session_id=session.removeprefix(prefix).decode(),
            container_id=entry.name,
            running=True,
            created_at=min(started, time.time()),
        )

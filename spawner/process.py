"""Sessions as processes of the hub's own machine: a trial without Docker, which isolates nobody."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.spawner import SimpleLocalProcessSpawner, SpawnException
from traitlets import Unicode, default

from .grant import Grant
from .mixin import ApportionSpawnerMixin
from .own_server import hub_addresses

#: Where the session's home is mounted in a container; here it is the user's directory itself.
HOME_TARGET = "/home/work"


def refuse_unsafe(uid: int, addresses: list[str]) -> None:
    """Raise SpawnException for root and for any address but loopback.

    Processes share the machine's user, files and network: fit for one person trying things out.
    """
    if uid == 0:
        raise SpawnException(
            "Local processes isolate nobody and are not started by root. "
            "Use Docker, or run Apportion as an ordinary user.",
            reason="unsafe-root",
            status_code=403,
        )
    for address in addresses:
        if not _is_loopback(address):
            raise SpawnException(
                f"Local processes isolate nobody and serve this machine only, not {address}. "
                "Use Docker, or bind to 127.0.0.1.",
                reason="unsafe-bind",
                status_code=403,
            )


def link_folders(home: Path, grant: Grant) -> None:
    """Show the granted folders in ``home`` as links; never replaces a file of the user."""
    home.mkdir(parents=True, exist_ok=True)
    for mount in grant.mounts:
        inside = mount.target.removeprefix(HOME_TARGET + "/")
        if inside == mount.target:
            continue
        link = home / inside
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            link.unlink()
        if not link.exists():
            link.symlink_to(mount.source)


def home_of(grant: Grant) -> str:
    """The directory that a container would see as /home/work."""
    for mount in grant.mounts:
        if mount.target == HOME_TARGET:
            return mount.source
    raise SpawnException("The grant names no home folder.", reason="no-home", status_code=500)


class ApportionProcessSpawner(ApportionSpawnerMixin, SimpleLocalProcessSpawner):
    """Starts a granted session as a process of the hub's user, on loopback only."""

    public_bind_url = Unicode(
        help="""The URL at which users reach the hub; must be on loopback.

        Default: ``$APPORTION_BIND_URL``.
        """,
    ).tag(config=True)

    @default("cmd")
    def _default_cmd(self) -> list[str]:
        """Of the hub's own environment, whose commands need not be on the PATH."""
        return [sys.executable, "-m", "jupyterhub.singleuser"]

    @default("public_bind_url")
    def _default_public_bind_url(self) -> str:
        return os.environ.get("APPORTION_BIND_URL", "")

    async def run_pre_spawn_hook(self) -> None:
        """Refuse before anything is queued."""
        addresses = [self.ip or "127.0.0.1"]
        if self.public_bind_url:
            addresses.append(urlsplit(self.public_bind_url).hostname or "")
        refuse_unsafe(os.geteuid(), addresses)
        await super().run_pre_spawn_hook()

    async def launch_server(
        self, grant: Grant, announced: Callable[[], Awaitable[None]]
    ) -> tuple[str, int]:
        await announced()
        self.home_dir = home_of(grant)
        link_folders(Path(self.home_dir), grant)
        self._granted_env = dict(grant.env)
        ip, port = await super(ApportionSpawnerMixin, self).start()
        self.save_state()  # with the process's id: a hub killed now must find it again
        return str(ip), int(port)

    _granted_env: dict[str, str] = {}

    def get_env(self) -> dict[str, str]:
        """The grant's variables below the hub's own."""
        hub_env: dict[str, Any] = super().get_env()
        env = {**self._granted_env, **hub_env}
        if self.placement is not None:
            env["APPORTION_SESSION_ID"] = self.placement.session_id
            env.update(hub_addresses(hub_env, self.server_key))
        return env

    async def exit_reason(self) -> str | None:
        status = await self.poll()
        return None if status is None else f"The server ended with exit code {status}."

    async def stop_server(self, now: bool) -> None:
        if self.pid:
            await super(ApportionSpawnerMixin, self).stop(now=now)


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    return False

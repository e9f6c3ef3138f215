"""Sessions as containers of a Docker engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from dockerspawner import DockerSpawner
from jupyterhub.utils import url_path_join
from traitlets import Any as AnyTrait
from traitlets import Integer, default, observe

from .engine import Engine, EngineError, engine_for
from .grant import Grant
from .mixin import ApportionSpawnerMixin
from .objects import MIB, SESSION_PORT, container_config, container_environment, host_config
from .own_server import hub_addresses

LOG_LINES = 15


class ApportionDockerSpawner(ApportionSpawnerMixin, DockerSpawner):
    """Starts a granted session as a hardened container.

    What the container is comes from the grant alone (objects.py); DockerSpawner's own options for
    image, limits, volumes and extra settings have no say in it.
    """

    stop_grace = Integer(
        4,
        min=0,
        help="""Seconds between SIGTERM and SIGKILL when a session is stopped.

        Jupyter needs well under a second to shut its kernels down, and a kernel that traps the
        signal gets the rest to write its files. A stop never takes longer than this.
        """,
    ).tag(config=True)

    # Limits come from the grant. DockerSpawner would call a configured function at init, before
    # the user's options are known.
    mem_limit = AnyTrait(None, allow_none=True)
    cpu_limit = AnyTrait(None, allow_none=True)

    def __init__(self, **kwargs: Any) -> None:
        self._launch: asyncio.Task[tuple[str, int]] | None = None
        self._engine_is_silent = False
        super().__init__(**kwargs)

    # Engine

    @property
    def engine(self) -> Engine:
        """The engine of the session's node."""
        place = self.placement
        node, url = (place.node, place.engine_url) if place else ("", "")
        return engine_for(node, url, self.client_kwargs, self.tls_config)

    @property
    def client(self) -> Any:
        """docker-py's client of the session's node (DockerSpawner has one for its class)."""
        return self.engine.client

    async def docker(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call the engine of the session's node, on that engine's own threads."""
        return await self.engine.call(method, *args, **kwargs)

    @default("object_name")
    def _default_object_name(self) -> str:
        return self.placement.container_name if self.placement else ""

    @observe("image")
    def _image_changed(self, change: Any) -> None:
        """Unlike DockerSpawner's, renders no name: text that users choose is no template."""

    # Launch

    async def launch_server(
        self, grant: Grant, announced: Callable[[], Awaitable[None]]
    ) -> tuple[str, int]:
        # An engine call cannot be cancelled: the launch runs on, and stop_server waits for it.
        self._launch = asyncio.ensure_future(self._create_and_start(grant, announced))
        return await asyncio.shield(self._launch)

    async def _create_and_start(
        self, grant: Grant, announced: Callable[[], Awaitable[None]]
    ) -> tuple[str, int]:
        self.image = grant.image
        self.object_name = grant.container_name
        self.mem_limit = grant.memory_mib * MIB
        self.cpu_limit = grant.cpu_milli / 1000
        hub_env = self.get_env()
        env = container_environment(grant, hub_env, hub_addresses(hub_env, self.server_key))
        config = container_config(grant, env, self._command())
        self.object_id = await self._create(config, host_config(grant))
        self.stopwatch.mark("create")
        await announced()
        self.stopwatch.mark("announce")
        await self.docker("start", self.object_id)
        address = await self._address()
        self.stopwatch.mark("container")
        return address, SESSION_PORT

    async def _create(self, config: dict[str, Any], host: dict[str, Any]) -> str:
        try:
            return str(await self.docker("create", config, host))
        except EngineError as e:
            if not e.conflict:
                raise
        # left over from a start of this same session that a killed hub did not finish
        self.log.warning("Removing the leftover container %s", config["name"])
        await self._remove(config["name"])
        return str(await self.docker("create", config, host))

    def _command(self) -> list[str] | None:
        """None for the image's own command, unless the site configured another."""
        command = [*(self.cmd or []), *self.get_args()]
        return command if self.cmd else None

    async def _address(self) -> str:
        container = await self.docker("inspect_container", self.object_id)
        networks = container["NetworkSettings"]["Networks"]
        network = self.placement.network if self.placement else ""
        chosen: dict[str, Any] = networks.get(network) or next(iter(networks.values()), {})
        address = chosen.get("IPAddress", "")
        if not address:
            raise EngineError(0, _end_of(container["State"]) or "the container has no address")
        return str(address)

    async def get_url(self) -> str:
        """Where the server is, for a hub that restarted while it was starting."""
        if self.placement is None or not self.server:
            return str(self.server.url)
        try:
            ip = await self._address()
        except EngineError as e:
            self.log.warning("Keeping the known address of %s: %s", self._log_name, e)
            return str(self.server.url)
        return str(url_path_join(f"http://{ip}:{SESSION_PORT}", self.server.base_url))

    # Look

    async def poll(self) -> str | None:
        """None while the server waits, runs, or cannot be seen; else how it ended.

        Only an engine that answers can say that a container is dead: an error or silence is
        never an end, or a hiccup of the engine would close every session on it.
        """
        if self.stage == "waiting" or (self._launch and not self._launch.done()):
            return None
        if not self.object_name:
            return "not started"
        try:
            container = await self.docker("inspect_container", self.object_name)
        except EngineError as e:
            if e.not_found:
                return "the container is gone"
            self._note_silence(e)
            return None
        self._engine_is_silent = False
        self.object_id = container["Id"]
        if container["State"].get("Status") == "created" and self._launch is None:
            # a hub was killed between create and start: nobody will start this one
            return "the container was never started"
        end = _end_of(container["State"])
        if end is not None and self.stage == "running" and self._outcome is None:
            self._outcome = ("TERMINATED" if end == STOPPED_CLEANLY else "ERROR", end)
        return end

    async def exit_reason(self) -> str | None:
        try:
            container = await self.docker("inspect_container", self.object_id)
        except EngineError as e:
            return "The container was removed while it started." if e.not_found else None
        end = _end_of(container["State"])
        return None if end is None else f"{end} {await self._last_lines()}".strip()

    async def _last_lines(self) -> str:
        with contextlib.suppress(EngineError):
            log = await self.docker("logs", self.object_id, tail=LOG_LINES)
            return f"Its last lines: {log.decode('utf-8', 'replace').strip()[-1500:]}"
        return ""

    def _note_silence(self, error: EngineError) -> None:
        if not self._engine_is_silent:
            self._engine_is_silent = True
            self.log.warning("Keeping %s as running: %s", self._log_name, error)

    def report_details(self) -> dict[str, str]:
        return {"container_id": self.object_id} if self.object_id else {}

    # Stop

    async def stop_server(self, now: bool) -> None:
        """SIGTERM, a short grace, SIGKILL; then remove the container and its anonymous volumes."""
        await self._settle_launch()
        if not self.object_name:
            return
        served = self.stage == "running"
        if served and not now:
            try:
                await self.docker("stop", self.object_name, timeout=self.stop_grace)
            except EngineError as e:
                if not e.not_found:
                    raise
        await self._remove(self.object_name)
        self.object_id = ""
        self.object_name = ""

    async def discard_server(self) -> None:
        """A container that ended by itself stays until here, for its log and exit code."""
        await self._settle_launch()
        if self.object_name and self.placement is not None and self._ours_to_remove():
            await self._remove(self.object_name)
        self.object_id = ""
        self.object_name = ""

    def _ours_to_remove(self) -> bool:
        """Not a container that a restarted hub found but never took over."""
        return self._launch is not None or self.stage == "running"

    async def _settle_launch(self) -> None:
        if self._launch is not None and not self._launch.done():
            await asyncio.wait([self._launch])

    async def _remove(self, name: str) -> None:
        try:
            await self.docker("remove_container", name, v=True, force=True)
        except EngineError as e:
            if not (e.not_found or e.conflict):  # conflict: a removal is already in progress
                raise

    # DockerSpawner's own state keys are replaced by the mixin's placement

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        if self.placement is not None:
            self.object_name = self.placement.container_name


STOPPED_CLEANLY = "The server stopped."


def _end_of(state: dict[str, Any]) -> str | None:
    """How a container ended, in words, or None while it lives."""
    if state.get("Running") or state.get("Status") in ("created", "restarting", "paused"):
        return None
    if state.get("OOMKilled"):
        return "The server used more memory than its limit and was ended."
    code = state.get("ExitCode", 0)
    if code == 0:
        return STOPPED_CLEANLY
    error = f": {state['Error']}" if state.get("Error") else ""
    return f"The server ended with exit code {code}{error}."

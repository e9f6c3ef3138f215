"""The local Docker Engine, through docker-py on a small thread pool."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import docker
import docker.errors
import requests.exceptions

from hub_ext.images.catalogue import CatalogueImage, list_images
from hub_ext.nodes.docker_images import DockerImages
from hub_ext.nodes.engine import EngineRefused, EngineUnavailable, Machine, SessionContainer

SESSION_LABEL = "org.apportion.session"
DEPLOYMENT_LABEL = "org.apportion.deployment"

_T = TypeVar("_T")
_MIB = 1024 * 1024
_NVIDIA_HOOK = "nvidia-container-runtime-hook"
_TOOLKIT = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit"


class DockerEngine:
    """An Engine over one Docker daemon. Calls are bounded by ``timeout`` seconds.

    Raises EngineUnavailable when the daemon gives no answer, EngineRefused when it gives an
    error.
    """

    def __init__(self, deployment_id: str, *, url: str = "", timeout: int = 20) -> None:
        self.deployment_id = deployment_id
        self._url = url
        self._timeout = timeout
        self._client: Any = None
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="docker")

    @cached_property
    def image_store(self) -> DockerImages:
        """Its images, for what takes long: a client of its own."""
        return DockerImages(self._url)

    async def machine(self) -> Machine:
        """Cores, memory and runtimes that the daemon reports."""
        info = await self._call(lambda client: client.info())
        return Machine(info["NCPU"] * 1000, info["MemTotal"] // _MIB, runtime_problem(info))

    async def images(self) -> list[CatalogueImage]:
        """The catalogue of this daemon."""
        return await self._call(list_images)

    async def containers(self) -> list[SessionContainer]:
        """Containers with this deployment's label."""
        label = f"{DEPLOYMENT_LABEL}={self.deployment_id}"
        found = await self._call(
            lambda client: client.api.containers(all=True, filters={"label": [label]})
        )
        return [_container(entry) for entry in found if SESSION_LABEL in entry["Labels"]]

    async def remove(self, container_id: str) -> None:
        """Remove by id, with force."""

        def remove(client: docker.DockerClient) -> None:
            try:
                client.api.remove_container(container_id, force=True, v=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != 409:  # 409: its removal is already under way
                    raise

        await self._call(remove)

    async def log(self, container_id: str, tail: int, since_s: int = 0) -> bytes | None:
        """What its processes print; the engine keeps some megabytes of it (LOG_LIMITS)."""

        def read(client: docker.DockerClient) -> bytes | None:
            since = {"since": since_s} if since_s else {}
            try:
                printed = client.api.logs(container_id, timestamps=True, tail=tail, **since)
            except docker.errors.NotFound:
                return None
            return bytes(printed)

        return await self._call(read)

    async def _call(self, work: Callable[[Any], _T]) -> _T:
        """Run blocking ``work`` with the client. Raises EngineUnavailable."""

        def run() -> _T:
            if self._client is None:
                self._client = (
                    docker.DockerClient(self._url, timeout=self._timeout, version="auto")
                    if self._url
                    else docker.from_env(timeout=self._timeout, version="auto")
                )
            return work(self._client)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, run)
        except docker.errors.APIError as error:
            raise EngineRefused(f"Docker says: {error.explanation or error}") from error
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise EngineUnavailable(f"Docker does not answer: {error}") from error


def runtime_problem(info: Mapping[str, Any]) -> str:
    """Why a daemon with this ``docker info`` cannot hand NVIDIA GPUs on; "" when it can.

    It can with NVIDIA's runtime, or when it has found NVIDIA's hook on its PATH, which it does
    not report: of a daemon on this machine the PATH is taken to be ours.
    """
    if "nvidia" in (info.get("Runtimes") or {}) or shutil.which(_NVIDIA_HOOK):
        return ""
    return f"Docker has no NVIDIA runtime; see {_TOOLKIT}"


def _container(entry: dict[str, Any]) -> SessionContainer:
    return SessionContainer(
        session_id=entry["Labels"][SESSION_LABEL],
        container_id=entry["Id"],
        running=entry["State"] in {"running", "paused", "restarting"},
        created_at=float(entry["Created"]),
    )

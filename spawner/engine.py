"""Connections to the Docker engines of the nodes.

DockerSpawner keeps one client and a one-thread pool for its whole class, so that one user's slow
call holds up everybody. Here every engine has its own client and its own pool.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

#: A stop blocks its thread until the server is gone; polls and starts must not queue behind it.
THREADS_PER_ENGINE = 32


class EngineError(Exception):
    """The engine refused or failed; ``status`` is its HTTP status, 0 if it was not reachable."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def not_found(self) -> bool:
        return self.status == 404

    @property
    def conflict(self) -> bool:
        return self.status == 409


class Engine:
    """One Docker engine: its client, made at first use, and its threads."""

    def __init__(self, node: str, client_kwargs: Mapping[str, Any]) -> None:
        self.node = node
        self._kwargs = dict(client_kwargs)
        self._pool = ThreadPoolExecutor(
            THREADS_PER_ENGINE, thread_name_prefix=f"engine-{node or 'local'}"
        )
        self._client: Any = None
        self._lock = threading.Lock()

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of docker-py's APIClient on this engine's pool; raises EngineError.

        A call cannot be taken back: if the caller is cancelled, it still runs to its end.
        """
        future = self._pool.submit(self._blocking_call, method, args, kwargs)
        return await asyncio.wrap_future(future)

    def host_config(self, **kwargs: Any) -> Any:
        """Build a host config for this engine's API version (needs a client already made)."""
        return self._client.create_host_config(**kwargs)

    def create(self, container: dict[str, Any], host: dict[str, Any]) -> str:
        """Create a container and return its id (blocking; used through ``call``)."""
        client = self.client
        return str(
            client.create_container(host_config=client.create_host_config(**host), **container)[
                "Id"
            ]
        )

    @property
    def client(self) -> Any:
        """The docker-py APIClient; the first use asks the engine for its API version."""
        with self._lock:
            if self._client is None:
                self._client = docker.APIClient(**self._kwargs)
            return self._client

    def _blocking_call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            if method == "create":
                return self.create(*args, **kwargs)
            return getattr(self.client, method)(*args, **kwargs)
        except APIError as e:
            raise EngineError(e.status_code or 0, str(e.explanation or e)) from e
        except (DockerException, requests.RequestException, OSError) as e:
            raise EngineError(0, f"node {self.node or 'local'} does not answer: {e}") from e


_engines: dict[tuple[str, str], Engine] = {}


def engine_for(
    node: str, engine_url: str, client_kwargs: Mapping[str, Any], tls_config: Mapping[str, Any]
) -> Engine:
    """The shared connection to a node's engine; ``engine_url`` "" is the local default."""
    key = (node, engine_url)
    if key not in _engines:
        kwargs: dict[str, Any] = {
            "version": "auto",
            "max_pool_size": THREADS_PER_ENGINE,
            **kwargs_from_env(),
            **client_kwargs,
        }
        if engine_url:
            kwargs["base_url"] = engine_url
        if tls_config:
            kwargs["tls"] = docker.tls.TLSConfig(**tls_config)
        _engines[key] = Engine(node, kwargs)
    return _engines[key]

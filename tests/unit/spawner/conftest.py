"""A queue service to break, and spawners that ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from imaginary_spawner import ImaginarySpawner
from queue_service import TOKEN, QueueService
from server_driver import Server

from spawner.service_client import ServiceClient


@pytest.fixture
async def queue() -> AsyncIterator[QueueService]:
    service = QueueService()
    service.start()
    yield service
    await service.stop()


@pytest.fixture
async def client(queue: QueueService) -> AsyncIterator[ServiceClient]:
    client = ServiceClient(queue.url, TOKEN, request_timeout_s=5)
    yield client
    client.close()


@pytest.fixture
def make_spawner(queue: QueueService) -> Callable[..., ImaginarySpawner]:
    def make(user: str = "ann", server_name: str = "", **kwargs: Any) -> ImaginarySpawner:
        spawner = ImaginarySpawner(
            user=SimpleNamespace(name=user, groups=[], admin=False),
            hub=SimpleNamespace(api_url="http://hub:8081/hub/api"),
            orm_spawner=None,
            service_url=queue.url,
            service_token=TOKEN,
            poll_interval=0,
            **kwargs,
        )
        type(spawner).name = property(lambda self: self.__dict__.get("_test_name", ""))
        type(spawner).display_name = property(lambda self: self.__dict__.get("_test_name", ""))
        spawner.__dict__["_test_name"] = server_name
        spawner.server = SimpleNamespace(base_url=f"/user/{user}/")
        spawner.launch_options = {"image": "apportion/base:test"}
        return spawner

    return make


@pytest.fixture
def make_server(
    make_spawner: Callable[..., ImaginarySpawner], queue: QueueService
) -> Callable[..., Server]:
    """Servers, driven as the hub does."""
    return lambda user="ann", **kwargs: Server(make_spawner(user, **kwargs), queue)


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """Ann's default server."""
    return make_server()

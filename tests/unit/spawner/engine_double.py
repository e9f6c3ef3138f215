"""An engine that keeps containers in a dict and can be slow, silent or sick."""

from __future__ import annotations

import asyncio
from typing import Any

from spawner.engine import EngineError


class EngineDouble:
    """``containers`` by name; ``calls`` in order; ``error`` is raised by every call."""

    def __init__(self) -> None:
        self.containers: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.error: EngineError | None = None
        self.create_gate: asyncio.Event | None = None

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(method)
        if self.error is not None:
            raise self.error
        return await getattr(self, f"_{method}")(*args, **kwargs)

    def find(self, name: str) -> dict[str, Any]:
        for container in self.containers.values():
            if name in (container["Name"], container["Id"]):
                return container
        raise EngineError(404, f"No such container: {name}")

    async def _create(self, config: dict[str, Any], host: dict[str, Any]) -> str:
        if self.create_gate is not None:
            await self.create_gate.wait()
        name = config["name"]
        if name in self.containers:
            raise EngineError(409, f"The container name {name} is already in use")
        self.containers[name] = {
            "Id": f"id-{len(self.calls)}",
            "Name": name,
            "State": {"Status": "created", "Running": False},
            "NetworkSettings": {"Networks": {"apportion-test": {"IPAddress": "172.30.0.2"}}},
            "config": config,
            "host": host,
        }
        return str(self.containers[name]["Id"])

    async def _start(self, name: str) -> None:
        self.find(name)["State"] = {"Status": "running", "Running": True}

    async def _inspect_container(self, name: str) -> dict[str, Any]:
        return self.find(name)

    async def _stop(self, name: str, timeout: int) -> None:  # noqa: ASYNC109 - docker-py has it
        self.find(name)["State"] = {"Status": "exited", "Running": False, "ExitCode": 143}

    async def _logs(self, name: str, tail: int) -> bytes:
        self.find(name)
        return b"ModuleNotFoundError: No module named 'jupyterlab'\n"

    async def _remove_container(self, name: str, v: bool, force: bool) -> None:
        del self.containers[self.find(name)["Name"]]

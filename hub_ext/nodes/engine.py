"""What the service asks of a container engine, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hub_ext.images.catalogue import CatalogueImage


@dataclass(frozen=True, slots=True)
class Machine:
    """Size of a node: milli-CPU and MiB that sessions may book."""

    cpu_milli: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class SessionContainer:
    """A container (or process) that says it belongs to a session."""

    session_id: str
    container_id: str
    running: bool
    created_at: float


class EngineUnavailable(Exception):
    """The engine gave no answer: nothing may be concluded about its containers."""


class EngineRefused(Exception):
    """The engine answered with an error about this one thing."""


class Engine(Protocol):
    """One node's engine. Every call may raise EngineUnavailable or EngineRefused."""

    async def machine(self) -> Machine:
        """How large the node is."""
        ...

    async def images(self) -> list[CatalogueImage]:
        """The images that sessions can be started from."""
        ...

    async def containers(self) -> list[SessionContainer]:
        """The containers of this deployment, running or not."""
        ...

    async def remove(self, container_id: str) -> None:
        """Remove a container, running or not; silently when it is gone."""
        ...

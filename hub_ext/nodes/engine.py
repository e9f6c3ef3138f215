"""What the service asks of a container engine, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from hub_ext.images.catalogue import CatalogueImage


@dataclass(frozen=True, slots=True)
class Machine:
    """Size of a node: milli-CPU and MiB that sessions may book.

    gpu_problem: why containers cannot be given its GPUs; "" when they can.
    """

    cpu_milli: int
    memory_mib: int
    gpu_problem: str = ""


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


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """A container as it is now; ``image_id``: of the image that it was made from."""

    running: bool
    paused: bool
    image_id: str


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image of the engine: its layers from the lowest, as digests of their tar files.

    ``config``: what containers of it inherit. ``size_bytes``: with its parents.
    """

    image_id: str
    layers: tuple[str, ...]
    config: Mapping[str, Any]
    size_bytes: int

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.config.get("Labels") or {}


@dataclass(frozen=True, slots=True)
class Change:
    """A path that a container has changed: ``kind`` is changed, added or deleted."""

    kind: str
    path: str


class ImageStore(Protocol):
    """Images of an engine, as far as saving sessions needs them.

    Every call blocks, some for minutes; and each may raise EngineUnavailable or EngineRefused.
    """

    def container(self, container_id: str) -> ContainerFacts | None:
        """None when it is gone."""
        ...

    def written(self, container_id: str) -> tuple[int, list[Change]]:
        """Bytes that a container has written on top of its image, and the paths."""
        ...

    def commit(
        self, container_id: str, repository: str, tag: str, labels: Mapping[str, str]
    ) -> None:
        """Make an image of it, secrets and all. It is paused meanwhile, by the engine alone:
        when we die, it goes on."""
        ...

    def unpause(self, container_id: str) -> None:
        """Silently when it is not paused."""
        ...

    def image(self, reference: str) -> ImageFacts | None:
        """By name or id; None when there is none."""
        ...

    def labelled(self, label: str) -> list[str]:
        """Ids of images with this label (``name=value``), without a name too."""
        ...

    def export(self, image_id: str) -> Iterator[bytes]:
        """A tar file of its layers and configuration."""
        ...

    def load(self, archive: Iterable[bytes]) -> None:
        """Take in such a file."""
        ...

    def needs_every_layer(self) -> bool:
        """Whether ``load`` wants also the layers that the engine has."""
        ...

    def remove_image(self, reference: str) -> None:
        """By name or id; silently when it is gone. Its parents stay."""
        ...

    def push(self, reference: str, progress: Callable[[float], None]) -> None:
        """To the registry in its name, with the engine's credentials; progress from 0 to 1."""
        ...


@runtime_checkable
class LoggingEngine(Protocol):
    """An engine that keeps what its sessions print."""

    async def log(self, container_id: str, tail: int, since_s: int = 0) -> bytes | None:
        """The last lines of standard output and error, each after its time (RFC 3339, UTC).

        since_s: none from before this Unix time. None: the container is gone.
        """
        ...


@runtime_checkable
class SavingEngine(Protocol):
    """An engine whose sessions can become images."""

    @property
    def image_store(self) -> ImageStore:
        """Its images."""
        ...

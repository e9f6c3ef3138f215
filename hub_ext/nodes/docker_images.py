"""Images of the local Docker Engine: commit, export, load, push. Every call blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from typing import Any

import docker
import docker.errors
import requests.exceptions

from hub_ext.images.catalogue import split_reference
from hub_ext.nodes.engine import (
    Change,
    ContainerFacts,
    EngineRefused,
    EngineUnavailable,
    ImageFacts,
)

_CHUNK = 1024 * 1024
_PATIENCE_S = 3600
"""How long the engine may be silent; a commit of many GB says nothing until it is done."""
_KINDS = {0: "changed", 1: "added", 2: "deleted"}
_NO_CREDENTIALS = "Credentials store error"
"""Begins what docker-py says of a docker-credential-* program that fails or is missing."""
_CONTAINERD = "io.containerd.snapshotter.v1"


class DockerImages:
    """An ImageStore over one Docker daemon."""

    def __init__(self, url: str = "") -> None:
        self._url = url

    @cached_property
    def _client(self) -> Any:
        return self._connect()

    def _connect(self) -> Any:
        if self._url:
            return docker.DockerClient(self._url, timeout=_PATIENCE_S, version="auto")
        return docker.from_env(timeout=_PATIENCE_S, version="auto")

    def container(self, container_id: str) -> ContainerFacts | None:
        """Running, paused, made from what."""
        with _explained():
            try:
                found = self._client.api.inspect_container(container_id)
            except docker.errors.NotFound:
                return None
        state = found["State"]
        return ContainerFacts(bool(state["Running"]), bool(state["Paused"]), found["Image"])

    def written(self, container_id: str) -> tuple[int, list[Change]]:
        """Its writable layer: size and changes."""
        with _explained():
            listed = self._client.api.containers(all=True, size=True, filters={"id": container_id})
            changes = self._client.api.diff(container_id) or []
        kinds = ((_KINDS.get(change["Kind"], "changed"), change["Path"]) for change in changes)
        size = sum(int(entry.get("SizeRw") or 0) for entry in listed)
        return size, [Change(kind, path) for kind, path in kinds]

    def commit(
        self, container_id: str, repository: str, tag: str, labels: Mapping[str, str]
    ) -> None:
        """With the engine's own pause, which ends with the commit whatever becomes of us."""
        changes = [f"LABEL {name}={value}" for name, value in labels.items()]
        with _explained():
            self._client.api.commit(
                container_id, repository=repository, tag=tag, pause=True, changes=changes
            )

    def unpause(self, container_id: str) -> None:
        """Let it go on."""
        facts = self.container(container_id)
        if facts is not None and facts.paused:
            with _explained():
                self._client.api.unpause(container_id)

    def image(self, reference: str) -> ImageFacts | None:
        """Layers, configuration, size."""
        with _explained():
            try:
                found = self._client.api.inspect_image(reference)
            except docker.errors.NotFound:
                return None
        layers = tuple((found.get("RootFS") or {}).get("Layers") or ())
        return ImageFacts(found["Id"], layers, found.get("Config") or {}, int(found["Size"]))

    def labelled(self, label: str) -> list[str]:
        """Ids, with and without a name."""
        with _explained():
            found = self._client.api.images(all=True, filters={"label": [label]})
        return [entry["Id"] for entry in found]

    def export(self, image_id: str) -> Iterator[bytes]:
        """What ``docker save`` writes."""
        with _explained():
            yield from self._client.api.get_image(image_id, chunk_size=_CHUNK)

    def load(self, archive: Iterable[bytes]) -> None:
        """Raises EngineRefused with the line that the engine ends with."""
        with _explained():
            _follow(self._client.api.load_image(archive, quiet=True))

    def needs_every_layer(self) -> bool:
        """The containerd store takes nothing from what it has by the digest of a tar file."""
        with _explained():
            status = self._client.api.info().get("DriverStatus") or []
        return any(_CONTAINERD in pair for pair in status)

    def remove_image(self, reference: str) -> None:
        """Without the parents that have lost their names: containers may come from them."""
        with _explained():
            try:
                self._client.api.remove_image(reference, noprune=True)
            except docker.errors.NotFound:
                return

    def push(self, reference: str, progress: Callable[[float], None]) -> None:
        """Credentials are those of ``docker login`` in the service's account, as of now: each
        client reads them once."""
        repository, tag = split_reference(reference)
        done: dict[str, float] = {}
        with _explained(), closing(self._connect()) as client:
            stream = client.api.push(repository, tag=tag, stream=True, decode=True)
            for line in _without_error(stream):
                layer, status = str(line.get("id", "")), line.get("status", "")
                if status in {"Preparing", "Waiting"}:
                    done.setdefault(layer, 0.0)
                elif status in {"Pushed", "Layer already exists"}:
                    done[layer] = 1.0
                elif status == "Pushing":
                    detail = line.get("progressDetail") or {}
                    total = int(detail.get("total") or 0)
                    done[layer] = min(1.0, detail.get("current", 0) / total) if total else 0.0
                if done:
                    progress(sum(done.values()) / len(done))


def _follow(stream: Any) -> None:
    for _line in _without_error(stream):
        continue


def _without_error(stream: Any) -> Iterator[Mapping[str, Any]]:
    """The engine's lines. Raises EngineRefused at one that tells of an error."""
    for raw in stream:
        line = raw if isinstance(raw, Mapping) else json.loads(raw)
        if "error" in line:
            raise EngineRefused(f"Docker says: {_discreet(str(line['error']))}")
        yield line


@contextmanager
def _explained() -> Iterator[None]:
    """Errors of docker-py as those of an Engine; none with a password in it."""
    try:
        yield
    except docker.errors.APIError as error:
        raise EngineRefused(f"Docker says: {_discreet(str(error.explanation or error))}") from error
    except docker.errors.DockerException as error:
        if str(error).startswith(_NO_CREDENTIALS):
            raise EngineRefused(
                "The helper that keeps the passwords of `docker login` in the account of the"
                f" service does not answer: {_discreet(str(error))}"
            ) from error
        raise EngineUnavailable(f"Docker does not answer: {_discreet(str(error))}") from error
    except requests.exceptions.RequestException as error:
        raise EngineUnavailable(f"Docker does not answer: {_discreet(str(error))}") from error


def _discreet(text: str) -> str:
    """Without the user and password of a URL."""
    return re.sub(r"//[^/@\s]+@", "//", text)[:1000]

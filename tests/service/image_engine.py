"""An engine in memory that keeps images as Docker 20.10 does, and can die at any call."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub_ext.images.catalogue import CatalogueImage, images_of_entry
from hub_ext.nodes.engine import Change, ContainerFacts, EngineRefused, ImageFacts
from tests.service.conftest import IMAGE, RoomyEngine

TOKEN = "3f0c9a-token-of-this-session"
PARENT_ENV = ["PATH=/opt/apportion/bin", "MLFLOW_TRACKING_URI=sqlite:////home/work/m.db"]


class Killed(Exception):
    """The service died here."""


@dataclass
class StoredImage:
    """Names, layers as tar files, and the whole configuration."""

    names: list[str]
    layers: list[bytes]
    config: dict[str, Any]

    @property
    def id(self) -> str:
        return digest(json.dumps(self.config).encode())


@dataclass
class StoredContainer:
    """A container with the files of its own layer."""

    image: str
    env: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    running: bool = True
    paused: bool = False


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def files_of(layer: bytes) -> dict[str, bytes]:
    """The files of a layer."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return {
            entry.name: content.read()
            for entry in archive
            if (content := archive.extractfile(entry)) is not None
        }


class MemoryImages:
    """An ImageStore. ``dies_at``: the number of the call, from 1, at which the service dies;
    ``after``: when the engine has done its part."""

    def __init__(self) -> None:
        self.images: list[StoredImage] = []
        self.containers: dict[str, StoredContainer] = {}
        self.calls: list[str] = []
        self.pushed: list[str] = []
        self.registry_problem = ""
        self.dies_at, self.after = 0, False

    def _call(self, name: str, work: Callable[[], Any]) -> Any:
        self.calls.append(name)
        dies = len(self.calls) == self.dies_at
        if dies and not self.after:
            raise Killed(name)
        result = work()
        if dies:
            raise Killed(name)
        return result

    def find(self, reference: str) -> StoredImage | None:
        found = (image for image in self.images if reference in (*image.names, image.id))
        return next(found, None)

    def container(self, container_id: str) -> ContainerFacts | None:
        def look() -> ContainerFacts | None:
            found = self.containers.get(container_id)
            if found is None:
                return None
            return ContainerFacts(found.running, found.paused, found.image)

        result: ContainerFacts | None = self._call("container", look)
        return result

    def written(self, container_id: str) -> tuple[int, list[Change]]:
        files = self.containers[container_id].files
        changes = [Change("added", f"/{name}") for name in files]
        return sum(map(len, files.values())), changes

    def commit(
        self, container_id: str, repository: str, tag: str, labels: Mapping[str, str]
    ) -> None:
        def commit() -> None:
            container = self.containers[container_id]
            parent = self.find(container.image)
            assert parent is not None
            config = json.loads(json.dumps(parent.config))
            layer = tar_of(container.files)
            inherited = config["config"]["Labels"]
            config["config"] |= {"Env": container.env, "Labels": inherited | dict(labels)}
            config["rootfs"]["diff_ids"].append(digest(layer))
            config["history"].append({"created_by": f"start {TOKEN}"})
            config["container_config"] = {"Env": container.env}
            name = f"{repository}:{tag}"
            for image in self.images:
                image.names = [each for each in image.names if each != name]
            self.images.append(StoredImage([name], [*parent.layers, layer], config))

        self._call("commit", commit)

    def unpause(self, container_id: str) -> None:
        self.containers[container_id].paused = False

    def image(self, reference: str) -> ImageFacts | None:
        def look() -> ImageFacts | None:
            found = self.find(reference)
            if found is None:
                return None
            layers = tuple(found.config["rootfs"]["diff_ids"])
            size = sum(map(len, found.layers))
            return ImageFacts(found.id, layers, found.config["config"], size)

        result: ImageFacts | None = self._call("image", look)
        return result

    def labelled(self, label: str) -> list[str]:
        name, _, value = label.partition("=")

        def look() -> list[str]:
            return [i.id for i in self.images if i.config["config"]["Labels"].get(name) == value]

        result: list[str] = self._call("labelled", look)
        return result

    def export(self, image_id: str) -> Iterator[bytes]:
        found = self._call("export", lambda: self.find(image_id))
        files = {f"{number}/layer.tar": layer for number, layer in enumerate(found.layers)}
        manifest = [{"Config": "config.json", "RepoTags": None, "Layers": list(files)}]
        files["config.json"] = json.dumps(found.config).encode()
        files["manifest.json"] = json.dumps(manifest).encode()
        content = tar_of(files)
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    def load(self, archive: Iterable[bytes]) -> None:
        def load() -> None:
            files = files_of(b"".join(archive))
            (manifest,) = json.loads(files["manifest.json"])
            config = json.loads(files[manifest["Config"]])
            known = {digest(layer): layer for image in self.images for layer in image.layers}
            known |= {digest(content): content for content in files.values()}
            layers = [known[each] for each in config["rootfs"]["diff_ids"]]
            for image in self.images:
                image.names = [n for n in image.names if n not in manifest["RepoTags"]]
            self.images.append(StoredImage(manifest["RepoTags"], layers, config))

        self._call("load", load)

    def needs_every_layer(self) -> bool:
        return False

    def remove_image(self, reference: str) -> None:
        def remove() -> None:
            self.images = [i for i in self.images if reference not in (*i.names, i.id)]

        self._call("remove_image", remove)

    def push(self, reference: str, progress: Callable[[float], None]) -> None:
        def push() -> None:
            if self.registry_problem:
                raise EngineRefused(self.registry_problem)
            progress(0.5)
            self.pushed.append(reference)

        self._call("push", push)


class ImageEngine(RoomyEngine):
    """A node with the base image and no container."""

    def __init__(self) -> None:
        super().__init__()
        self.image_store = MemoryImages()
        layer = tar_of({"bin/sh": b"shell"})
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Env": PARENT_ENV,
                "Cmd": ["start-singleuser"],
                "Labels": {
                    "org.apportion.family": "base",
                    "org.apportion.title": "Base",
                    "org.apportion.min-memory": "512",
                    "org.apportion.source": "0" * 64,
                },
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
            "history": [{"created_by": "base"}],
        }
        self.parent = StoredImage([IMAGE.reference], [layer], config)
        self.image_store.images.append(self.parent)

    async def images(self) -> list[CatalogueImage]:
        entries = (
            {"Id": image.id, "RepoTags": image.names, "Labels": image.config["config"]["Labels"]}
            for image in self.image_store.images
        )
        return [found for entry in entries for found in images_of_entry(entry)]

    def start(self, container_id: str, files: Mapping[str, bytes]) -> None:
        """A container of the base image, told secrets."""
        env = [*PARENT_ENV, f"JUPYTERHUB_API_TOKEN={TOKEN}", "MEM_LIMIT=2147483648"]
        self.image_store.containers[container_id] = StoredContainer(
            self.parent.id, env, dict(files)
        )

"""Installs an image's packages in a container that has this machine's mirrors and trust.

The container is committed to a hidden image, from which the Dockerfile copies the finished
environment. Its own layers, with whatever they hold of this machine, are thrown away.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker.errors

from hub_ext.images.catalogue import HIDDEN_LABEL
from hub_ext.images.command import Say
from hub_ext.images.failure import explain
from hub_ext.images.recipes import PREBUILT, REPOSITORY, Recipe, files_below, inputs
from hub_ext.images.site import SITE_DIRECTORY, SiteSettings

CACHE_VOLUME = "apportion-pip-cache"
"""Downloads, kept between builds in a Docker volume."""
_TAIL = 300


def stage_reference(recipe: Recipe, source: str) -> str:
    """The hidden image that holds the finished environment of ``recipe``."""
    name = recipe.name.replace(":", "-").replace("/", "-")
    return f"{REPOSITORY}/build:{name}-{source[:12]}"


def install_packages(
    client: Any,
    recipe: Recipe,
    parent: str,
    site: SiteSettings,
    stage: str,
    say: Say,
    *,
    extension: Path | None = None,
) -> None:
    """Run images/install.sh on ``parent`` and tag the result ``stage``.

    ``extension``: the folder of the prebuilt JupyterLab extension, if the recipe gets one.
    The network is the machine's own, since a mirror may listen on it alone. Raises
    ImageBuildError when the script fails, and what docker-py raises.
    """
    name = stage.replace("/", "-").replace(":", "-")
    with contextlib.suppress(docker.errors.NotFound):
        client.api.remove_container(name, force=True, v=True)  # left by a build that was killed
    container = client.containers.create(
        parent,
        entrypoint=["bash", "/build/install.sh"],
        command=[],
        name=name,
        user="0:0",
        working_dir="/",
        network_mode="host",
        environment=dict(recipe.arguments),
        labels={HIDDEN_LABEL: "1"},
        volumes=_volumes(site),
    )
    try:
        container.put_archive("/", _archive(recipe, site.files, extension))
        container.start()
        output = _follow(container, say)
        status = container.wait()["StatusCode"]
        if status:
            raise explain(output, f"Installing the packages of {recipe.name}")
        say("Keeping the finished environment")
        repository, _, tag = stage.rpartition(":")
        container.commit(repository, tag, changes=f"LABEL {HIDDEN_LABEL}=1")
    finally:
        with contextlib.suppress(docker.errors.APIError):
            container.remove(force=True, v=True)


def _volumes(site: SiteSettings) -> dict[str, dict[str, str]]:
    volumes = {path: {"bind": path, "mode": "ro"} for path in site.local_directories}
    return volumes | {CACHE_VOLUME: {"bind": "/build/cache", "mode": "rw"}}


def _follow(container: Any, say: Say) -> str:
    """Give the container's lines to ``say`` until it ends; the last ones are returned."""
    tail: deque[str] = deque(maxlen=_TAIL)
    rest = b""
    for chunk in container.logs(stream=True, follow=True):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").strip()
            if text:
                tail.append(text)
                say(text)
    return "\n".join([*tail, rest.decode(errors="replace")])


def _archive(recipe: Recipe, site_files: Mapping[str, bytes], extension: Path | None) -> bytes:
    """A tar with /build: the recipe, and the site's settings readable by root only."""
    files = inputs(recipe)
    if extension is not None:
        prebuilt = files_below(extension)
        files |= {f"labextension/{PREBUILT}/{name}": path for name, path in prebuilt.items()}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, path in sorted(files.items()):
            add_file(tar, f"build/{name}", path.read_bytes(), _mode(path))
        for name, content in sorted(site_files.items()):
            add_file(tar, f"{SITE_DIRECTORY.lstrip('/')}/{name}", content, 0o600)
    return buffer.getvalue()


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def add_file(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    """Add a file of root's, without a trace of who built it and when."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    tar.addfile(info, io.BytesIO(content))


def context_archive(recipe: Recipe) -> io.BytesIO:
    """The context of the classic builder: the recipe's directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, path in sorted(inputs(recipe).items()):
            if name.startswith("recipe/"):
                add_file(tar, name.removeprefix("recipe/"), path.read_bytes(), _mode(path))
    buffer.seek(0)
    return buffer

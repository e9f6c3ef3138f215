"""Images with more apps than the base has: TensorBoard's, and some that do not work."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from pathlib import Path
from shutil import copytree
from typing import Any

from hub_ext.images.build import build_images
from hub_ext.images.recipes import DEFAULT_DIRECTORY

_RECIPE = """
[[image]]
tag = "{tag}"
parent = "base:{{version}}"
directory = "framework"
optional = true
arguments = {{ FRAMEWORK = "none", RELEASE = "1.0", WHEELS = "cuda" }}
[image.labels]
family = "none"
version = "1.0"
apps = '[{{"name": "tensorboard", "title": "TensorBoard", "path": "tensorboard/"}}]'
[image.variants.cpu]
arguments = {{ WHEELS = "cpu" }}
"""
_SHARED_PORT = 9500
_APPS: dict[str, dict[str, Any]] = {
    "stuck": {"command": ["sleep", "600"], "timeout": 8},
    "crash": {"command": ["sh", "-c", "echo no licence found; exit 3"], "timeout": 8},
    "one": {"command": ["python3", "-m", "http.server", f"{_SHARED_PORT}"], "port": _SHARED_PORT},
    "two": {"command": ["python3", "-m", "http.server", f"{_SHARED_PORT}"], "port": _SHARED_PORT},
}
"""One that never opens its port, one that ends at once, two on one port."""


def build_framework_image(client: Any, directory: Path) -> str:
    """The frameworks' Dockerfile with no framework in it: the real ones are gigabytes.

    directory: a new one. The image is the caller's to remove.
    """
    copytree(DEFAULT_DIRECTORY, directory)
    (directory / "framework/none-cpu.txt").write_text("# Nothing.\n")
    tag = f"none-{uuid.uuid4().hex[:8]}:1.0"
    with (directory / "images.toml").open("a") as recipes:
        recipes.write(_RECIPE.format(tag=tag))
    reference = f"apportion/{tag}-cpu"
    build_images(client, [reference], directory=directory)
    return reference


def build_faulty_image(client: Any, parent: str, tag: str) -> None:
    """With apps of its own beside those of its parent; titled "App stuck" and so on."""
    files = {"Dockerfile": f"FROM {parent}\nCOPY *.json /opt/apportion/etc/jupyter/apps.d/\n"}
    for name, app in _APPS.items():
        files[f"{name}.json"] = json.dumps(app | {"launcher_entry": {"title": f"App {name}"}})
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True)

"""The images that stock JupyterHub is measured with, built from benchmarks/images when missing.

They are made exactly as Apportion's own are (same distribution, same pip, same compiled files),
without its server extension: ``stock`` as pip installs it, ``stock-tuned`` with the packages taken
out and the extensions switched off that anybody can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from os import environ
from pathlib import Path
from typing import Any

from hub_ext.images.build import build_images
from hub_ext.images.catalogue import HIDDEN_LABEL
from hub_ext.images.installation import context_archive, install_packages, stage_reference
from hub_ext.images.recipes import SOURCE_LABEL, Recipe, source_hash
from hub_ext.images.site import read_site

DIRECTORY = Path(__file__).parent / "images"
OS_REPOSITORY = "apportion/os"

Say = Callable[[str], None]


def ensure_stock_images(client: Any, base: str, say: Say) -> tuple[str, str]:
    """References of (stock, stock-tuned); builds what is missing, ``base`` included."""
    if not client.images.list(base):
        say(f"Building {base}")
        build_images(client, [base.removeprefix("apportion/")])
    parent = _distribution(client)
    stock, tuned = (_ensure(client, name, parent, say) for name in ("stock", "stock-tuned"))
    return stock, tuned


def _ensure(client: Any, name: str, parent: str, say: Say) -> str:
    recipe = Recipe(f"apportion/benchmark:{name}", DIRECTORY / name, parent=parent)
    source = source_hash(recipe, hashlib.sha256(parent.encode()).hexdigest())
    for image in client.images.list(recipe.reference):
        if image.labels.get(SOURCE_LABEL) == source:
            return recipe.reference
    say(f"Building {recipe.reference}")
    stage = stage_reference(recipe, source)
    install_packages(client, recipe, parent, read_site(environ, Path.home()), stage, lambda _: None)
    client.images.build(
        fileobj=context_archive(recipe),
        custom_context=True,
        tag=recipe.reference,
        buildargs={"PARENT": parent, "PACKAGES": stage},
        labels={HIDDEN_LABEL: "1", SOURCE_LABEL: source},
        network_mode="none",
        rm=True,
        forcerm=True,
    )
    client.api.remove_image(stage, force=True)
    return recipe.reference


def _distribution(client: Any) -> str:
    tags = [tag for image in client.images.list(OS_REPOSITORY) for tag in image.tags]
    if not tags:
        raise SystemExit("No image apportion/os; run `./apportion image build base` first.")
    return str(tags[0])

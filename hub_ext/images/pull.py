"""Pulls an image and says how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import docker.errors

from hub_ext.images.catalogue import split_reference
from hub_ext.images.failure import ImageBuildError, explain


def pull_image(client: Any, reference: str) -> Iterator[tuple[int, int]]:
    """Pull ``reference``; yields bytes done and bytes known so far.

    Raises ImageBuildError when the registry does not answer, refuses, or has no such image.
    """
    repository, tag = split_reference(reference)
    try:
        stream = client.api.pull(repository, tag=tag, stream=True, decode=True)
        yield from layers_done(stream, reference)
    except docker.errors.APIError as error:
        raise _refusal(str(error.explanation or error), reference) from error


def layers_done(stream: Iterable[Mapping[str, Any]], reference: str) -> Iterator[tuple[int, int]]:
    """Sum the engine's progress over the layers. Raises ImageBuildError on its error line."""
    done: dict[str, int] = {}
    total: dict[str, int] = {}
    for line in stream:
        if "error" in line:
            raise _refusal(str(line["error"]), reference)
        layer, detail = str(line.get("id", "")), line.get("progressDetail") or {}
        if line.get("status") == "Downloading" and "total" in detail:
            done[layer], total[layer] = int(detail.get("current", 0)), int(detail["total"])
        elif line.get("status") == "Download complete" and layer in total:
            done[layer] = total[layer]
        yield sum(done.values()), sum(total.values())


def _refusal(text: str, reference: str) -> ImageBuildError:
    lowered = text.lower()
    if any(hint in lowered for hint in ("not found", "manifest unknown", "does not exist")):
        return ImageBuildError(
            f"No registry has {reference}: {text}",
            "Check the name; log in (docker login) if the image is private.",
        )
    return explain(text, f"Pulling {reference}")

"""Brings an image to the registry that its name says. Blocks."""

from __future__ import annotations

import time
from collections.abc import Callable

from hub_ext.nodes.engine import EngineRefused, EngineUnavailable, ImageStore

PAUSES_S = (2.0, 10.0)
"""Between the tries."""


def push_image(
    store: ImageStore,
    reference: str,
    progress: Callable[[float], None],
    *,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Three tries. Returns "" or, in a sentence, why it is not there; the local image stays."""
    problem = ""
    for wait_s in (0.0, *PAUSES_S):
        pause(wait_s)
        try:
            store.push(reference, progress)
        except (EngineRefused, EngineUnavailable) as error:
            problem = str(error)
            continue
        return ""
    registry = reference.partition("/")[0]
    return f"The image can be used here, but was not pushed to {registry}: {problem}"

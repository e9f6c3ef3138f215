"""Brings an image to the registry that its name says. Blocks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from hub_ext.nodes.engine import EngineRefused, EngineUnavailable, ImageStore

PAUSES_S = (2.0, 10.0)
"""Between the tries."""


_NO_LOGIN = re.compile(r"no basic auth credentials", re.IGNORECASE)
_BAD_LOGIN = re.compile(r"unauthorized|authentication required|\bdenied\b", re.IGNORECASE)


def push_image(
    store: ImageStore,
    reference: str,
    progress: Callable[[float], None],
    *,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Three tries. Returns "" or, in a sentence, why it is not there; the local image stays.

    A registry that refuses a user and password is asked once: it might lock the account.
    """
    registry, problem = reference.partition("/")[0], ""
    for wait_s in (0.0, *PAUSES_S):
        pause(wait_s)
        try:
            store.push(reference, progress)
        except (EngineRefused, EngineUnavailable) as error:
            problem = str(error)
            if login := _about_login(registry, problem):
                problem = login
                break
            continue
        return ""
    return f"The image can be used here, but was not pushed to {registry}: {problem}"


def _about_login(registry: str, problem: str) -> str:
    """What is wrong with the user and password, and the way out; "" nothing."""
    way_out = f"run `docker login {registry}` in the account of the service, then push it again."
    if _NO_LOGIN.search(problem):
        return f"that registry asks for a user and password. For an admin: {way_out}"
    if _BAD_LOGIN.search(problem):
        return (
            "that registry refuses the user and password that it was given, or does not let that"
            f" user push there ({problem}). For an admin: {way_out}"
        )
    return ""

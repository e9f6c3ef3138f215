"""Tells the hub that this server answers, so that nobody has to poll for it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping

from tornado.httpclient import AsyncHTTPClient

from apportion_lab.hub import hub_request

ATTEMPTS = 3
TIMEOUT_S = 5.0


async def report_ready(
    log: logging.Logger, environ: Mapping[str, str] = os.environ, pause_s: float = 0.2
) -> bool:
    """POST to APPORTION_READY_URL with the server's token; True when the hub took it.

    A failure is only logged: the hub falls back to asking. Outside Apportion (no such
    variable) nothing is sent.
    """
    url = environ.get("APPORTION_READY_URL", "")
    if not url:
        return False
    problem: Exception | None = None
    for attempt in range(ATTEMPTS):
        if attempt:
            await asyncio.sleep(pause_s * attempt)
        try:
            await AsyncHTTPClient().fetch(
                hub_request(url, environ, method="POST", timeout_s=TIMEOUT_S)
            )
        except Exception as error:  # whatever it is, a session must not fail for this
            problem = error
        else:
            return True
    log.warning("Could not tell the hub that this server is ready: %s", problem)
    return False

"""Learning that a server serves, at once and from the server itself.

The hub's own way is to ask in growing, jittered steps of up to five seconds. The images' server
extension tells the hub instead; images without it are asked four times a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

PROBE_INTERVAL_S = 0.25
#: How often a silent server's process is looked at.
EXIT_CHECK_INTERVAL_S = 1.0


class ServerExited(Exception):
    """The server's container or process ended before it served; the text says how."""


async def wait_until_ready(
    told: asyncio.Event,
    url: str,
    exit_reason: Callable[[], Awaitable[str | None]],
) -> None:
    """Return as soon as the server reports itself (``told``) or answers at ``url``.

    Raises ServerExited with ``exit_reason``'s text once that returns one.
    """
    watchers = [
        asyncio.ensure_future(told.wait()),
        asyncio.ensure_future(_until_answering(url)),
        asyncio.ensure_future(_until_exited(exit_reason)),
    ]
    try:
        done, _ = await asyncio.wait(watchers, return_when=asyncio.FIRST_COMPLETED)
        for watcher in done:
            watcher.result()
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


async def _until_answering(url: str) -> None:
    http = SimpleAsyncHTTPClient(force_instance=True, max_clients=1)
    request = HTTPRequest(url, connect_timeout=2.0, request_timeout=5.0, follow_redirects=False)
    try:
        while True:
            await asyncio.sleep(PROBE_INTERVAL_S)
            try:
                response = await http.fetch(request, raise_error=False)
            except (HTTPClientError, OSError):
                continue
            if response.code < 500:
                return
    finally:
        http.close()


async def _until_exited(exit_reason: Callable[[], Awaitable[str | None]]) -> None:
    while True:
        await asyncio.sleep(EXIT_CHECK_INTERVAL_S)
        reason = await exit_reason()
        if reason is not None:
            raise ServerExited(reason)

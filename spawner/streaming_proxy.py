"""The Python configurable-http-proxy, passing responses on as they come.

configurable-http-proxy 0.4 of PyPI collects a whole response before it sends the first byte, gives
up after 20 seconds, and has at most ten requests under way. An event stream (the hub's pending
page, live tables) therefore never shows anything and ten of them stop the site; a download beyond
100 MB fails. Here each response is streamed with back pressure, for as long as it lasts.

Its websockets have faults of their own: when the target closes one, the browser is not told, and
waits for a kernel that is gone; what the browser sends as binary arrives as text; no subprotocol is
agreed on; 10 MiB end the connection. Here what one side says or ends, the other hears as it was.

Run as ``python -m spawner.streaming_proxy`` with configurable-http-proxy's own options.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import Any

import aiohttp
from configurable_http_proxy import cli, configproxy  # type: ignore[import-untyped]
from configurable_http_proxy.handlers import ProxyHandler  # type: ignore[import-untyped]
from tornado.httpclient import HTTPClientError
from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect
from yarl import URL

#: RFC 9110, 7.6.1: for one connection only, never passed on
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

PING_S = 30.0
"""A browser that says nothing for so long is asked whether it is there, in seconds."""
MOST_BYTES = 256 * 1024 * 1024
"""Of one websocket message; what is behind has limits of its own."""
_OF_ONE_SIDE = frozenset({"sec-websocket-extensions", "sec-websocket-key"})
"""Headers that are about the browser's own connection, as its compression."""
_NEVER_SENT = frozenset({1005, 1006, 1015})
"""Close codes that only say how a connection ended. RFC 6455, section 7.4.1."""

_session: aiohttp.ClientSession | None = None


class StreamingProxyHandler(ProxyHandler):
    """ProxyHandler whose HTTP requests are streamed and whose websockets pass all on."""

    _streaming: asyncio.Task[None] | None = None
    ws_client: WebSocketClientConnection | None
    max_message_size = MOST_BYTES
    ping_interval = PING_S

    async def call_proxy(self, path: str | None = None) -> None:
        """Forward the request; the target is let go as soon as the client is."""
        url = await self.get_target_url(path)
        if url is None:
            return
        self._streaming = asyncio.ensure_future(self._forward(url))
        try:
            await self._streaming
        except asyncio.CancelledError:
            if not self._streaming.cancelled():
                raise

    def on_connection_close(self) -> None:
        """The client has gone: nobody reads the rest."""
        if self._streaming is not None:
            self._streaming.cancel()
        super().on_connection_close()

    async def start_ws_client(self, path: str | None = None) -> None:
        """Connect to the target, before the browser is answered."""
        self.closed = False
        url = await self.get_target_url(path)
        if url is None:
            return
        asked = self._get_proxy_request(url.replace("http", "ws", 1))
        for name in [name for name in asked.headers if name.lower() in _OF_ONE_SIDE]:
            del asked.headers[name]
        connecting = websocket_connect(
            asked, connect_timeout=self.proxy.timeout, max_message_size=MOST_BYTES
        )
        try:
            self.ws_client = await connecting
        except HTTPClientError as error:
            self.set_status(error.code)
            self.finish(error.message)
        except Exception as error:
            await self.handle_proxy_error(503, error)

    def select_subprotocol(self, _offered: list[str]) -> str | None:
        """The one that the target has chosen."""
        return None if self.ws_client is None else self.ws_client.selected_subprotocol

    def open(self, *_path: str) -> None:
        """Both sides are connected."""
        self._streaming = asyncio.ensure_future(self._pass_messages())

    async def on_message(self, message: str | bytes) -> None:
        """From the browser; the next one is read when the target has taken this one."""
        target = self.ws_client
        if target is not None:
            self._note_activity()
            with suppress(WebSocketClosedError):
                await target.write_message(message, binary=isinstance(message, bytes))

    async def _pass_messages(self) -> None:
        """From the target, as long as there is one."""
        target = self.ws_client
        with suppress(WebSocketClosedError):
            while target is not None and (message := await target.read_message()) is not None:
                self._note_activity()
                await self.write_message(message, binary=isinstance(message, bytes))
        code = None if target is None else target.close_code
        if code is None or code in _NEVER_SENT:
            self.close()
        else:
            self.close(code, target.close_reason if target is not None else None)

    def _note_activity(self) -> None:
        if self.target and self.target["prefix"]:
            self.proxy.update_last_activity(self.target["prefix"])

    async def _forward(self, url: str) -> None:
        asked = self._get_proxy_request(url)
        try:
            response = await _client().request(
                asked.method,
                URL(url, encoded=True),
                headers=_request_headers(asked.headers),
                data=self.request.body or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_read=self.proxy.proxy_timeout),
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            await self.handle_proxy_error(503, error)
            return
        async with response:
            await self._answer(response)

    async def _answer(self, response: aiohttp.ClientResponse) -> None:
        self._headers = HTTPHeaders()
        self.set_status(response.status, response.reason)
        for name, value in response.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.add_header(name, value)
        try:
            async for chunk in response.content.iter_any():
                self.write(chunk)
                await self.flush()
            if not self._finished:
                self.finish()
        except StreamClosedError:
            return
        except aiohttp.ClientError as error:
            # the head is sent: cutting the connection is all that tells the client
            self.proxy.log.error(f"{self.request.method} {self.request.path} broke off: {error}")
            self.request.connection.stream.close()


def _client() -> aiohttp.ClientSession:
    """One pool of connections; cookies and encodings are the client's and the target's affair."""
    global _session
    if _session is None:
        _session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        )
    return _session


def _request_headers(headers: Any) -> list[tuple[str, str]]:
    """The client's headers without those of its connection; the length is the body's own."""
    dropped = HOP_BY_HOP | {"content-length"}
    return [(name, value) for name, value in headers.items() if name.lower() not in dropped]


def main() -> None:
    """Run configurable-http-proxy with the streaming handler in place of its own.

    It tells the hub when a server was last active by the wall clock of its process, and the
    hub takes that for UTC: an idle server east of Greenwich would count as active for hours.
    """
    os.environ["TZ"] = "UTC"
    time.tzset()
    configproxy.ProxyHandler = StreamingProxyHandler
    cli.main()


if __name__ == "__main__":
    main()

"""Ports of this machine that programs listen on, and whether one answers as a web server."""

from __future__ import annotations

import asyncio
from pathlib import Path

PROBE_S = 3.0
_CONNECT_S = 1.0
_LISTEN = "0A"
"""TCP_LISTEN in proc(5) net/tcp."""
_HTTP = b"HTTP/"


def listening_ports(proc: Path = Path("/proc/net")) -> list[int]:
    """In order; [] where /proc does not tell."""
    found: set[int] = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 3 and fields[3] == _LISTEN:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return sorted(found)


async def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection("localhost", port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def probe(port: int) -> str:
    """ "http": a web server answers; "silent": something else listens; "closed": nothing does."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection("localhost", port)
    except (OSError, TimeoutError):
        return "closed"
    try:
        async with asyncio.timeout(PROBE_S):
            writer.write(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            await writer.drain()
            begin = await reader.readexactly(len(_HTTP))
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return "silent"
    finally:
        writer.close()
    return "http" if begin == _HTTP else "silent"

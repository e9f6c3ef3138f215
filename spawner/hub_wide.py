"""What all spawners of one hub share: the service's client, how sessions stand, the throttle."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from .glances import Glances
from .service_client import ServiceClient
from .throttle import StartThrottle

_Loop = asyncio.AbstractEventLoop

_throttles: WeakKeyDictionary[_Loop, StartThrottle] = WeakKeyDictionary()
_clients: WeakKeyDictionary[_Loop, dict[tuple[str, str], ServiceClient]] = WeakKeyDictionary()
_glances: WeakKeyDictionary[_Loop, dict[tuple[str, str], Glances]] = WeakKeyDictionary()


def service_client(url: str, token: str) -> ServiceClient:
    """The client of the queue service for the running loop."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    if (url, token) not in clients:
        clients[url, token] = ServiceClient(url, token)
    return clients[url, token]


def glances(url: str, token: str) -> Glances:
    """How the sessions of the queue service stand, for the running loop."""
    known = _glances.setdefault(asyncio.get_running_loop(), {})
    if (url, token) not in known:
        known[url, token] = Glances(service_client(url, token))
    return known[url, token]


def start_throttle(limit: int) -> StartThrottle:
    """The one throttle of the running loop; the first spawner's limit holds."""
    loop = asyncio.get_running_loop()
    if loop not in _throttles:
        _throttles[loop] = StartThrottle(limit)
    return _throttles[loop]

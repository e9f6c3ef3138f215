"""Whether hub and service answer, asked over HTTP on this machine, past any configured proxy."""

from __future__ import annotations

import http.client
import ipaddress
from dataclasses import dataclass

TIMEOUT_S = 3.0
SERVICE_HEALTH = "/services/apportion/api/v1/health"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One part's health page, and what it is called when it is missing."""

    part: str
    address: str
    port: int
    path: str

    def answers(self, timeout_s: float = TIMEOUT_S) -> bool:
        """Whether the page answers 200 now."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=timeout_s)
        try:
            connection.request("GET", self.path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def of_deployment(bind: str, port: int, service_port: int) -> list[HealthCheck]:
    """What must answer before a user can come: the service, and the hub through its proxy.

    The hub starts the service last, so asking in this order leaves no refusals in the logs.
    """
    return [
        HealthCheck("service", "127.0.0.1", service_port, SERVICE_HEALTH),
        HealthCheck("hub", reachable(bind), port, "/hub/health"),
    ]


def reachable(bind: str) -> str:
    """The address under which something bound to ``bind`` is reached from here."""
    try:
        address = ipaddress.ip_address(bind)
    except ValueError:
        return bind
    if not address.is_unspecified:
        return bind
    return "127.0.0.1" if address.version == 4 else "::1"

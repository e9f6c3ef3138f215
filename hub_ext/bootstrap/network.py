"""The Docker network of a deployment: sessions reach the hub on its gateway, not each other."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, NotFound
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from hub_ext.bootstrap.failure import BootstrapError

ICC_OPTION = "com.docker.network.bridge.enable_icc"
DEPLOYMENT_LABEL = "org.apportion.deployment"
POOL = ipaddress.IPv4Network("172.16.0.0/12")
PREFIX = 22
"""1,021 sessions on one machine; a /24 would end at 253."""


@dataclass(frozen=True, slots=True)
class DeploymentNetwork:
    """A network of this deployment. gateway: where the hub's API listens."""

    name: str
    subnet: str
    gateway: str


def network_name(deployment_id: str) -> str:
    """The network's name."""
    return f"apportion-{deployment_id}"


def ensure(client: docker.DockerClient, deployment_id: str) -> DeploymentNetwork:
    """The deployment's network, made if it is not there. Raises BootstrapError."""
    name = network_name(deployment_id)
    try:
        network = client.networks.get(name)
    except NotFound:
        network = _create(client, name, deployment_id)
    return _checked(network)


def _create(client: docker.DockerClient, name: str, deployment_id: str) -> Network:
    """Try free subnets until the engine takes one: it knows of clashes that we cannot see."""
    problem = ""
    for subnet in _free_subnets(_taken(client)):
        pool = IPAMPool(subnet=str(subnet), gateway=str(next(subnet.hosts())))
        try:
            return client.networks.create(
                name,
                driver="bridge",
                check_duplicate=True,
                ipam=IPAMConfig(pool_configs=[pool]),
                options={ICC_OPTION: "false"},
                labels={DEPLOYMENT_LABEL: deployment_id},
            )
        except APIError as error:
            problem = str(error.explanation or error)
            if error.status_code == 409:  # made by someone else in the meantime
                return client.networks.get(name)
            if "overlap" not in problem.lower():
                break
    raise BootstrapError(
        f"The Docker network {name} could not be made: {problem or f'no free subnet in {POOL}'}.",
        "Remove networks that nothing uses (docker network prune) and run this again.",
    )


def _free_subnets(
    taken: Iterable[ipaddress.IPv4Network],
) -> Iterator[ipaddress.IPv4Network]:
    """/22 subnets of 172.16/12 that overlap nothing taken, from the top (Docker fills upwards)."""
    occupied = list(taken)
    for candidate in reversed(list(POOL.subnets(new_prefix=PREFIX))):
        if not any(candidate.overlaps(other) for other in occupied):
            yield candidate


def _taken(client: docker.DockerClient) -> list[ipaddress.IPv4Network]:
    """Subnets of the engine's networks and of the machine's own routes."""
    taken = list(_routes())
    for network in client.networks.list():
        for config in (network.attrs.get("IPAM") or {}).get("Config") or []:
            parsed = _ipv4(config.get("Subnet") or "")
            if parsed is not None:
                taken.append(parsed)
    return taken


def _routes(table: Path = Path("/proc/net/route")) -> Iterator[ipaddress.IPv4Network]:
    """Destinations of the IPv4 routing table but the default route."""
    try:
        rows = table.read_text().splitlines()[1:]
    except OSError:
        return
    for row in rows:
        columns = row.split()
        address = int.from_bytes(bytes.fromhex(columns[1])[::-1])
        mask = int.from_bytes(bytes.fromhex(columns[7])[::-1])
        if mask:
            yield ipaddress.IPv4Network((address & mask, mask.bit_count()))


def _ipv4(text: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        return None


def isolates_sessions(network: Network) -> bool:
    """Whether containers on this bridge are kept from reaching each other."""
    return (network.attrs.get("Options") or {}).get(ICC_OPTION) == "false"


def _checked(network: Network) -> DeploymentNetwork:
    """Read back what the engine really made, and refuse a network that isolates nobody."""
    network.reload()
    if network.attrs.get("Driver") != "bridge" or not isolates_sessions(network):
        raise BootstrapError(
            f"The Docker network {network.name} lets sessions reach each other"
            f" ({ICC_OPTION} is not false).",
            f"Stop the sessions on it, remove it (docker network rm {network.name}) and run this"
            " again: it is made anew.",
        )
    for config in (network.attrs.get("IPAM") or {}).get("Config") or []:
        if _ipv4(config.get("Subnet") or "") and config.get("Gateway"):
            return DeploymentNetwork(network.name, config["Subnet"], config["Gateway"])
    raise BootstrapError(
        f"The Docker network {network.name} has no IPv4 gateway.",
        f"Remove it (docker network rm {network.name}) and run this again: it is made anew.",
    )

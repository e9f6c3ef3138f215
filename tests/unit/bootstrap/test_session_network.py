"""The deployment's network: free addresses, made once, never one that isolates nobody."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
import requests
from docker.errors import APIError, NotFound

from hub_ext.bootstrap import network
from hub_ext.bootstrap.failure import BootstrapError


class FakeNetwork:
    def __init__(self, name: str, attrs: dict[str, Any]) -> None:
        self.name, self.attrs = name, attrs

    def reload(self) -> None:
        """As made."""


class FakeEngine:
    """An engine with networks; ``clashing`` subnets are refused as dockerd refuses them."""

    def __init__(self, *subnets: str, clashing: int = 0) -> None:
        self.networks = self
        self.made: dict[str, FakeNetwork] = {}
        self.clashing = clashing
        for number, subnet in enumerate(subnets):
            self.made[f"n{number}"] = FakeNetwork(f"n{number}", _attrs(subnet, {}))

    def list(self) -> list[FakeNetwork]:
        return list(self.made.values())

    def get(self, name: str) -> FakeNetwork:
        if name not in self.made:
            raise NotFound(name)
        return self.made[name]

    def create(self, name: str, *, ipam: Any, options: dict[str, str], **_: Any) -> FakeNetwork:
        if self.clashing:
            self.clashing -= 1
            raise _api_error(403, "Pool overlaps with other one on this address space")
        self.made[name] = FakeNetwork(name, _attrs(ipam["Config"][0]["Subnet"], options))
        self.made[name].attrs["IPAM"]["Config"][0]["Gateway"] = ipam["Config"][0]["Gateway"]
        return self.made[name]


def _attrs(subnet: str, options: dict[str, str]) -> dict[str, Any]:
    return {"Driver": "bridge", "Options": options, "IPAM": {"Config": [{"Subnet": subnet}]}}


def _api_error(status: int, message: str) -> APIError:
    response = requests.Response()
    response.status_code = status
    return APIError(message, response=response, explanation=message)


@pytest.fixture(autouse=True)
def no_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_routes", lambda: iter(()))


def test_network_gets_a_subnet_that_no_other_network_has() -> None:
    taken = "172.31.252.0/22"

    made = network.ensure(FakeEngine(taken), "0badcafe")

    subnet = ipaddress.ip_network(made.subnet)
    assert subnet.prefixlen == 22
    assert subnet.subnet_of(ipaddress.ip_network("172.16.0.0/12"))
    assert not subnet.overlaps(ipaddress.ip_network(taken))
    assert ipaddress.ip_address(made.gateway) in subnet


def test_network_avoids_the_routes_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    office = ipaddress.IPv4Network("172.28.0.0/14")
    monkeypatch.setattr(network, "_routes", lambda: iter([office]))

    made = network.ensure(FakeEngine(), "0badcafe")

    assert not ipaddress.ip_network(made.subnet).overlaps(office)


def test_subnet_that_the_engine_refuses_is_replaced_by_another() -> None:
    assert network.ensure(FakeEngine(clashing=3), "0badcafe").gateway


def test_network_is_made_once() -> None:
    engine = FakeEngine()

    assert network.ensure(engine, "0badcafe") == network.ensure(engine, "0badcafe")
    assert len(engine.made) == 1


def test_network_on_which_sessions_could_meet_is_refused() -> None:
    engine = FakeEngine()
    network.ensure(engine, "0badcafe")
    engine.made["apportion-0badcafe"].attrs["Options"] = {}

    with pytest.raises(BootstrapError, match="lets sessions reach each other") as refusal:
        network.ensure(engine, "0badcafe")

    assert "docker network rm apportion-0badcafe" in refusal.value.way_out


def test_full_address_space_says_how_to_make_room() -> None:
    with pytest.raises(BootstrapError, match="no free subnet") as refusal:
        network.ensure(FakeEngine("172.16.0.0/12"), "0badcafe")

    assert "docker network prune" in refusal.value.way_out

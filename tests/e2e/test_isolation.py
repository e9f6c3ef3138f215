"""What another user, another container and the container itself cannot do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import BASE
from tests.e2e.lab import API, SERVICE, Lab

SMALL = {"cpu": 0.5, "memory_mib": 512, "image": BASE}
_CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
    print("connected")
except OSError as error:
    print("refused:", error)
"""


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "1x8GiB")


@pytest.fixture(scope="module")
def pair(lab: Lab) -> tuple[dict[str, Any], dict[str, Any]]:
    """Running sessions of ann and of bob."""
    ann, bob = lab.person("ann"), lab.person("bob")
    (first,), (second,) = ann.submit(name="of-ann", **SMALL), bob.submit(name="of-bob", **SMALL)
    return ann.running(first["id"]), bob.running(second["id"])


def test_another_user_gets_nothing_of_a_session(lab: Lab, pair: tuple[Any, Any]) -> None:
    bob, session = lab.person("bob"), pair[0]
    for path in ("lab", "api/status", "api/contents", "mlflow/", "proxy/5000/", "terminals"):
        by_login = bob.web.get(session["url"] + path)
        by_token = bob.web.get(
            session["url"] + path, headers={"Authorization": f"token {bob.token}"}
        )
        assert by_login.status_code in {403, 404}, path
        assert by_token.status_code in {403, 404}, path
    for method, path in (
        ("GET", f"/sessions/{session['id']}"),
        ("GET", f"/sessions/{session['id']}/history"),
        ("GET", f"/sessions/{session['id']}/events"),
        ("DELETE", f"/sessions/{session['id']}"),
    ):
        theirs = bob.api.request(method, path)
        missing = bob.api.request(method, path.replace(session["id"], "0" * 32))
        assert theirs.status_code == 404
        assert theirs.json() == missing.json()
    assert bob.web.get(f"{SERVICE}/sessions/{session['id']}").status_code == 404
    assert lab.person("ann").session(session["id"])["status"] == "RUNNING"


def test_another_user_sees_no_other_sessions_in_any_list(lab: Lab, pair: tuple[Any, Any]) -> None:
    bob = lab.person("bob")
    for query in ({}, {"all": "1"}, {"live": "1", "all": "1"}):
        sessions = bob.api.get("/sessions", params=query).json()["sessions"]
        assert {session["user"] for session in sessions} == {"bob"}
    assert "of-ann" not in bob.web.get(f"{SERVICE}/?all=1").text
    assert bob.api.get("/nodes").status_code == 403
    everybody = lab.admin.api.get("/sessions", params={"all": "1"}).json()["sessions"]
    assert {session["user"] for session in everybody} >= {"ann", "bob"}


def test_without_login_there_is_nothing(lab: Lab, pair: tuple[Any, Any]) -> None:
    with httpx.Client(base_url=lab.url, timeout=30) as web:
        assert web.get(f"{API}/sessions").status_code == 401
        assert web.post(f"{API}/spawner/requests", json={}).status_code == 401
        assert web.get(f"{SERVICE}/").status_code == 302
        assert web.get(f"{SERVICE}/metrics").status_code == 401
        assert web.get(pair[0]["url"] + "api/contents").status_code == 403


def test_a_users_token_does_not_open_the_spawners_half(lab: Lab) -> None:
    for person in (lab.person("bob"), lab.admin):
        answer = person.api.post("/spawner/requests", json={"user": "ann", "server_name": ""})
        assert answer.status_code == 401


def test_a_change_by_cookie_needs_the_xsrf_token(lab: Lab, pair: tuple[Any, Any]) -> None:
    ann = lab.person("ann")
    assert ann.web.get(SERVICE + "/").status_code == 200
    refused = ann.web.delete(f"{API}/sessions/{pair[0]['id']}", headers={"Origin": "http://evil"})
    assert refused.status_code in {401, 403}
    assert ann.session(pair[0]["id"])["status"] == "RUNNING"


def test_a_container_cannot_reach_anothers_server(lab: Lab, pair: tuple[Any, Any]) -> None:
    first, second = pair
    (other,) = lab.containers(second["id"])
    networks = other.attrs["NetworkSettings"]["Networks"]
    (address,) = (network["IPAddress"] for network in networks.values())
    python = ("python3", "-c", _CONNECT)
    assert lab.run_in(second["id"], *python, address, "8888") == "connected"
    assert lab.run_in(first["id"], *python, address, "8888").startswith("refused")


def test_a_container_is_hardened(lab: Lab, pair: tuple[Any, Any]) -> None:
    session = pair[0]
    (container,) = lab.containers(session["id"])
    host = container.attrs["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges" in " ".join(host["SecurityOpt"])
    assert "seccomp=unconfined" not in " ".join(host["SecurityOpt"])
    assert not host["Privileged"]
    assert host["NetworkMode"] != "host"
    assert host["PidsLimit"] > 0
    assert host["Memory"] == 512 * 1024 * 1024
    assert host["NanoCpus"] == 500_000_000 or host["CpuQuota"] == host["CpuPeriod"] / 2
    assert not any("docker.sock" in json.dumps(mount) for mount in container.attrs["Mounts"])
    assert lab.run_in(session["id"], "id", "-u") == "1000"
    status = lab.run_in(session["id"], "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert lab.run_in(session["id"], "sh", "-c", "ls /var/run/docker.sock || true").startswith("ls")


def test_a_container_knows_no_secret_of_the_deployment(lab: Lab, pair: tuple[Any, Any]) -> None:
    environment = lab.run_in(pair[0]["id"], "env")
    settings = lab.settings
    for secret in ("service_token", "spawner_token", "proxy_token", "crypt_key"):
        assert settings[secret] not in environment
        for log in (lab.data / "log").iterdir():
            assert settings[secret] not in log.read_text(), log


def test_threads_follow_the_cpu_limit_and_no_gpu_is_void(lab: Lab, pair: tuple[Any, Any]) -> None:
    environment = lab.run_in(pair[0]["id"], "env").splitlines()
    assert "OMP_NUM_THREADS=1" in environment
    assert "NVIDIA_VISIBLE_DEVICES=void" in environment
    assert "APPORTION_FGPU=0" in environment

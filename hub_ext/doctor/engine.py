"""The Docker engine, this deployment's network in it, its images, and stray containers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
from docker.errors import NotFound

from hub_ext.bootstrap import docker_engine, network
from hub_ext.bootstrap.docker_engine import EngineState
from hub_ext.db.connection import Database, DatabaseError
from hub_ext.doctor.finding import Deployment, Finding, fail, ok, warn
from hub_ext.doctor.live_sessions import live_session_ids
from hub_ext.images.catalogue import list_images
from hub_ext.images.recipes import EXTENSION_LABEL

OLDEST_API = (1, 41)
DEPLOYMENT_LABEL = "org.apportion.deployment"
SESSION_LABEL = "org.apportion.session"
TIMEOUT_S = 20
WAYS_OUT = {
    EngineState.NO_PERMISSION: "Join the 'docker' group (sudo usermod -aG docker $USER) and log"
    " in again.",
    EngineState.NOT_RUNNING: "Start it: sudo systemctl start docker, or ./apportion up as root.",
    EngineState.SILENT: "Restart it (systemctl restart docker); see journalctl -u docker.",
    EngineState.BROKEN: "Check it with 'docker version'.",
    EngineState.REMOTE: "Unset DOCKER_HOST: the hub must run where its engine runs.",
    EngineState.ABSENT: "Install Docker Engine (Debian, Ubuntu: apt-get install docker.io).",
}


def engine(deployment: Deployment) -> Iterator[Finding]:
    """Whether an engine answers, and whether it is new enough."""
    found = docker_engine.look()
    if found.state is not EngineState.ANSWERS:
        message = f"Docker engine at {found.where}: {found.state.value}"
        if deployment.started_with.get("engine") == "process":
            yield warn("docker", f"{message}; sessions are local processes, isolated from nobody")
        else:
            yield fail("docker", f"{message} {found.detail}".strip(), WAYS_OUT[found.state])
        return
    with _client() as client:
        version = client.version()
    api = tuple(int(part) for part in version["ApiVersion"].split("."))
    message = f"Docker engine {version['Version']} (API {version['ApiVersion']})"
    if api < OLDEST_API:
        yield fail("docker", message, "Docker Engine 20.10 (API 1.41) is the oldest that works.")
    else:
        yield ok("docker", message)


def session_network(deployment: Deployment) -> Iterator[Finding]:
    """The deployment's network keeps sessions apart."""
    if deployment.settings is None or not _answers():
        return
    name = network.network_name(deployment.settings.deployment_id)
    with _client() as client:
        try:
            isolated = network.isolates_sessions(client.networks.get(name))
        except NotFound:
            yield warn("network", f"{name} does not exist yet.", "'./apportion up' makes it.")
            return
    if isolated:
        yield ok("network", f"{name}: sessions cannot reach each other")
    else:
        yield fail(
            "network",
            f"{name} lets sessions reach each other ({network.ICC_OPTION} is not false).",
            f"Stop the sessions, 'docker network rm {name}', and './apportion up' makes it anew.",
        )


def images(_: Deployment) -> Iterator[Finding]:
    """Images that sessions can start from."""
    if not _answers():
        return
    with _client() as client:
        labelled = [image.reference for image in list_images(client) if image.labelled]
        silent = client.api.images(filters={"label": [f"{EXTENSION_LABEL}=missing"]})
    without = sorted(tag for image in silent for tag in image["RepoTags"] or ())
    if without:
        yield warn(
            "images",
            f"Without Apportion's extension, so no warning in JupyterLab: {', '.join(without)}",
            "'./apportion image build' tries again; it needs the npm registry.",
        )
    if labelled:
        yield ok("images", ", ".join(labelled))
    else:
        yield warn("images", "No kernel image is there.", "'./apportion image build' builds them.")


def stray_containers(deployment: Deployment) -> Iterator[Finding]:
    """Containers of this deployment that no live session owns; the service removes them."""
    if deployment.settings is None or not _answers():
        return
    label = f"{DEPLOYMENT_LABEL}={deployment.settings.deployment_id}"
    with _client() as client:
        containers = client.api.containers(all=True, filters={"label": [label]})
    try:
        live = live_session_ids(Database(deployment.db_url))
    except DatabaseError:
        return  # said by the database check
    stray = [
        container["Id"][:12]
        for container in containers
        if (session := container["Labels"].get(SESSION_LABEL)) and session not in live
    ]
    if stray:
        yield warn(
            "containers",
            f"{len(stray)} without a live session: {', '.join(stray)}",
            "The running service removes them within two minutes; if it does not, see its log.",
        )
    else:
        yield ok("containers", f"{len(containers)} of this deployment, none stray")


def engine_info() -> dict[str, Any] | None:
    """As ``docker info``; None when no engine answers."""
    if not _answers():
        return None
    with _client() as client:
        return dict(client.info())


def _answers() -> bool:
    return docker_engine.look().state is EngineState.ANSWERS


@contextmanager
def _client() -> Iterator[docker.DockerClient]:
    client = docker.from_env(timeout=TIMEOUT_S)
    try:
        yield client
    finally:
        client.close()

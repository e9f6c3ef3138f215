"""A session becomes an image: what was installed is in it, what the session knew is not."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub_ext.images.interim import SITE_LABEL
from hub_ext.images.saved_config import site_key
from tests.e2e.conftest import BASE
from tests.e2e.docker_registry import Registry
from tests.e2e.image_mirror import make_wheel, traces_in_image
from tests.e2e.lab import PROJECT, Lab, Person, until
from tests.e2e.sudo_image import build_sudo_image
from tests.e2e.test_restarts import kill

SMALL = {"cpu": 1, "memory_mib": 1024}
PIP = "/opt/apportion/bin/pip install --no-index --disable-pip-version-check"
PYTHON = "/opt/apportion/bin/python"
SAVED_LIMIT_S = 600
REGISTRY_PASSWORD = "for-pushing-5b2e"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    registry = Registry(tmp_path_factory.mktemp("registry"), REGISTRY_PASSWORD)
    yield registry
    registry.close()


@pytest.fixture(scope="module")
def lab(
    make_lab: Callable[..., Lab], registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    config = tmp_path_factory.mktemp("config") / "jupyterhub_config.py"
    ours = (PROJECT / "jupyterhub_config.py").read_text()
    config.write_text(f"{ours}\nc.ApportionService.registry = '{registry.host}/lab'\n")
    account = tmp_path_factory.mktemp("docker")
    registry.log_in(account, REGISTRY_PASSWORD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(account))
        lab = make_lab("--simulate-gpus", "1x8GiB", config=config)
    yield lab
    ours_only = f"{registry.host}/lab/"
    for image in lab.docker.images.list():
        for tag in image.tags:
            if tag.startswith(ours_only):
                lab.docker.images.remove(tag, force=True)


@pytest.fixture(scope="module")
def sudo_image(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    tag = f"tests/sudo:{uuid.uuid4().hex[:8]}"
    build_sudo_image(lab.docker, BASE, tag, tmp_path_factory.mktemp("sudo"))
    yield tag
    lab.docker.images.remove(tag, force=True)


def start(person: Person, **request: Any) -> dict[str, Any]:
    (session,) = person.submit(**SMALL, **request)
    return person.running(session["id"])


def ask(person: Person, session: dict[str, Any], name: str) -> dict[str, Any]:
    body = {"name": name, "description": "From a test"}
    answer = person.api.post(f"/sessions/{session['id']}/image-request", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def approve(lab: Lab, request: dict[str, Any]) -> None:
    answer = lab.admin.api.post(f"/image-requests/{request['id']}/approve")
    assert answer.status_code == 200, answer.text


def state_of(person: Person, request: dict[str, Any]) -> dict[str, Any]:
    return dict(person.api.get(f"/image-requests/{request['id']}").json())


def saved(person: Person, request: dict[str, Any]) -> str:
    """Its reference, when it is done."""

    def done() -> str:
        now = state_of(person, request)
        assert now["state"] not in {"failed", "declined", "cancelled"}, now
        assert not now["reason"], now
        return str(now["reference"]) if now["state"] == "done" else ""

    return until(done, limit_s=SAVED_LIMIT_S, what="the image is saved")


def container_of(lab: Lab, session: dict[str, Any]) -> Any:
    (container,) = lab.containers(session["id"])
    return container


def new_kernel(person: Person, session: dict[str, Any]) -> str:
    answer = person.web.post(
        f"{session['url']}api/kernels",
        json={"name": "python3"},
        headers={"Authorization": f"token {person.token}"},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def kernels(person: Person, session: dict[str, Any]) -> list[str]:
    url = f"{person.lab.url}{session['url']}api/kernels"
    answer = httpx.get(url, headers={"Authorization": f"token {person.token}"}, timeout=30)
    return [str(kernel["id"]) for kernel in answer.json()]


def kernel_processes(lab: Lab, session: dict[str, Any]) -> str:
    return lab.run_in(session["id"], "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def install_wheel(lab: Lab, session: dict[str, Any], directory: Path) -> None:
    """``sudo pip install`` of a package of ours."""
    wheel = make_wheel(directory)
    text = base64.b64encode(wheel.read_bytes()).decode()
    lab.run_in(session["id"], "sh", "-c", f"echo {text} | base64 -d > ~/{wheel.name}")
    lab.run_in(session["id"], "sh", "-c", f"sudo {PIP} ~/{wheel.name}")


def interim_images(lab: Lab) -> list[Any]:
    """What a save of this deployment has left in the engine; other labs share it."""
    label = f"{SITE_LABEL}={site_key(lab.settings['deployment_id'])}"
    return list(lab.docker.images.list(filters={"label": [label]}))


def secrets_of(container: Any, parent_env: list[str]) -> list[bytes]:
    """Every value of its environment that its image does not have; of 8 characters or more."""
    container.reload()
    inherited = {entry.partition("=")[2] for entry in parent_env}
    public = {"JUPYTER_IMAGE_SPEC", "MEM_LIMIT"}  # the parent's name; a plain number
    found = []
    for entry in container.attrs["Config"]["Env"]:
        name, _, value = entry.partition("=")
        if name not in public and value not in inherited and len(value) >= 8:
            found.append(value.encode())
    return found


def test_sudo_is_off_where_the_image_does_not_allow_it(lab: Lab, sudo_image: str) -> None:
    """The same files without the label: the kernel gives sudo no rights."""
    plain = f"{sudo_image}-plain"
    name, tag = plain.rsplit(":", 1)
    container = lab.docker.containers.create(sudo_image)
    container.commit(name, tag, changes="LABEL org.apportion.sudo=0")
    container.remove()
    ada = lab.person("ada")
    try:
        session = start(ada, name="plain", image=plain)
        output = lab.run_in(session["id"], "sh", "-c", "sudo id 2>&1 || true")
        assert "no new privileges" in output
    finally:
        ada.stop_all()
        until(lambda: lab.containers() == [], what="its container is gone")
        lab.docker.images.remove(plain, force=True)


def test_what_was_installed_is_kept_and_what_the_session_knew_is_not(
    lab: Lab, sudo_image: str, registry: Registry, tmp_path: Path
) -> None:
    ada, bob = lab.person("ada"), lab.person("bob")
    session = start(ada, name="making-of-7f3a", image=sudo_image)
    install_wheel(lab, session, tmp_path)
    lab.run_in(session["id"], "sh", "-c", "echo mine > ~/private; echo x | sudo tee /etc/motd")
    lab.run_in(session["id"], "sh", "-c", "env | sudo tee /tmp/env /root/.bash_history > /dev/null")
    kernel = new_kernel(ada, session)
    container = container_of(lab, session)
    secrets = secrets_of(container, lab.docker.images.get(sudo_image).attrs["Config"]["Env"])
    assert len(secrets) > 10

    request = ask(ada, session, "with-thing")
    seen = next(
        each
        for each in lab.admin.api.get("/image-requests", params={"all": "1"}).json()[
            "image_requests"
        ]
        if each["id"] == request["id"]
    )
    assert seen["size_bytes"] > 0
    paths = {entry["path"] for entry in seen["diff"]["paths"]}
    assert "/etc/motd" in paths
    assert not any(path.startswith(("/tmp", "/root/.bash")) for path in paths)
    approve(lab, request)
    reference = saved(ada, request)

    container.reload()
    assert container.status == "running"
    assert kernels(ada, session) == [kernel]
    assert kernel in kernel_processes(lab, session)
    assert traces_in_image(lab.docker, reference, secrets) == []
    config = lab.docker.images.get(reference).attrs["Config"]
    assert config["Env"] == lab.docker.images.get(sudo_image).attrs["Config"]["Env"]
    assert not config["Hostname"]
    assert interim_images(lab) == []
    ada.stop_all()

    again = start(ada, name="again", image=reference)
    script = f"{PYTHON} -c 'import private_thing; print(private_thing.ANSWER)'; cat /etc/motd"
    assert lab.run_in(again["id"], "sh", "-c", script) == "42\nx"
    left = "sudo ls /root/.bash_history /tmp/env 2>/dev/null || true"
    assert lab.run_in(again["id"], "sh", "-c", left) == ""
    home = lab.docker.containers.run(
        reference, ["ls", "-A", "/home/work"], entrypoint="", remove=True
    )
    assert b"private" not in home
    ada.stop_all()

    nobody_else_sees(bob, reference)
    until(lambda: lab.containers() == [], what="no container is left")
    pulled_back(lab, registry, reference)
    delete(ada, lab, reference)


def nobody_else_sees(bob: Person, reference: str) -> None:
    assert reference not in bob.api.get("/images").text
    assert bob.api.get(f"/images/{reference}").status_code == 404
    body = {**SMALL, "image": reference}
    for path in ("/sessions", "/dry-run"):
        assert bob.api.post(path, json=body).status_code == 400
    bob.web.get("/hub/home")
    assert reference not in bob.web.get("/hub/spawn").text
    bob.hub.post("/users/bob/server", json=body)
    assert bob.live() == []


def pulled_back(lab: Lab, registry: Registry, reference: str) -> None:
    """The registry has it, whole."""
    name = reference.removeprefix(f"{registry.host}/").rpartition(":")[0]
    assert name in registry.repositories()
    before = lab.docker.images.get(reference).id
    lab.docker.images.remove(reference)
    login = {"username": registry.user, "password": REGISTRY_PASSWORD}
    pulled = lab.docker.images.pull(*reference.rsplit(":", 1), auth_config=login)
    assert pulled.id == before


def delete(ada: Person, lab: Lab, reference: str) -> None:
    confirm = {"confirm": reference.rpartition("/")[2]}
    assert ada.api.delete(f"/images/{reference}", params={"confirm": "no"}).status_code == 400
    assert ada.api.delete(f"/images/{reference}", params=confirm).status_code == 200
    assert ada.api.get(f"/images/{reference}").status_code == 404
    until(
        lambda: not any(reference in image.tags for image in lab.docker.images.list()),
        what="the engine has removed it",
    )


def test_kill_9_in_commit_cleaning_and_push_loses_nothing_and_leaves_nothing(
    lab: Lab, sudo_image: str, registry: Registry
) -> None:
    ada, bob = lab.person("ada"), lab.person("bob")
    session = start(ada, name="killed-9c1e", image=sudo_image)
    lab.run_in(session["id"], "sudo", "dd", "if=/dev/urandom", "of=/srv/big", "bs=1M", "count=400")
    container = container_of(lab, session)
    secrets = secrets_of(container, lab.docker.images.get(sudo_image).attrs["Config"]["Env"])
    request = ask(ada, session, "big")
    approve(lab, request)

    def is_paused() -> bool:
        container.reload()
        return bool(container.attrs["State"]["Paused"])

    until(is_paused, what="the commit has begun")
    kill(lab, "service")
    reached(ada, request, "cleaning")
    assert not is_paused()
    until(lambda: state_of(ada, request)["progress"] > 0.15, limit_s=SAVED_LIMIT_S)
    kill(lab, "service")
    assert "big" not in bob.api.get("/images").text
    reached(ada, request, "pushing")
    kill(lab, "service")
    reference = saved(ada, request)

    assert not is_paused()
    assert traces_in_image(lab.docker, reference, secrets) == []
    assert interim_images(lab) == []
    assert list((lab.data / "saving").glob("*")) == []
    name = reference.removeprefix(f"{registry.host}/").rpartition(":")[0]
    assert name in registry.repositories()
    ada.stop_all()
    until(lambda: lab.containers() == [], what="no container is left")


def reached(person: Person, request: dict[str, Any], state: str) -> None:
    def now() -> bool:
        row = state_of(person, request)
        assert row["state"] != "failed", row
        return bool(row["state"] == state)

    until(now, limit_s=SAVED_LIMIT_S, what=f"the request is {state}")

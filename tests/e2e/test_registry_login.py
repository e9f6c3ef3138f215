"""A registry with a password: pushed with what ``docker login`` keeps, or told why not."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from hub_ext.images.pushing import push_image
from hub_ext.nodes.docker_images import DockerImages
from tests.e2e.docker_registry import Registry

PASSWORD = "right-7c1d"


@pytest.fixture
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(tmp_path, request.param)
    yield registry
    registry.close()


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ``docker login`` keeps what it knows; nothing yet."""
    directory = tmp_path / "docker"
    directory.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    return directory


@pytest.fixture
def tiny(registry: Registry) -> Iterator[str]:
    """An image of one small file, named for the registry."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        entry = tarfile.TarInfo("hello")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"hello"))
    name = f"{registry.host}/lab/tiny"
    client = docker.from_env()
    client.api.import_image_from_data(layer.getvalue(), repository=name, tag="1")
    yield f"{name}:1"
    client.images.remove(f"{name}:1", force=True)
    client.close()


def pushed(reference: str) -> str:
    """Why not; "" when it is there."""
    return push_image(DockerImages(), reference, lambda _part: None, pause=lambda _s: None)


def is_here(reference: str) -> bool:
    return DockerImages().image(reference) is not None


@pytest.mark.parametrize("registry", [PASSWORD], indirect=True)
def test_a_login_opens_the_registry_from_the_next_push_on(
    registry: Registry, account: Path, tiny: str
) -> None:
    problem = pushed(tiny)
    assert problem == (
        f"The image can be used here, but was not pushed to {registry.host}: that registry asks for"
        f" a user and password. For an admin: run `docker login {registry.host}` in the account of"
        " the service, then push it again."
    )
    registry.log_in(account, "wrong")
    problem = pushed(tiny)
    assert "that registry refuses the user and password that it was given" in problem
    assert f"run `docker login {registry.host}`" in problem
    assert "wrong" not in problem
    assert is_here(tiny)
    assert registry.repositories() == []

    registry.log_in(account, PASSWORD)
    assert pushed(tiny) == ""
    assert registry.repositories() == ["lab/tiny"]


@pytest.mark.filterwarnings("ignore:docker-credential-not-here")
@pytest.mark.parametrize("registry", [PASSWORD], indirect=True)
def test_a_helper_that_keeps_the_passwords_and_is_missing_is_named(
    registry: Registry, account: Path, tiny: str
) -> None:
    (account / "config.json").write_text('{"credsStore": "not-here"}')
    problem = pushed(tiny)
    assert "The helper that keeps the passwords of `docker login`" in problem
    assert "docker-credential-not-here" in problem
    assert is_here(tiny)


@pytest.mark.parametrize("registry", [""], indirect=True)
def test_an_open_registry_needs_no_login(registry: Registry, account: Path, tiny: str) -> None:
    assert pushed(tiny) == ""
    assert registry.repositories() == ["lab/tiny"]

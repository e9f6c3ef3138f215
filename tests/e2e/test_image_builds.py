"""Building images on the real engine: nothing of this machine stays, nothing is done twice."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from hub_ext.images.build import build_images, connect
from hub_ext.images.failure import ImageBuildError
from hub_ext.images.progress import BuildEvent
from hub_ext.images.recipes import DEFAULT_DIRECTORY
from hub_ext.images.site import SiteSettings, read_site
from tests.e2e.image_mirror import Mirror, certificate_line, traces_in_image
from tests.e2e.image_sessions import BASE, VERSIONS


@pytest.fixture(scope="module")
def client() -> Any:
    """The engine, with all images built."""
    client = connect()
    build_images(client)
    return client


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    mirror = Mirror(tmp_path)
    yield mirror
    mirror.close()


@pytest.fixture
def private(client: Any, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Recipes with one more image, which needs a package of the mirror; its reference."""
    directory = tmp_path / "images"
    copytree(DEFAULT_DIRECTORY, directory)
    (directory / "private").mkdir()
    for name in ("Dockerfile", "without.txt"):
        (directory / "private" / name).write_bytes((directory / "data-science" / name).read_bytes())
    (directory / "private/requirements.txt").write_text("private-thing\n")
    tag = f"private-{uuid.uuid4().hex[:8]}:1"
    with (directory / "images.toml").open("a") as recipes:
        recipes.write(
            f'\n[[image]]\ntag = "{tag}"\nparent = "base:{{version}}"\ndirectory = "private"\n'
            '[image.labels]\nfamily = "private"\nversion = "1"\n'
        )
    yield f"apportion/{tag}", directory
    for image in client.images.list(name=f"apportion/{tag}"):
        client.images.remove(image.id, force=True)


def output_of(client: Any, image: str, *command: str) -> str:
    """What a command prints in a container, read when it has ended."""
    container = client.containers.run(image, list(command), detach=True)
    try:
        ended = container.wait(timeout=120)
        printed = str(container.logs().decode().strip())
        assert ended["StatusCode"] == 0, printed
        return printed
    finally:
        container.remove(force=True)


def test_a_private_mirror_and_its_ca_build_an_image_that_knows_neither(
    client: Any, private: tuple[str, Path], mirror: Mirror, tmp_path: Path
) -> None:
    reference, directory = private
    site = read_site(mirror.settings, tmp_path)

    build_images(client, [reference], directory=directory, site=site)

    script = "import private_thing as p; print(p.ANSWER)"
    assert output_of(client, reference, "python", "-c", script) == "42"
    needles = [
        certificate_line(mirror.certificate.read_bytes()),
        mirror.name.encode(),
        b"pass-of-reader",
        b"/build/site",
    ]
    assert traces_in_image(client, reference, needles) == []


def test_no_certificate_and_no_mirror_of_this_machine_is_in_a_catalogue_image(client: Any) -> None:
    site = read_site(os.environ, Path.home())
    added = [path.read_bytes() for path in Path("/usr/local/share/ca-certificates").rglob("*.crt")]
    needles = [
        b"/build/site",
        *(certificate_line(pem) for pem in added),
        *(directory.encode() + b"/" for directory in site.local_directories),
    ]

    assert traces_in_image(client, VERSIONS["1.9"], needles) == []


def test_no_pip_configuration_is_in_the_images(client: Any) -> None:
    printed = output_of(client, BASE, "pip", "config", "list")
    environment = client.images.get(BASE).attrs["Config"]["Env"]

    assert printed == ""
    assert not [entry for entry in environment if entry.startswith(("PIP_", "SSL_", "REQUESTS_"))]


def test_a_second_build_finds_everything_built(client: Any) -> None:
    states = set()

    built = build_images(client, report=lambda event: states.add(event.state))

    assert states == {"skipped"}
    assert not any(image.built for image in built)


def test_an_interrupted_build_goes_on_from_what_is_finished(
    client: Any, private: tuple[str, Path], mirror: Mirror, tmp_path: Path
) -> None:
    reference, directory = private
    build = partial(
        build_images,
        client,
        [reference],
        directory=directory,
        site=read_site(mirror.settings, tmp_path),
    )

    def interrupt(event: BuildEvent) -> None:
        if event.message == "Building the image":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(report=interrupt)
    mirror.close()
    events: list[BuildEvent] = []
    built = build(report=events.append)

    assert built[-1].built
    assert "Installing packages" not in {event.message for event in events}


def test_an_unreachable_index_is_named_with_a_way_out(
    client: Any, private: tuple[str, Path]
) -> None:
    reference, directory = private
    site = SiteSettings(
        {
            "pip.conf": b"[global]\nindex-url = http://localhost:1/simple\nretries = 1\n",
            "environment": b"PIP_CONFIG_FILE=/build/site/pip.conf\n",
        }
    )

    with pytest.raises(ImageBuildError, match="cannot be reached") as refusal:
        build_images(client, [reference], directory=directory, site=site)
    assert "mirror" in refusal.value.way_out
    assert not client.containers.list(all=True, filters={"name": "apportion-build-private"})


def test_a_full_disk_is_refused_before_anything_is_made(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub_ext.images.build.NEEDED_BYTES", 1 << 60)

    with pytest.raises(ImageBuildError, match=r"needs .* GiB of disk"):
        build_images(client, ["base"], force=True)


def test_a_large_image_is_refused_before_its_gigabytes_are_fetched(
    client: Any, private: tuple[str, Path]
) -> None:
    reference, directory = private
    recipes = directory / "images.toml"
    entry = 'directory = "private"\n'
    recipes.write_text(recipes.read_text().replace(entry, f"{entry}disk_gib = 1000000\n"))
    events: list[BuildEvent] = []

    with pytest.raises(ImageBuildError, match="needs 1000000 GiB of disk"):
        build_images(client, [reference], directory=directory, report=events.append)

    assert {event.state for event in events} == {"skipped"}


def test_an_absent_engine_is_named_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    with pytest.raises(ImageBuildError, match="No Docker Engine answers") as refusal:
        connect()
    assert "Start it" in refusal.value.way_out

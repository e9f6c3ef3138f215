"""The JupyterLab extension from its sources: types, logic and wheel, with real packages."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
import venv
import zipfile
from pathlib import Path
from shutil import copytree

import docker
import pytest

from hub_ext.doctor.engine import images
from hub_ext.doctor.finding import Deployment, Level
from hub_ext.images.labextension import find_node
from hub_ext.images.recipes import EXTENSION_LABEL, LABEXTENSION, PREBUILT

PLACE = "apportion_lab-0.1.0.data/data/share/jupyter/labextensions/apportion-lab"
_NOT_SOURCES = {"node_modules", "lib", "labextension", "__pycache__"}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of labextension/ in which nothing is built."""
    copy = tmp_path / "labextension"
    copytree(LABEXTENSION, copy, ignore=lambda folder, names: _NOT_SOURCES & set(names))
    return copy


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one, with its packages, in which all is built."""
    copy = tmp_path_factory.mktemp("built") / "labextension"
    copytree(LABEXTENSION, copy, ignore=lambda folder, names: _NOT_SOURCES & set(names))
    npm(copy, ["ci", "--ignore-scripts"], ["run", "build"])
    return copy


def npm(sources: Path, *commands: list[str]) -> None:
    """With the system's Node.js or that of PyPI."""
    node = find_node(sources.parent, os.environ, print)
    for arguments in commands:
        environ = node.environment(os.environ)
        subprocess.run([*node.npm, *arguments], cwd=sources, env=environ, check=True)


def test_the_types_fit_and_the_logic_does_what_its_tests_say(built: Path) -> None:
    tests = ["--prefix", "tests"]
    npm(built, ["run", "check"], [*tests, "ci", "--ignore-scripts"], [*tests, "test"])


def test_a_wheel_of_the_source_distribution_installs_where_there_is_no_node(
    built: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    environ = {"PATH": f"{programs}", "HOME": str(tmp_path)} | {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            [str(programs / command[0]), *command[1:]],
            cwd=built,
            env=environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    run("pip", "install", "-q", "hatchling", "jupyterlab")
    run("python", "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path))
    (source,) = tmp_path.glob("*.tar.gz")
    wheels = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    run("pip", "wheel", "-q", *wheels, str(source))
    (wheel,) = tmp_path.glob("*.whl")
    run("pip", "install", "-q", str(wheel))

    assert shutil.which("node", path=environ["PATH"]) is None
    listed = run("jupyter", "labextension", "list")
    (line,) = [line for line in listed.splitlines() if "apportion-lab" in line]
    assert "enabled" in line
    assert "OK" in line
    assert "apportion_lab" in run("jupyter", "server", "extension", "list")


def wheel_of(sources: Path) -> list[str]:
    """Names of the files in the wheel."""
    target = sources.parent / "wheels"
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(target)]
    subprocess.run([*command, str(sources)], check=True)
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        return file.namelist()


def test_a_wheel_has_the_prebuilt_extension_where_jupyterlab_looks(sources: Path) -> None:
    (sources / PREBUILT / "static").mkdir(parents=True)
    for name in ("package.json", "static/remoteEntry.js"):
        (sources / PREBUILT / name).write_text("{}")

    names = wheel_of(sources)

    for name in ("package.json", "install.json", "static/remoteEntry.js"):
        assert f"{PLACE}/{name}" in names
    assert not [name for name in names if name.startswith(PREBUILT)]


def test_a_wheel_of_what_is_not_built_has_the_server_part(sources: Path) -> None:
    names = wheel_of(sources)

    assert "apportion_lab/session.py" in names
    assert not [name for name in names if "labextensions" in name]


def test_doctor_names_images_that_were_built_without_the_extension() -> None:
    reference = f"apportion/without-extension:{uuid.uuid4().hex[:8]}"
    client = docker.from_env()
    with io.BytesIO() as empty:
        tarfile.open(fileobj=empty, mode="w").close()
        changes = [f"LABEL {EXTENSION_LABEL}=missing"]
        client.api.import_image_from_data(empty.getvalue(), *reference.split(":"), changes=changes)
    try:
        found = images(Deployment(Path(), None, {}, ""))
        (warned,) = [finding for finding in found if finding.level is Level.WARN]
        assert reference in warned.message
        assert "image build" in warned.way_out
    finally:
        client.images.remove(reference)
        client.close()

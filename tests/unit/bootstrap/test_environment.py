"""The project's own environment: made once, kept current, safe to interrupt."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hub_ext.bootstrap import environment
from hub_ext.bootstrap.deployment import PROJECT

FAKE_PYTHON = """#!/bin/sh
if [ "$2" = pip ]; then
    echo "$*" >> "$(dirname "$0")/../../pip.txt"
    [ -e "$(dirname "$0")/../../pip-fails" ] && { echo "no such index"; exit 1; }
    exit 0
fi
printf '%s|' "$PWD" "$@"
"""


class Project:
    """A clone in a temporary directory whose environment has a fake Python."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.created = 0
        (root / "pyproject.toml").write_text("[project]\n")

    def create(self, root: Path) -> None:
        self.created += 1
        binaries = root / ".venv" / "bin"
        shutil.rmtree(root / ".venv", ignore_errors=True)
        binaries.mkdir(parents=True)
        (binaries / "python").write_text(FAKE_PYTHON)
        (binaries / "python").chmod(0o755)

    def installs(self) -> list[str]:
        path = self.root / "pip.txt"
        return path.read_text().splitlines() if path.exists() else []

    def marker(self) -> dict[str, object]:
        return json.loads((self.root / ".venv" / environment.MARKER).read_text())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    root = tmp_path / "clone"
    root.mkdir()
    made = Project(root)
    monkeypatch.setattr(environment, "_create", made.create)
    return made


def test_first_run_makes_the_environment_and_installs_the_project(project: Project) -> None:
    environment.ensure_environment(project.root)

    assert project.created == 1
    assert project.installs() == [f"-m pip install --no-input -e {project.root}"]
    assert project.marker()["extras"] == []


def test_second_run_does_nothing(project: Project) -> None:
    environment.ensure_environment(project.root)
    environment.ensure_environment(project.root)

    assert project.created == 1
    assert len(project.installs()) == 1


def test_changed_pyproject_installs_again_into_the_same_environment(project: Project) -> None:
    environment.ensure_environment(project.root)
    (project.root / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    environment.ensure_environment(project.root)

    assert project.created == 1
    assert len(project.installs()) == 2


def test_extras_once_installed_are_kept_by_later_runs(project: Project) -> None:
    environment.ensure_environment(project.root, ["test", "local"])
    (project.root / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    environment.ensure_environment(project.root)

    assert project.installs()[1].endswith(f"{project.root}[local,test]")
    assert project.marker()["extras"] == ["local", "test"]


def test_missing_extra_installs_though_pyproject_is_the_same(project: Project) -> None:
    environment.ensure_environment(project.root)
    environment.ensure_environment(project.root, ["local"])

    assert project.installs()[1].endswith("[local]")


def test_failed_install_says_why_and_is_made_anew_next_time(project: Project) -> None:
    switch = project.root / "pip-fails"
    switch.touch()
    with pytest.raises(environment.SetupError, match="no such index") as failure:
        environment.ensure_environment(project.root)
    switch.unlink()
    environment.ensure_environment(project.root)

    assert environment.SETUP_LOG in str(failure.value)
    assert project.created == 2


def test_interrupted_update_is_not_taken_for_complete(project: Project) -> None:
    environment.ensure_environment(project.root)
    (project.root / "pyproject.toml").write_text("changed")
    (project.root / "pip-fails").touch()
    with pytest.raises(environment.SetupError):
        environment.ensure_environment(project.root)
    (project.root / "pyproject.toml").write_text("[project]\n")
    (project.root / "pip-fails").unlink()

    environment.ensure_environment(project.root)

    assert project.created == 2


def test_environment_whose_python_vanished_is_made_anew(project: Project) -> None:
    environment.ensure_environment(project.root)
    (project.root / ".venv" / "bin" / "python").unlink()
    environment.ensure_environment(project.root)

    assert project.created == 2


def test_of_two_runs_at_once_only_one_installs(project: Project) -> None:
    barrier = threading.Barrier(2)

    def run() -> None:
        barrier.wait()
        environment.ensure_environment(project.root)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(project.installs()) == 1


def test_python_without_ensurepip_is_completed_by_apt_as_root(
    programs: Callable[[str, str], Path],
    calls: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare = programs("bare-python", "exit 1")
    programs("apt-get", "")
    monkeypatch.setattr(environment.sys, "executable", str(bare))
    monkeypatch.setattr(environment.os, "geteuid", lambda: 0)

    environment._require_venv_module()

    assert any("install python3." in call and call.endswith("-venv") for call in calls())


def test_python_without_ensurepip_says_what_to_install_when_not_root(
    programs: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = programs("bare-python", "exit 1")
    monkeypatch.setattr(environment.sys, "executable", str(bare))
    monkeypatch.setattr(environment.os, "geteuid", lambda: 1000)

    with pytest.raises(environment.SetupError, match=r"sudo apt-get install python3\.\d+-venv"):
        environment._require_venv_module()


@pytest.fixture
def clone(project: Project) -> Path:
    """A clone with the real script and an environment that is current."""
    (project.root / "hub_ext" / "bootstrap").mkdir(parents=True)
    shutil.copy(PROJECT / "apportion", project.root)
    shutil.copy(environment.__file__, project.root / "hub_ext" / "bootstrap" / "environment.py")
    environment.ensure_environment(project.root)
    return project.root


def test_script_passes_every_argument_on_and_stays_in_the_folder(
    clone: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(clone / "apportion")
    result = subprocess.run(
        [link, "submit", "two words", "--x=*"], cwd=tmp_path, capture_output=True, text=True
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{tmp_path}|-m|hub_ext.cli|submit|two words|--x=*|"


def test_script_works_with_standard_input_closed(clone: Path) -> None:
    result = subprocess.run(
        ["sh", "-c", "./apportion list <&-"], cwd=clone, capture_output=True, text=True
    )

    assert result.returncode == 0, result.stderr
    assert "|list|" in result.stdout


def test_script_says_so_when_there_is_no_new_enough_python(clone: Path) -> None:
    result = subprocess.run(
        [clone / "apportion", "up"],
        env={**os.environ, "APPORTION_PYTHON": "python-of-the-past"},
        capture_output=True,
        text=True,
    )

    assert result.returncode == 1
    assert "Python 3.11 or newer was not found" in result.stderr
    assert "Traceback" not in result.stderr

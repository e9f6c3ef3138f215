"""One term of a course by the command line: project, member, sessions, a restart, the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import BASE
from tests.e2e.lab import PROJECT, Lab, Person, until
from tests.e2e.test_restarts import kill, serves

COMMAND = [sys.executable, "-m", "hub_ext.cli"]
SMALL = ("-i", BASE, "-c", "0.2", "--memory", "512M")
LONGEST_S = 120


class Shell:
    """Somebody's terminal of 80 columns, on a machine of his own."""

    def __init__(self, person: Person, home: Path) -> None:
        self.person = person
        others = {key: value for key, value in os.environ.items() if "APPORTION" not in key}
        self.environment = {**others, "XDG_CONFIG_HOME": str(home), "COLUMNS": "80"}
        self.environment.pop("JUPYTERHUB_API_TOKEN", None)
        told = self.run(
            "login", "--url", f"{person.lab.url}/hub/home", "--token-stdin", person.token
        )
        assert told == f"Logged in at {person.lab.url} as {person.name}.\n"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """``apportion ARGUMENTS``, and do not wait for it."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=PROJECT,
            env=self.environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        """Its standard output; of one that shall fail, its errors.

        After --token-stdin comes what is typed.
        """
        typed = ""
        if "--token-stdin" in arguments:
            *arguments, typed = arguments  # type: ignore[assignment]
        process = self.start(*arguments)
        output, errors = process.communicate(typed, timeout=LONGEST_S)
        assert process.returncode == code, f"{arguments}: {output}{errors}"
        assert self.person.token not in output + errors
        return errors if code else output

    def json(self, *arguments: str) -> dict[str, Any]:
        """What ``--json`` prints."""
        return dict(json.loads(self.run(*arguments, "--json")))


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "2x8GiB")


@pytest.fixture(scope="module")
def admin(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(lab.admin, tmp_path_factory.mktemp("admin"))


@pytest.fixture(scope="module")
def student(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(lab.person("student"), tmp_path_factory.mktemp("student"))


def test_a_course_by_the_command_line(
    lab: Lab, admin: Shell, student: Shell, tmp_path: Path
) -> None:
    admin.run("project", "create", "ml101", "--quota-fgpu", "1", "--limit-fgpu", "1.5")
    assert "no such project" in student.run("project", "get", "ml101", code=1)
    roster = tmp_path / "roster.csv"
    roster.write_text("user,role\nstudent\nteacher,instructor\n")
    assert "2 add" in admin.run("project", "member", "import", "ml101", str(roster))
    admin.run("project", "member", "set", "ml101", "student", "--max-lifetime", "8h")
    assert "lifetime 8h" in admin.run("project", "member", "list", "ml101")
    assert "member" in student.run("project", "list")

    student.run("submit", "--name", "first", "-p", "ml101", "-g", "1", *SMALL, "--wait")
    (first,) = student.json("list", "--status", "running")["sessions"]
    assert first["lifetime_s"] == 8 * 3600
    # the hub adds its route a moment after the session has said that it runs
    until(lambda: serves(student.person, first), what="it is served")
    assert "its limit of 1.5 fGPU" in _one_line(student.run("submit", "-g", "2", *SMALL, code=1))

    # Over the quota and not to be reclaimed: it waits until that is changed.
    waits = student.start(
        "submit", "--name", "second", "-p", "ml101", "-g", "0.5", *SMALL, "--wait"
    )
    second = until(lambda: _named(student, "second"), what="the second is in the queue")
    assert second["status"] == "PENDING"
    assert "quota" in _one_line(student.run("list"))
    kill(lab, "service")
    assert waits.poll() is None
    student.run("set", "second", "--preemptible", "--lifetime", "90m")
    output, errors = waits.communicate(timeout=LONGEST_S)
    assert waits.returncode == 0, output + errors
    assert "RUNNING" in output
    assert "its service 'apportion' does not" in errors

    story = student.json("get", "second", "--history")
    assert story["lifetime_s"] == 5400
    assert story["history"][0]["to"] == "PENDING"
    assert story["history"][-1]["to"] == "RUNNING"
    everybody = admin.json("list", "--all", "--project", "ml101")["sessions"]
    assert {each["name"] for each in everybody} == {"first", "second"}

    admin.run("delete", "--yes", first["id"][:8])
    student.run("delete", "--yes", "second")
    until(lambda: not student.json("list")["sessions"], what="both have ended")
    assert "TERMINATED" in student.run("list", "--ended")
    admin.run("project", "archive", "ml101")
    lab.books_balance()


def test_nodes_and_resource_groups(admin: Shell, student: Shell) -> None:
    (node,) = admin.json("node", "list")["nodes"]
    admin.run("resource-group", "create", "night", "--hours", "mon-fri 18:00-08:00")
    admin.run("node", "group", node["name"], "night")
    admin.run("node", "label", node["name"], "rack=r1")
    assert "rack=r1" in admin.run("node", "list")
    assert node["name"] in admin.run("resource-group", "list")
    admin.run("node", "group", node["name"], "default")
    admin.run("resource-group", "delete", "night")

    admin.run("node", "drain", node["name"])
    assert "drained" in admin.run("node", "list")
    told = student.run("submit", "-g", "1", *SMALL, "--dry-run")
    assert "Starts now" not in told
    admin.run("node", "resume", node["name"])
    assert "Starts now" in student.run("submit", "-g", "1", *SMALL, "--dry-run")
    assert "Only an admin" in student.run("node", "drain", node["name"], code=1)


def test_a_stopped_deployment_says_how_to_start_it(lab: Lab, student: Shell) -> None:
    lab.stop()
    assert "./apportion up" in student.run("list", code=1)


def _named(shell: Shell, name: str) -> dict[str, Any] | None:
    """A live session after the scheduler's first look at it."""
    for session in shell.json("list")["sessions"]:
        if session["name"] == name and (session["reason"] or {}).get("code") != "new":
            return dict(session)
    return None


def _one_line(text: str) -> str:
    return " ".join(text.split())

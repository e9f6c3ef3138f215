"""A whole deployment for a test: ``up`` on free ports, its people, its API, its browser."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import docker
import httpx

PROJECT = Path(__file__).parents[2]
PASSWORD = "a long pass phrase 7"
SERVICE = "/services/apportion"
API = f"{SERVICE}/api/v1"
SHOTS = PROJECT / "test-results"

_T = TypeVar("_T")


def until(condition: Callable[[], _T], *, limit_s: float = 60, what: str = "") -> _T:
    """Ask again until the answer is truthy; AssertionError with the last answer otherwise."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s} s: {what or condition} (last: {answer!r})")
        time.sleep(0.1)


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Person:
    """Somebody with an account: a browser-like HTTP client and a token."""

    def __init__(self, lab: Lab, name: str, password: str) -> None:
        self.lab, self.name, self.password = lab, name, password
        self.web = httpx.Client(base_url=lab.url, follow_redirects=True, timeout=60)
        self.login()
        answer = self.web.post(
            f"/hub/api/users/{name}/tokens", headers=self.xsrf("/hub/"), json={"note": "test"}
        )
        answer.raise_for_status()
        self.token = str(answer.json()["token"])
        headers = {"Authorization": f"token {self.token}"}
        self.api = httpx.Client(base_url=lab.url + API, headers=headers, timeout=60)
        self.hub = httpx.Client(base_url=f"{lab.url}/hub/api", headers=headers, timeout=60)

    def login(self) -> None:
        """Through the hub's login form."""
        self.web.get("/hub/login")
        form = {
            "username": self.name,
            "password": self.password,
            "_xsrf": self.web.cookies.get("_xsrf", path="/hub/"),
        }
        answer = self.web.post("/hub/login?next=/hub/token", data=form)
        assert answer.url.path == "/hub/token", f"{self.name} cannot log in: {answer.url}"

    def xsrf(self, path: str) -> dict[str, str]:
        """The header that cookie-authenticated changes need."""
        return {"X-XSRFToken": self.web.cookies.get("_xsrf", path=path) or ""}

    def submit(self, **request: Any) -> list[dict[str, Any]]:
        """POST /sessions; the stored sessions."""
        answer = self.api.post("/sessions", json=request)
        assert answer.status_code == 201, answer.text
        return list(answer.json()["sessions"])

    def session(self, session_id: str) -> dict[str, Any]:
        """One session as it is now."""
        answer = self.api.get(f"/sessions/{session_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def live(self) -> list[dict[str, Any]]:
        """The live sessions, in order of submission."""
        answer = self.api.get("/sessions", params={"live": "1", "limit": "500"})
        return list(reversed(answer.json()["sessions"]))

    def running(self, session_id: str, limit_s: float = 90) -> dict[str, Any]:
        """Wait until it runs; fails at once when it has ended."""

        def runs() -> dict[str, Any] | None:
            session = self.session(session_id)
            assert session["ended_at"] is None, session
            return session if session["status"] == "RUNNING" else None

        return until(runs, limit_s=limit_s, what=f"{session_id} runs")

    def stop_all(self) -> None:
        """Stop or cancel everything, and wait until it has ended."""
        for session in self.live():
            self.api.delete(f"/sessions/{session['id']}")
        until(lambda: not self.live(), what=f"the sessions of {self.name} have ended")


class Lab:
    """One ``up``: started, and stopped with everything that it started."""

    def __init__(self, data: Path, *options: str, config: Path | None = None) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.options = [*options, *(("--config", str(config)) if config else ())]
        self.docker = docker.from_env()
        self.people: dict[str, Person] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.start()
        match = re.search(r"Password\s+(\S+)", self.output())
        assert match is not None, self.output()
        self.admin = Person(self, "admin", match[1])

    @property
    def settings(self) -> dict[str, Any]:
        """Ports and secrets of the deployment."""
        return dict(json.loads((self.data / "settings.json").read_text()))

    def start(self) -> None:
        """``up``, until it says that it runs."""
        command = [sys.executable, "-m", "hub_ext.cli", "up", "--no-image-build"]
        command += ["--data", str(self.data), "--port", str(self.port), *self.options]
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "up.out").open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "COLUMNS": "120"},
            )
        started = self.output().count("is running at")

        def runs() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.output()
            return self.output().count("is running at") > started

        until(runs, limit_s=120, what="up says that it runs")

    def output(self) -> str:
        """What ``up`` has printed."""
        return (self.data / "up.out").read_text()

    def log(self, name: str) -> str:
        """A log file of the deployment."""
        return (self.data / "log" / f"{name}.log").read_text()

    def stop(self) -> None:
        """Ctrl-C."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def close(self) -> None:
        """Ctrl-C, then remove containers and network of this deployment, by its id."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        for container in self.containers():
            container.remove(force=True, v=True)
        for network in self.docker.networks.list(filters={"label": [self.label]}):
            network.remove()
        self.docker.close()

    @property
    def label(self) -> str:
        """The label of everything that this deployment has in Docker."""
        return f"org.apportion.deployment={self.settings['deployment_id']}"

    def containers(self, session_id: str | None = None) -> list[Any]:
        """The containers of this deployment, or of one session."""
        labels = [self.label]
        if session_id is not None:
            labels.append(f"org.apportion.session={session_id}")
        return list(self.docker.containers.list(all=True, filters={"label": labels}))

    def run_in(self, session_id: str, *command: str) -> str:
        """Output of a command in a session's container, as the session's own user."""
        (container,) = self.containers(session_id)
        code, output = container.exec_run(list(command))
        assert code == 0, output.decode()
        return str(output.decode().strip())

    def person(self, name: str) -> Person:
        """Signs up, is let in by the admin, logs in."""
        if name not in self.people:
            with httpx.Client(base_url=self.url, follow_redirects=True, timeout=60) as web:
                web.get("/hub/signup")
                form = {
                    "username": name,
                    "signup_password": PASSWORD,
                    "signup_password_confirmation": PASSWORD,
                    "_xsrf": web.cookies.get("_xsrf", path="/hub/"),
                }
                web.post("/hub/signup", data=form).raise_for_status()
            self.admin.web.get(f"/hub/authorize/{name}").raise_for_status()
            self.people[name] = Person(self, name, PASSWORD)
        return self.people[name]

    def books_balance(self) -> None:
        """No slice is booked, no session lives, no container is there, no server is active."""
        answer = self.admin.api.get("/nodes").json()
        for node in answer["nodes"]:
            assert node["cpu_milli_booked"] == 0, node
            assert node["memory_mib_booked"] == 0, node
            assert all(device["milli_booked"] == 0 for device in node["devices"]), node
        users = self.admin.hub.get("/users", params={"state": "active"}).json()
        assert users == [], users
        assert self.containers() == []

"""The panel's whole way: a session's JupyterLab, the hub, the service; links that let others in."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.e2e.process_hub import LABEXTENSION, ROOT, ProcessHub

IPYTHON_CONFIG = ROOT / "images/base/rootfs/opt/apportion/etc/ipython/ipython_config.py"
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessHub]:
    """One hub for all; everybody has his own session."""
    hub = ProcessHub(tmp_path_factory.mktemp("hub"), gpus="8x16GiB")
    yield hub
    hub.stop()


class Person:
    """Somebody with a browser, logged in by the hub's form."""

    def __init__(self, hub: ProcessHub, name: str) -> None:
        self.hub, self.name = hub, name
        self.browser = httpx.Client(base_url=hub.url, follow_redirects=True, timeout=30)
        page = self.browser.get("/hub/login").text
        fields = {"username": name, "password": "x", "_xsrf": xsrf_of(page)}
        assert self.browser.post("/hub/login", data=fields).is_success

    def start(self, **options: Any) -> None:
        """A session of his own."""
        asked = {"project": "default", "fgpu": 0.5, "cpu": 0.5, "memory_mib": 512}
        self.hub.spawn(self.name, **asked, **options)
        self.hub.wait_ready(self.name)
        self.enter(self.name)

    def enter(self, owner: str) -> httpx.Response:
        """Open the owner's JupyterLab, by way of the hub's login."""
        return self.authorize(self.browser.get(f"/user/{owner}/lab"))

    def authorize(self, page: httpx.Response) -> httpx.Response:
        """In the session of somebody else the hub asks once more: click on "Authorize"."""
        if "/oauth2/authorize" not in page.url.path or not page.is_success:
            return page
        scopes = re.findall(r'name="scopes" value="([^"]+)"', page.text)
        fields = {"scopes": scopes, "_xsrf": xsrf_of(page.text)}
        return self.browser.post(page.url, data=fields)

    def accept(self, link: str) -> httpx.Response:
        """Open a link to a session of somebody else, and confirm."""
        page = self.browser.get(link)
        if not page.is_success:
            return page
        fields = {"code": link.partition("code=")[2], "_xsrf": xsrf_of(page.text)}
        return self.authorize(self.browser.post("/hub/accept-share", data=fields))

    def ask(self, method: str, path: str, body: Any = None, *, owner: str = "") -> dict[str, Any]:
        """As a page of the owner's JupyterLab does."""
        answer = self.request(method, path, body, owner=owner)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return dict(answer.json())

    def request(
        self, method: str, path: str, body: Any = None, *, owner: str = ""
    ) -> httpx.Response:
        """The same, whatever the answer."""
        owner = owner or self.name
        jar = self.browser.cookies.jar
        tokens = [each.value for each in jar if each.name == "_xsrf" and owner in each.path]
        headers = {"X-XSRFToken": tokens[0] or ""} if tokens else {}
        return self.browser.request(
            method, f"/user/{owner}/apportion/{path}", json=body, headers=headers
        )

    async def connect(self, owner: str) -> WebSocketClientConnection:
        """A websocket to the owner's server, as JupyterLab opens some: the one for its events."""
        cookies = [each for each in self.browser.cookies.jar if f"/user/{owner}/" in each.path]
        headers = {"Cookie": "; ".join(f"{each.name}={each.value}" for each in cookies)}
        address = f"{self.hub.url.replace('http', 'ws')}/user/{owner}/api/events/subscribe"
        return await websocket_connect(HTTPRequest(address, headers=headers))


def xsrf_of(page: str) -> str:
    found = re.search(r'name="_xsrf"\s+value="([^"]+)"', page)
    assert found is not None, page[:2000]
    return found[1]


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def server_environment(user: str) -> dict[str, str]:
    """Of the user's Jupyter server, as every kernel of it has it."""
    prefix = f"JUPYTERHUB_SERVICE_PREFIX=/user/{user}/".encode()
    for process in Path("/proc").iterdir():
        try:
            values = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if prefix in values:
            pairs = [value.decode().partition("=") for value in values if value]
            return {name: value for name, _, value in pairs}
    raise AssertionError(f"{user}'s server does not run")


def test_the_panel_is_answered_and_obeyed_by_way_of_the_hub(hub: ProcessHub) -> None:
    ann = Person(hub, "ann")
    ann.start(lifetime_s=7200)
    panel = ann.ask("GET", "panel")["panel"]

    extended = ann.ask("POST", "session/extend", {"seconds": 3600})
    wrong = ann.ask("POST", "session/extend", {"seconds": "long"})
    in_use = ann.ask("POST", "session/in-use", {})
    no_image = ann.ask("POST", "image-request", {"name": "course"})

    assert (panel["fgpu"], panel["simulated"], panel["enforcer"]) == (0.5, True, None)
    assert panel["time"]["seconds_left"] == pytest.approx(7200, abs=60)
    assert panel["can"] == {"extend": True, "stop": True, "image_request": False, "share": True}
    assert extended["session"]["time"]["seconds_left"] == pytest.approx(3 * 3600, abs=60)
    assert (wrong["state"], wrong["error"]["field"]) == ("failed", "seconds")
    assert in_use["state"] == "ok"
    assert no_image["state"] == "failed", "processes cannot become images"
    page = ann.browser.get(panel["links"]["page"])
    assert page.is_success
    assert "0.5" in page.text


def test_the_magic_says_the_same_and_extends(hub: ProcessHub, tmp_path: Path) -> None:
    environment = server_environment("ann") | {"IPYTHONDIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(LABEXTENSION), str(ROOT)])

    def run(line: str) -> str:
        command = [sys.executable, "-m", "IPython", f"--config={IPYTHON_CONFIG}", "-c", line]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    assert "0.5 fGPU (8 GiB, simulated)" in run("%apportion")
    assert "Extended by 30 min. Time left: 3 h" in run("%apportion extend 30m")
    assert "is no length of time" in run("%apportion extend a bit")


def test_a_link_lets_somebody_in_until_it_is_taken_back(hub: ProcessHub) -> None:
    ann, bob, eve = Person(hub, "ann"), Person(hub, "bob"), Person(hub, "eve")
    ann.enter("ann")
    assert bob.enter("ann").status_code == 403

    link = ann.ask("POST", "session/share", {})
    shared = ann.ask("GET", "panel")["panel"]["shared"]
    entered = bob.accept(link["url"])
    seen = bob.ask("GET", "session", owner="ann")
    taken_back = ann.ask("DELETE", "session/share")

    assert link["seconds_left"] == 24 * 3600
    assert shared is True
    assert entered.is_success
    assert seen["session"]["name"] == ann.ask("GET", "session")["session"]["name"]
    assert taken_back == {"state": "ok"}
    assert bob.request("GET", "session", owner="ann").status_code == 403
    assert bob.enter("ann").status_code == 403
    assert eve.accept(link["url"]).status_code == 404
    assert ann.ask("GET", "panel")["panel"]["shared"] is False


async def test_who_has_lost_access_is_cut_off_and_the_owner_is_not(hub: ProcessHub) -> None:
    ann, bob = Person(hub, "ann"), Person(hub, "bob")
    ann.enter("ann")
    bob.accept(ann.ask("POST", "session/share", {})["url"])
    owners, guests = await ann.connect("ann"), await bob.connect("ann")

    await asyncio.to_thread(ann.ask, "DELETE", "session/share")
    said = await asyncio.wait_for(guests.read_message(), LIMIT_S)
    assert (said, guests.close_reason) == (None, "This session is not shared any more.")
    with pytest.raises(HTTPClientError, match="403"):
        await bob.connect("ann")
    assert owners.close_code is None
    owners.ping(b"")  # raises when it is closed
    owners.close()


def test_a_hub_that_was_killed_knows_session_and_links_again(hub: ProcessHub) -> None:
    zoe, bob = Person(hub, "zoe"), Person(hub, "bob")
    zoe.start()
    link = zoe.ask("POST", "session/share", {})
    before = zoe.ask("GET", "session")["session"]["id"]

    hub.restart()
    states: list[dict[str, Any]] = []

    def answers() -> bool:
        states.append(zoe.ask("GET", "session"))
        return states[-1]["state"] == "ok"

    until(answers, "the hub knows zoe's session")

    assert states[-1]["session"]["id"] == before
    assert {state["state"] for state in states} <= {"away", "ok"}
    assert zoe.ask("GET", "panel")["panel"]["shared"] is True
    assert bob.accept(link["url"]).is_success


def test_a_stop_from_the_panel_ends_the_session_and_what_its_link_gave(hub: ProcessHub) -> None:
    zoe, bob, eve = Person(hub, "zoe"), Person(hub, "bob"), Person(hub, "eve")
    zoe.enter("zoe")
    link = zoe.ask("POST", "session/share", {})
    assert bob.enter("zoe").is_success, "let in before"

    stopped = zoe.ask("POST", "session/stop", {})
    until(lambda: hub.server("zoe") == {}, "the hub has no server of zoe")
    zoe.start()

    assert stopped["session"]["status"] == "TERMINATING"
    assert eve.accept(link["url"]).status_code == 404
    assert bob.enter("zoe").status_code == 403, "a later session of zoe's is not his"

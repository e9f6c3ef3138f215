"""What a session does before and right after its server listens."""

from __future__ import annotations

import http.server
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apportion_lab
import pytest
from apportion_lab.mlflow_home import prepare_store, server_access, sqlite_path
from apportion_lab.readiness import ATTEMPTS, report_ready

LABEXTENSION = Path(apportion_lab.__file__).parents[1]
LOG = logging.getLogger(__name__)


class Hub(http.server.ThreadingHTTPServer):
    """Answers POSTs with the statuses it is given, then with 204."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.statuses = list(statuses)
        self.seen: list[tuple[str, str | None, str | None]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def environment(self) -> dict[str, str]:
        """What the spawner sets."""
        url = f"http://127.0.0.1:{self.server_address[1]}/hub/apportion/ready/ada/lab"
        return {"APPORTION_READY_URL": url, "JUPYTERHUB_API_TOKEN": "secret"}


class HubHandler(http.server.BaseHTTPRequestHandler):
    """Records what comes."""

    server: Hub

    def do_POST(self) -> None:
        headers = self.headers
        self.server.seen.append(
            (self.path, headers.get("Authorization"), headers.get("Content-Length"))
        )
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.shutdown()
    hub.server_close()


async def test_the_hub_is_told_once_with_the_servers_token(hub: Hub) -> None:
    assert await report_ready(LOG, hub.environment())

    assert hub.seen == [("/hub/apportion/ready/ada/lab", "token secret", "0")]


async def test_a_hub_that_stumbles_is_told_again(hub: Hub) -> None:
    hub.statuses = [503, 500]

    assert await report_ready(LOG, hub.environment(), pause_s=0)

    assert len(hub.seen) == 3


async def test_a_hub_that_refuses_does_not_end_the_session(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    hub.statuses = [403] * ATTEMPTS

    assert not await report_ready(LOG, hub.environment(), pause_s=0)

    assert "403" in caplog.text
    assert "secret" not in caplog.text


async def test_outside_apportion_nothing_is_sent() -> None:
    assert not await report_ready(LOG, {})


def test_a_new_home_gets_the_empty_store_once(tmp_path: Path) -> None:
    template, target = tmp_path / "template.db", tmp_path / "mlruns/mlflow.db"
    template.write_bytes(b"x" * 100_000)

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda _: prepare_store(target, template), range(32)):
            pass

    assert target.read_bytes() == template.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["mlflow.db"]


def test_runs_of_earlier_sessions_stay(tmp_path: Path) -> None:
    template, target = tmp_path / "template.db", tmp_path / "mlflow.db"
    template.write_bytes(b"empty")
    target.write_bytes(b"runs")

    prepare_store(target, template)

    assert target.read_bytes() == b"runs"


def test_an_image_without_a_store_gets_its_folder_all_the_same(tmp_path: Path) -> None:
    prepare_store(tmp_path / "mlruns/mlflow.db", tmp_path / "missing")

    assert list((tmp_path / "mlruns").iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:////home/work/mlruns/mlflow.db", Path("/home/work/mlruns/mlflow.db")),
        ("sqlite:///relative.db", None),
        ("postgresql://host/db", None),
        ("", None),
    ],
)
def test_only_an_absolute_sqlite_uri_names_a_file(uri: str, path: Path | None) -> None:
    assert sqlite_path(uri) == path


@pytest.mark.parametrize(
    ("url", "hosts", "origins"),
    [
        ("https://hub.example", "hub.example,hub.example:*", "https://hub.example"),
        ("http://hub.example:8000", "hub.example,hub.example:*", "http://hub.example:8000"),
        ("http://[::1]:8000/", "[::1],[::1]:*", "http://[::1]:8000"),
    ],
)
def test_mlflow_answers_under_the_hubs_address(url: str, hosts: str, origins: str) -> None:
    access = server_access({"APPORTION_PUBLIC_URL": url})

    assert access["MLFLOW_SERVER_ALLOWED_HOSTS"].endswith(f",{hosts}")
    assert access["MLFLOW_SERVER_ALLOWED_HOSTS"].startswith("localhost,")
    assert access["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == origins


def test_what_the_grant_says_about_mlflow_stays() -> None:
    given = {"MLFLOW_SERVER_ALLOWED_HOSTS": "a", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "b"}

    assert server_access(given) == {}


def test_the_lean_start_loads_no_database_and_leaves_the_real_modules_to_others() -> None:
    script = """
import sys
from apportion_lab import singleuser
with singleuser._stand_ins():
    import jupyterhub.scopes, jupyterhub.log, jupyterhub.services.auth
heavy = {"sqlalchemy.orm", "alembic", "aiohttp", "jupyterhub.orm", "jupyterhub.handlers"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
import sqlalchemy, aiohttp, jupyterhub.orm
assert sqlalchemy.select and aiohttp.ClientSession and jupyterhub.orm.User
assert jupyterhub.utils.aiohttp.ClientOSError is aiohttp.ClientOSError
assert jupyterhub.scopes.orm.User is jupyterhub.orm.User
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=LABEXTENSION)

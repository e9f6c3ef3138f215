"""``%apportion`` in a notebook, and the experiment and store that MLflow gets without setup."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apportion_lab
import pytest
from apportion_lab import magic
from apportion_lab.durations import duration_text, read_duration
from apportion_lab.magic import Problem, answer
from apportion_lab.mlflow_home import (
    mount_points,
    notebooks_experiment,
    projects_experiment,
    runs_folder,
    store_settings,
)

LABEXTENSION = Path(apportion_lab.__file__).parents[1]
ROOT = LABEXTENSION.parent
CONFIG = ROOT / "images/base/rootfs/opt/apportion/etc/ipython/ipython_config.py"
SESSION: dict[str, Any] = {
    "id": "a1",
    "name": "lab",
    "project": "ml101",
    "fgpu": 0.5,
    "gpu_memory_mib": 4096,
    "cpu_milli": 2000,
    "memory_mib": 8192,
    "simulated": True,
    "notice": None,
    "alerts": [],
    "use": {"gpu_memory_mib": None, "gpu": None, "cpu_milli": None, "memory_mib": None},
    "time": {"seconds_left": 5400.0, "code": "lifetime"},
}


class Hub(http.server.ThreadingHTTPServer):
    """Answers everything with ``body`` and ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.status = 200
        self.body: Any = SESSION
        self.seen: list[tuple[str, str, str, str | None]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What the spawner and the hub set."""
        base = f"http://127.0.0.1:{self.server_address[1]}"
        return {
            "APPORTION_SESSION_URL": f"{base}/hub/apportion/session/ada/lab",
            "JUPYTERHUB_API_TOKEN": "secret",
            "JUPYTERHUB_SERVICE_URL": f"http://0.0.0.0:{self.server_address[1]}/user/ada/lab/",
            "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/lab/",
        }


class HubHandler(http.server.BaseHTTPRequestHandler):
    """Records what comes."""

    server: Hub

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        self.server.seen.append((self.command, self.path, body, self.headers.get("Authorization")))
        content = json.dumps(self.server.body).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.shutdown()
    hub.server_close()


async def test_slice_and_time_left_are_printed_from_inside_a_running_kernel(hub: Hub) -> None:
    told = answer("", hub.environment)

    assert told.splitlines() == [
        "lab: 0.5 fGPU (4 GiB, simulated), 2 CPU cores, 8 GiB of memory; project ml101",
        "Time left: 1 h 30 min (lifetime)",
    ]
    assert hub.seen == [("GET", "/hub/apportion/session/ada/lab", "", "token secret")]


def test_use_warning_and_alerts_are_told(hub: Hub) -> None:
    hub.body = SESSION | {
        "use": {"gpu_memory_mib": 1024, "gpu": 0.25, "cpu_milli": 500, "memory_mib": 2048},
        "notice": {"code": "reclaim", "message": "Team-d needs it.", "seconds_left": 58.2},
        "alerts": [{"code": "folder", "message": "Folder data is full.", "ago_s": 3}],
    }

    told = answer("  ", hub.environment)

    assert "1 of 4 GiB of GPU memory, 25% of the slice's GPU time, 0.5 of 2 CPU cores" in told
    assert "Warning: it is stopped in 58 s. Team-d needs it." in told
    assert "Warning: Folder data is full." in told


def test_a_session_without_gpu_and_end_says_so(hub: Hub) -> None:
    hub.body = SESSION | {"fgpu": 0, "time": {"seconds_left": None, "code": None}}

    told = answer("", hub.environment)

    assert "lab: no GPU, 2 CPU cores" in told
    assert "Time left: no end in sight" in told


def test_extend_asks_for_so_many_seconds_and_says_what_is_left(hub: Hub) -> None:
    told = answer("extend 1h30m", hub.environment)

    ((method, path, body, token),) = hub.seen
    assert (method, path, token) == ("POST", "/hub/apportion/do/extend/ada/lab", "token secret")
    assert json.loads(body) == {"seconds": 5400}
    assert told == "Extended by 1 h 30 min. Time left: 1 h 30 min (lifetime)"


def test_apps_come_from_the_sessions_own_server(hub: Hub) -> None:
    hub.body = {
        "apps": [
            {"name": "mlflow", "title": "MLflow UI", "state": "ready", "url": "/user/ada/mlflow/"},
            {"name": "terminal", "title": "Terminal", "state": "ready"},
        ]
    }

    told = answer("apps", hub.environment)

    assert hub.seen[0][1] == "/user/ada/lab/apportion/apps"
    assert told.splitlines() == [
        "MLflow UI  ready      /user/ada/mlflow/",
        "Terminal   ready",
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("extend", "For how long?"),
        ("extend soon", "'soon' is no length of time"),
        ("extend 2", "'2' is no length of time"),
        ("extend 2h3", "no length of time"),
        ("extend 2h 2h", "no length of time"),
        ("extend -2h", "no length of time"),
        ("extend 0h", "from 1 minute to 366 days"),
        ("extend 9999d", "from 1 minute to 366 days"),
        ("stop", "There is no '%apportion stop'"),
        ("apps now", "There is no '%apportion apps now'"),
    ],
)
def test_what_it_does_not_understand_it_says_and_asks_nobody(
    hub: Hub, line: str, sentence: str
) -> None:
    with pytest.raises(Problem, match=sentence.replace("?", r"\?").replace("(", r"\(")):
        answer(line, hub.environment)

    assert hub.seen == []


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (422, {"error": {"code": "over_limit", "message": "Too long."}}, "Too long."),
        (403, "no", magic.REFUSED),
        (404, "no", magic.AWAY),
        (503, "no", magic.AWAY),
        (200, [], magic.AWAY),
    ],
)
def test_a_refusal_is_one_line(hub: Hub, status: int, body: Any, sentence: str) -> None:
    hub.status, hub.body = status, body

    with pytest.raises(Problem) as problem:
        answer("extend 2h", hub.environment)

    assert str(problem.value) == sentence


def test_a_hub_that_is_gone_is_one_line_without_addresses(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPORTION_SESSION_URL", "http://127.0.0.1:1/hub/apportion/session/a/b")

    magic.apportion("")

    assert capsys.readouterr().out == f"{magic.AWAY}\n"


def test_outside_apportion_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "APPORTION_SESSION_URL" not in os.environ
    for line in ("", "apps", "extend 2h"):
        magic.apportion(line)

    assert capsys.readouterr().out == f"{magic.OUTSIDE}\n" * 3


def test_every_kernel_of_the_image_has_it_from_the_start(hub: Hub, tmp_path: Path) -> None:
    code = "%apportion\nimport os; print(os.environ['MLFLOW_EXPERIMENT_NAME'])"
    environment = os.environ | hub.environment
    environment |= {
        "PYTHONPATH": str(LABEXTENSION),
        "IPYTHONDIR": str(tmp_path),
        "JPY_SESSION_NAME": "/home/work/First steps.ipynb",
        "APPORTION_PROJECT": "ml101",
    }
    command = [sys.executable, "-m", "IPython", f"--config={CONFIG}", "--colors=NoColor", "-c"]
    done = subprocess.run(
        [*command, code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )

    assert "lab: 0.5 fGPU (4 GiB, simulated)" in done.stdout
    assert done.stdout.splitlines()[-1] == "First steps"


def test_loading_it_costs_a_kernel_nothing_slow() -> None:
    slow = {"mlflow", "tornado", "jupyter_server"}
    code = f"import sys, apportion_lab.magic; print({slow} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(LABEXTENSION)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h", 7200),
        ("90m", 5400),
        ("1h30m", 5400),
        ("1h 30 min", 5400),
        ("30 min", 1800),
        ("1.5 hours", 5400),
        ("1 day", 86400),
        (" 2H ", 7200),
    ],
)
def test_lengths_of_time_as_people_type_them(text: str, seconds: int) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (119.9, "119 s"),
        (120, "2 min"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (90000, "1 day 1 h"),
        (172800, "2 days"),
    ],
)
def test_lengths_of_time_as_people_read_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("environ", "experiment"),
    [
        ({"JPY_SESSION_NAME": "/home/work/a/Lesson 1.ipynb"}, "Lesson 1"),
        ({"JPY_SESSION_NAME": "/x/a.ipynb", "APPORTION_PROJECT": "ml101"}, "a"),
        (
            {
                "JPY_SESSION_NAME": "/x/a.ipynb",
                "APPORTION_PROJECT": "ml101",
                "MLFLOW_EXPERIMENT_NAME": "ml101",
            },
            "a",
        ),
        ({"APPORTION_PROJECT": "ml101"}, "ml101"),
        ({"JPY_SESSION_NAME": "/x/console-1", "APPORTION_PROJECT": "ml101"}, "ml101"),
        ({"JPY_SESSION_NAME": "/x/a.ipynb", "MLFLOW_EXPERIMENT_NAME": "mine"}, None),
        ({"JPY_SESSION_NAME": "/x/a.ipynb", "MLFLOW_EXPERIMENT_ID": "3"}, None),
        ({}, None),
    ],
)
def test_the_experiment_is_that_of_the_notebook_else_of_the_project(
    environ: dict[str, str], experiment: str | None
) -> None:
    assert notebooks_experiment(environ).get("MLFLOW_EXPERIMENT_NAME") == experiment


def test_a_terminal_logs_to_the_project_unless_told_otherwise() -> None:
    project = {"APPORTION_PROJECT": "ml101"}

    assert projects_experiment(project) == {"MLFLOW_EXPERIMENT_NAME": "ml101"}
    assert projects_experiment(project | {"MLFLOW_EXPERIMENT_NAME": "mine"}) == {}
    assert projects_experiment(project | {"MLFLOW_EXPERIMENT_ID": "7"}) == {}


def test_runs_go_to_a_mounted_folder_of_that_name_that_can_be_written(tmp_path: Path) -> None:
    usual, shared, other = tmp_path / "mlruns", tmp_path / "ml101" / "mlruns", Path("/mlruns")
    shared.mkdir(parents=True)

    assert runs_folder(tmp_path) == usual
    assert runs_folder(tmp_path, [other, tmp_path]) == usual
    assert runs_folder(tmp_path, [other, shared]) == shared
    usual.mkdir()
    assert runs_folder(tmp_path, [shared, usual]) == usual


def test_a_shared_folder_that_is_mounted_read_only_takes_no_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = tmp_path / "mlruns"
    monkeypatch.setattr("os.access", lambda path, mode: path != usual)

    folder = runs_folder(tmp_path, [usual])

    assert folder == tmp_path / ".mlruns"
    assert store_settings(folder, tmp_path, {})["MLFLOW_TRACKING_URI"] == (
        f"sqlite:///{tmp_path}/.mlruns/mlflow.db"
    )


def test_a_tracking_server_of_the_sites_own_stays() -> None:
    home = Path("/home/work")
    usual = {"MLFLOW_TRACKING_URI": "sqlite:////home/work/mlruns/mlflow.db"}
    own = {"MLFLOW_TRACKING_URI": "https://mlflow.example.org"}

    assert store_settings(home / "mlruns", home, usual) == {}
    assert store_settings(home / "ml101/mlruns", home, own) == {}
    assert set(store_settings(home / "ml101/mlruns", home, usual)) == {
        "MLFLOW_TRACKING_URI",
        "MLFLOW_BACKEND_STORE_URI",
        "MLFLOW_DEFAULT_ARTIFACT_ROOT",
    }


def test_mount_points_are_read_with_their_escapes() -> None:
    text = (
        "36 35 98:0 /mnt1 /home/work/a\\040b/mlruns rw,noatime master:1 - ext3 /dev/root rw\n"
        "37 35 98:0 / /home/work rw - ext3 /dev/root rw\n\nshort\n"
    )

    assert mount_points(text) == [Path("/home/work/a b/mlruns"), Path("/home/work")]

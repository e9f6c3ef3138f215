"""The built images on the real engine: hardened, complete, two versions side by side."""

from __future__ import annotations

import os
import urllib.error
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub_ext.images.build import build_images, connect
from hub_ext.images.catalogue import list_images
from tests.e2e.framework_image import build_framework_image
from tests.e2e.image_mirror import make_wheel
from tests.e2e.image_sessions import (
    BASE,
    TOKEN,
    VERSIONS,
    FakeHub,
    Server,
    eventually,
    hub_environment,
)

HARDENED: dict[str, Any] = {
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "read_only": True,
    "tmpfs": {"/tmp": "exec,mode=1777"},
    "pids_limit": 512,
    "mem_limit": "4g",
}

LAB_COMMAND = ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser"]
LAB_COMMAND += [f"--IdentityProvider.token={TOKEN}"]


@pytest.fixture(scope="module")
def client() -> Any:
    """The engine, with all images built."""
    client = connect()
    build_images(client)
    return client


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home of the user in the container."""
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 1000, 1000)
    return home


@pytest.fixture
def run(client: Any, home: Path) -> Iterator[Callable[..., Any]]:
    """Starts hardened containers on the home; removes them at the end."""
    started = []

    def run(image: str, command: Any = None, **options: Any) -> Any:
        volumes = {str(home): {"bind": "/home/work", "mode": "rw"}}
        settings = {**HARDENED, "volumes": volumes, "detach": True, **options}
        started.append(client.containers.run(image, command, **settings))
        return started[-1]

    yield run
    for container in started:
        container.remove(force=True, v=True)


def lab(run: Callable[..., Any], image: str, **options: Any) -> tuple[Any, Server]:
    """JupyterLab without a hub."""
    container = run(image, LAB_COMMAND, **options)
    return container, Server(container)


def output(container: Any, *command: str) -> str:
    """What ``command`` prints in the container; it must succeed."""
    status, out = container.exec_run(command)
    assert status == 0, out.decode()
    return str(out.decode())


def test_catalogue_shows_the_base_and_both_versions(client: Any) -> None:
    found = {image.reference: image for image in list_images(client)}

    assert found[BASE].labelled
    assert [found[reference].version for reference in VERSIONS.values()] == [
        "sklearn-1.8",
        "sklearn-1.9",
    ]
    assert [app.path for app in found[VERSIONS["1.9"]].apps] == ["lab?open=terminal", "mlflow/"]
    assert not any(reference.startswith("apportion/os") for reference in found)


def test_both_versions_run_at_the_same_time(run: Callable[..., Any]) -> None:
    labs = {version: lab(run, image) for version, image in VERSIONS.items()}

    for version, (container, server) in labs.items():
        printed = output(container, "python", "-c", "import sklearn; print(sklearn.__version__)")
        assert printed.startswith(f"{version}.")
        assert server.json("api/kernelspecs")["default"] == "python3"


def test_versions_share_the_layers_of_the_base(client: Any) -> None:
    base = client.images.get(BASE).attrs["RootFS"]["Layers"]

    for reference in VERSIONS.values():
        layers = client.images.get(reference).attrs["RootFS"]["Layers"]
        assert layers[:-1] == base


def test_a_session_has_no_root_no_capability_and_no_way_to_them(run: Callable[..., Any]) -> None:
    container, _ = lab(run, BASE)

    status = output(container, "cat", "/proc/1/status")

    assert output(container, "id", "-u", "-n").split() == ["work"]
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_terminals_find_the_images_python(run: Callable[..., Any]) -> None:
    container, server = lab(run, BASE)

    assert server.json("api/terminals", data={})["name"] == "1"
    assert output(container, "bash", "-lc", "which python").strip() == "/opt/apportion/bin/python"


def test_installing_for_the_user_goes_to_the_home(run: Callable[..., Any], home: Path) -> None:
    wheel = make_wheel(home)
    container, _ = lab(run, BASE)

    output(container, "pip", "install", "--no-index", f"/home/work/{wheel.name}")

    assert list((home / ".local").rglob("private_thing.py"))
    assert "42" in output(container, "python", "-c", "import private_thing as p; print(p.ANSWER)")


def test_every_module_is_compiled(client: Any, run: Callable[..., Any]) -> None:
    container, _ = lab(run, VERSIONS["1.9"])
    script = (
        "import importlib.util as u, os, sklearn, jupyter_server as j, apportion_lab as a\n"
        "for m in (sklearn, j, a):\n"
        "    c = u.cache_from_source(m.__file__); s = os.stat(m.__file__)\n"
        "    assert int.from_bytes(open(c, 'rb').read(12)[8:], 'little') == int(s.st_mtime), c\n"
    )

    output(container, "python", "-c", script)


LOG_RUNS = """
import os, sys, mlflow
os.makedirs("/home/work/course/week1", exist_ok=True); os.chdir("/home/work/course/week1")
mlflow.set_experiment("diabetes")
for alpha in (0.1, 0.5, 0.9):
    with mlflow.start_run(run_name=f"{sys.argv[1]}-{alpha}"):
        mlflow.log_param("alpha", alpha); mlflow.log_metric("rmse", alpha)
        mlflow.log_text("a model", "model.txt")
"""
SEARCH = "ajax-api/2.0/mlflow/runs/search"


def test_runs_of_two_sessions_are_in_one_store_and_in_the_app(
    run: Callable[..., Any], home: Path
) -> None:
    loggers = [run(BASE, ["python", "-c", LOG_RUNS, name]) for name in ("one", "two")]
    for logger in loggers:
        assert logger.wait()["StatusCode"] == 0, logger.logs().decode()
    _, server = lab(run, BASE)

    names = run_names(server, "mlflow", **{"Cookie": "secret=1"})

    assert names == sorted(
        f"{name}-{alpha}" for name in ("one", "two") for alpha in (0.1, 0.5, 0.9)
    )
    assert list((home / "mlruns").rglob("model.txt"))
    assert [path.name for path in (home / "course/week1").iterdir()] == []


def test_mlflow_typed_by_hand_answers_under_the_hubs_name(run: Callable[..., Any]) -> None:
    container, server = lab(
        run,
        BASE,
        environment={
            "MLFLOW_SERVER_ALLOWED_HOSTS": "hub.example,hub.example:*",
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "https://hub.example",
        },
    )
    output(container, "python", "-c", LOG_RUNS, "me")
    container.exec_run(["mlflow", "ui", "--host", "0.0.0.0"], detach=True)
    public = {"Host": "hub.example", "Origin": "https://hub.example"}

    eventually("MLflow's start", lambda: server.get("proxy/5000/health"))

    assert b"MLflow" in server.get("proxy/5000/", Host="hub.example")
    assert len(run_names(server, "proxy/5000", **public)) == 3


def run_names(server: Server, app: str, **headers: str) -> list[str]:
    """Names of the runs that an MLflow UI shows."""
    server.get(f"{app}/", **headers)
    found = server.json(f"{app}/ajax-api/2.0/mlflow/experiments/search?max_results=9", **headers)
    ids = [experiment["experiment_id"] for experiment in found["experiments"]]
    answer = server.json(f"{app}/{SEARCH}", data={"experiment_ids": ids}, **headers)
    return sorted(entry["info"]["run_name"] for entry in answer.get("runs", []))


@pytest.fixture
def hub(client: Any) -> Iterator[FakeHub]:
    """A fake hub at the address of the default bridge."""
    bridge = client.networks.get("bridge").attrs["IPAM"]["Config"][0]
    address = bridge.get("Gateway") or str(bridge["Subnet"]).replace("0/16", "1").split("/")[0]
    hub = FakeHub(address)
    yield hub
    hub.shutdown()
    hub.server_close()


@pytest.mark.parametrize("plain", ["", "1"])
def test_the_server_reports_itself_and_asks_the_hub_who_comes(
    run: Callable[..., Any], hub: FakeHub, plain: str
) -> None:
    environment = hub_environment(hub) | {"APPORTION_PLAIN_START": plain}
    container = run(BASE, environment=environment)

    ready = ("/hub/apportion/ready/ada/", f"token {TOKEN}")
    eventually("the report", lambda: ready in hub.calls)
    server = Server(container, "/user/ada/")

    assert server.json("api/kernels") == []
    assert b"jupyter-config-data" in server.get("lab")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        server.get("api/kernels", token="of-somebody-else")
    with pytest.raises(urllib.error.HTTPError) as sent_to_login:
        server.get("mlflow/", token="of-somebody-else")
    assert "/hub/api/oauth2/authorize" in str(sent_to_login.value.url)
    eventually("the first sign of activity", lambda: len(hub.calls) > 1)
    assert "plain way" not in container.logs().decode()


def test_the_app_refuses_other_sites_and_answers_the_hubs_own(
    run: Callable[..., Any], hub: FakeHub
) -> None:
    server = Server(run(BASE, environment=hub_environment(hub)), "/user/ada/")
    names = partial(run_names, server, "mlflow", Host="hub.example")

    assert names(Origin="https://hub.example") == []
    with pytest.raises(urllib.error.HTTPError, match="403"):
        names(Origin="https://evil.example")


@pytest.fixture(scope="module")
def framework(client: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    reference = build_framework_image(client, tmp_path_factory.mktemp("recipes") / "images")
    yield reference
    client.images.remove(reference, force=True)


LOG_EVENTS = """
import sys, time
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
for folder in sys.argv[1:]:
    writer = EventFileWriter(folder)
    for step in range(3):
        value = Summary.Value(tag="loss", simple_value=1 / (step + 1))
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
    writer.close()
"""


def test_tensorboard_shows_the_frameworks_usual_folders(
    run: Callable[..., Any], framework: str
) -> None:
    logger = run(framework, ["python", "-c", LOG_EVENTS, "logs/keras", "runs/torch"])
    assert logger.wait()["StatusCode"] == 0, logger.logs().decode()
    container, server = lab(run, framework)

    runs = eventually("the runs", lambda: server.json("tensorboard/data/runs"))

    assert sorted(runs) == ["logs/keras", "runs/torch"]
    scalars = server.json("tensorboard/data/plugin/scalars/scalars?tag=loss&run=runs/torch")
    assert [round(value, 2) for _, _, value in scalars] == [1.0, 0.5, 0.33]
    assert b"tb-relative-root" in server.get("tensorboard/")
    assert "--path_prefix /tensorboard" in output(container, "sh", "-c", "ps -o args= ax")


def test_apps_of_an_image_come_on_top_of_those_of_its_parent(
    run: Callable[..., Any], framework: str
) -> None:
    _, server = lab(run, framework)
    _, base = lab(run, BASE)

    def apps(server: Server) -> list[str]:
        return [
            entry["name"] for entry in server.json("server-proxy/servers-info")["server_processes"]
        ]

    assert apps(base) == ["mlflow"]
    assert apps(server) == ["mlflow", "tensorboard"]
    assert run_names(server, "mlflow") == []


def test_a_damaged_app_takes_neither_the_server_nor_the_others_with_it(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "wrong.json").write_text("{")
    bind = {"bind": "/opt/apportion/etc/jupyter/apps.d/wrong.json", "mode": "ro"}
    container = run(BASE, LAB_COMMAND, volumes={str(tmp_path / "wrong.json"): bind})
    server = Server(container)

    processes = server.json("server-proxy/servers-info")["server_processes"]

    assert [entry["name"] for entry in processes] == ["mlflow"]
    assert "wrong.json" in container.logs().decode()

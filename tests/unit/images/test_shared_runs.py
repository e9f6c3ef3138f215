"""Two sessions log runs to one folder at once, as members of a project do in its ``mlruns``."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import apportion_lab
from apportion_lab.mlflow_home import prepare_store, store_settings

LABEXTENSION = Path(apportion_lab.__file__).parents[1]
RUNS = 6
LOG = f"""
import mlflow
for number in range({RUNS}):
    with mlflow.start_run():
        mlflow.log_params({{"number": number}})
        for step in range(10):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_text("x", "note.txt")
"""
READ = """
import mlflow
runs = mlflow.search_runs(experiment_names=["course"], output_format="list")
print(len(runs), {run.data.metrics["loss"] for run in runs})
print({run.info.artifact_uri.rsplit("/", 3)[0] for run in runs})
"""


def installed(site: Path) -> None:
    """What pip leaves of the package's entry points, which MLflow looks for."""
    project = tomllib.loads((LABEXTENSION / "pyproject.toml").read_text())["project"]
    group = "mlflow.tracking_store"
    points = project["entry-points"][group]
    directory = site / "apportion_lab-0.dist-info"
    directory.mkdir(parents=True)
    (directory / "METADATA").write_text("Metadata-Version: 2.1\nName: apportion-lab\nVersion: 0\n")
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (directory / "entry_points.txt").write_text("\n".join(lines))


def session(shared: Path, code: str) -> subprocess.Popen[str]:
    """A Python process with the environment of a session that mounts the folder."""
    home = shared.parents[1]
    environment = os.environ | store_settings(shared, home, {})
    environment |= {
        "PYTHONPATH": os.pathsep.join([str(LABEXTENSION), str(home / "site")]),
        "MLFLOW_EXPERIMENT_NAME": "course",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err[-3000:]
    return out


def test_no_run_is_lost_when_two_sessions_log_at_once(tmp_path: Path) -> None:
    installed(tmp_path / "site")
    image, shared = tmp_path / "image/mlruns", tmp_path / "ml101/mlruns"
    for folder in (image, shared):
        folder.mkdir(parents=True)
    finished(session(image, "import mlflow; mlflow.search_experiments()"))
    prepare_store(shared / "mlflow.db", image / "mlflow.db")
    finished(session(shared, 'import mlflow; mlflow.create_experiment("course")'))

    both = [session(shared, LOG) for _ in range(2)]
    for process in both:
        finished(process)

    told = finished(session(shared, READ))
    assert told.splitlines() == [f"{2 * RUNS} {{0.1}}", f"{{'{shared}'}}"]

"""MLflow UI in a real session: from the click to its first page, and what its processes take.

    .venv/bin/python benchmarks/mlflow_ui.py [--rounds 3]

Needs a Docker engine and the images. Each round is a new session: cold is its first start, warm the
next after a stop, reused a click while it runs. The time ends when the server has answered the page
and the first search for experiments; what the browser then draws is not in it. Memory is the sum of
the proportional set sizes of its processes (smaps_rollup).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx

from tests.e2e.lab import Lab

BASE = "apportion/base:0.1.0"
LIMIT_S = 100
MEMORY = """
import glob
total = 0
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        command = open(path).read()
        if "mlflow" in command and "memory_of" not in command:
            rollup = open(path.replace("cmdline", "smaps_rollup")).read()
            total += int(rollup.split("Pss:")[1].split()[0])
    except OSError:
        pass
print(total)
"""


def main() -> None:
    """Print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    found: dict[str, list[float]] = {"cold": [], "warm": [], "reused": [], "MiB": []}
    with tempfile.TemporaryDirectory() as name:
        lab = Lab(Path(name), "--simulate-gpus", "1x8GiB")
        try:
            for _ in range(rounds):
                for key, value in one_session(lab).items():
                    found[key].append(value)
        finally:
            for person in lab.people.values():
                person.stop_all()
            lab.close()
    for key, unit in (("cold", "s"), ("warm", "s"), ("reused", "s"), ("MiB", "MiB")):
        values = found[key]
        label = "memory" if key == "MiB" else key
        each = ", ".join(f"{value:.2f}" for value in values)
        print(f"{label:8} {statistics.median(values):8.2f} {unit}  ({each})")


def one_session(lab: Lab) -> dict[str, float]:
    """A new one, stopped afterwards."""
    ann = lab.person("ann")
    (session,) = ann.submit(name="work", image=BASE, fgpu=0.5, cpu=1, memory_mib=2048)
    session = ann.running(session["id"])
    headers = {"Authorization": f"token {ann.token}"}
    with httpx.Client(base_url=lab.url + session["url"], headers=headers, timeout=LIMIT_S) as web:
        cold = click(web)
        reused = click(web)
        (container,) = lab.containers(session["id"])
        memory = int(container.exec_run(["python3", "-c", MEMORY]).output) / 1024
        web.post("apportion/apps/mlflow/stop").raise_for_status()
        warm = click(web)
    ann.stop_all()
    return {"cold": cold, "warm": warm, "reused": reused, "MiB": memory}


def click(web: httpx.Client) -> float:
    """Seconds until its first page and its experiments are there."""
    began = time.monotonic()
    web.post("apportion/apps/mlflow/start").raise_for_status()
    while state(web) != "ready":
        assert time.monotonic() - began < LIMIT_S, web.get("apportion/apps").text[:2000]
        time.sleep(0.1)
    web.get("mlflow/").raise_for_status()
    web.get("mlflow/ajax-api/2.0/mlflow/experiments/search?max_results=5").raise_for_status()
    return time.monotonic() - began


def state(web: httpx.Client) -> str:
    """Of the app, as its card shows it."""
    apps: list[dict[str, Any]] = web.get("apportion/apps").json()["apps"]
    return str(next(app["state"] for app in apps if app["name"] == "mlflow"))


if __name__ == "__main__":
    main()

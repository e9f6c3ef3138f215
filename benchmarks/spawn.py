"""How long a user waits for a notebook: Apportion beside stock JupyterHub with DockerSpawner.

    python benchmarks/spawn.py [--rounds 10] [--json figures.json]

Starts five hubs on this machine and measures them in turn, a round at a time, so that whatever
else the machine does falls on all of them:

    apportion    ./apportion's hub, service, spawner and image
    stock        JupyterHub + DockerSpawner with an image as pip installs it
    tuned        JupyterHub + DockerSpawner with the stock image, tuned as anyone can
    same image   JupyterHub + DockerSpawner with Apportion's image, running jupyterhub-singleuser
    same start   the same, running the image's own start-singleuser, which is part of Apportion;
                 what is left between the two then is the queue and how readiness is learned

Measured from the request (POST .../servers/) to the first HTTP 200 of the user's server through
the proxy, with a new user and a new container each time. Then ten and twenty at once, and twenty
stops. Containers, networks, data and hubs are removed at the end; the images stay.
"""

from __future__ import annotations

import json
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import docker
import requests
from hubs import Hub
from rich.console import Console
from rich.table import Table
from stock_images import ensure_stock_images

from hub_ext import __version__

LIMIT_S = 120.0
#: One server is asked often, for the figure; many are asked seldom, to leave the cores to them.
SINGLE_POLL_S = 0.02
CROWD_POLL_S = 0.2

MOST_OF_STOCK = 0.65
MOST_OF_TUNED = 0.75
LONGEST_START_S = 3.5
LONGEST_TWENTY_STOPS_S = 6.0


@dataclass
class Crowd:
    """So many servers asked for at once: seconds until each was ready, and how many failed."""

    ready_s: list[float]
    failed: int

    @property
    def last_s(self) -> float:
        return max(self.ready_s, default=LIMIT_S)


@dataclass
class Figures:
    """What was measured of one hub, in seconds."""

    name: str
    image: str
    single_s: list[float] = field(default_factory=list)
    crowds: dict[int, Crowd] = field(default_factory=dict)
    stops_s: dict[int, float] = field(default_factory=dict)

    @property
    def median_s(self) -> float:
        return statistics.median(self.single_s)


def spawn(hub: Hub, user: str, poll_s: float) -> float | None:
    """Seconds from the request to the first 200 of the server; None if it failed."""
    hub.call("POST", f"/users/{user}")
    session = requests.Session()
    started = time.monotonic()
    refused = threading.Event()

    def request() -> None:
        answer = hub.call("POST", f"/users/{user}/servers/", json=hub.options)
        if not answer.ok:
            refused.set()

    asking = threading.Thread(target=request, daemon=True)
    asking.start()
    while time.monotonic() - started < LIMIT_S and not refused.is_set():
        answer = session.get(f"{hub.url}/user/{user}/api", allow_redirects=False, timeout=60)
        if answer.status_code == 200:
            seconds = time.monotonic() - started
            asking.join(LIMIT_S)
            return seconds
        time.sleep(poll_s)
        if not asking.is_alive() and not _active(hub, user, poll_s):
            return None
    return None


def _active(hub: Hub, user: str, poll_s: float) -> bool:
    """Whether the hub still works on it; only asked in a crowd, where failures happen."""
    if poll_s < CROWD_POLL_S:
        return True
    return bool(hub.call("GET", f"/users/{user}").json()["servers"])


def spawn_many(hub: Hub, users: list[str]) -> Crowd:
    """All at once."""
    with ThreadPoolExecutor(len(users)) as pool:
        results = list(pool.map(lambda user: spawn(hub, user, CROWD_POLL_S), users))
    ready = [seconds for seconds in results if seconds is not None]
    return Crowd(sorted(ready), len(results) - len(ready))


def stop_all(hub: Hub, users: Iterable[str]) -> float:
    """Seconds until none of the users has a server, all stopped at once."""
    users = list(users)
    started = time.monotonic()
    with ThreadPoolExecutor(len(users)) as pool:
        list(pool.map(lambda user: hub.call("DELETE", f"/users/{user}/servers/"), users))
    while time.monotonic() - started < LIMIT_S:
        active = hub.call("GET", "/users?state=active").json()
        if not {user["name"] for user in active} & set(users):
            return time.monotonic() - started
        time.sleep(0.1)
    return LIMIT_S


def measure(
    hubs: list[Hub], rounds: int, crowds: list[int], say: Callable[[str], None]
) -> list[Figures]:
    """All of it, hub by hub within each round."""
    figures = [Figures(hub.name, hub.image) for hub in hubs]
    for hub in hubs:  # warm: page cache, the hub's own first-use imports
        spawn(hub, "warm", SINGLE_POLL_S)
        stop_all(hub, ["warm"])
    for number in range(rounds):
        for hub, figure in zip(hubs, figures, strict=True):
            user = f"u{number}"
            seconds = spawn(hub, user, SINGLE_POLL_S)
            figure.single_s.append(LIMIT_S if seconds is None else seconds)
            stop_all(hub, [user])
        latest = ", ".join(f"{figure.name} {figure.single_s[-1]:.2f} s" for figure in figures)
        say(f"round {number + 1} of {rounds}: {latest}")
    for size in crowds:
        for hub, figure in zip(hubs, figures, strict=True):
            users = [f"c{size}-{number}" for number in range(size)]
            figure.crowds[size] = crowd = spawn_many(hub, users)
            figure.stops_s[size] = stop_all(hub, users)
            say(
                f"{size} at once, {figure.name}: last after {crowd.last_s:.1f} s, "
                f"{crowd.failed} failed; all stopped in {figure.stops_s[size]:.1f} s"
            )
    return figures


def verdicts(figures: list[Figures]) -> dict[str, bool]:
    """The promises, by what they say."""
    ours, stock, tuned, same, _same_start = figures
    kept = {
        f"median at most {MOST_OF_STOCK} of stock": ours.median_s / stock.median_s <= MOST_OF_STOCK,
        f"median at most {MOST_OF_STOCK} of stock with the same image": (
            ours.median_s / same.median_s <= MOST_OF_STOCK
        ),
        f"median at most {MOST_OF_TUNED} of tuned stock": (
            ours.median_s / tuned.median_s <= MOST_OF_TUNED
        ),
        f"worst at most {LONGEST_START_S} s": max(ours.single_s) <= LONGEST_START_S,
    }
    for size, crowd in ours.crowds.items():
        kept[f"{size} at once: none fails"] = crowd.failed == 0
        if size == 10:
            kept["10 at once: the last no later than tuned stock's"] = (
                crowd.last_s <= tuned.crowds[size].last_s
            )
        if size == 20:
            kept[f"20 stops under {LONGEST_TWENTY_STOPS_S:g} s"] = (
                ours.stops_s[size] < LONGEST_TWENTY_STOPS_S
            )
    return kept


def table(figures: list[Figures]) -> Table:
    """The figures side by side, with the ratio of Apportion's median to each."""
    ours = figures[0]
    sizes = list(ours.crowds)
    result = Table(title="Request to first HTTP 200, seconds")
    for heading in ("", "median", "worst", "best", "ratio"):
        result.add_column(heading, justify="left" if not heading else "right")
    for size in sizes:
        result.add_column(f"{size} at once\nmedian / last", justify="right")
        result.add_column(f"{size} stops", justify="right")
    for figure in figures:
        cells = [
            figure.name,
            f"{figure.median_s:.2f}",
            f"{max(figure.single_s):.2f}",
            f"{min(figure.single_s):.2f}",
            f"{ours.median_s / figure.median_s:.2f}",
        ]
        for size in sizes:
            crowd = figure.crowds[size]
            failed = f" ({crowd.failed} failed)" if crowd.failed else ""
            median = statistics.median(crowd.ready_s) if crowd.ready_s else LIMIT_S
            cells += [f"{median:.1f} / {crowd.last_s:.1f}{failed}", f"{figure.stops_s[size]:.1f}"]
        result.add_row(*cells)
    return result


@click.command(help=__doc__)
@click.option("--rounds", default=10, show_default=True, help="Single spawns of each hub.")
@click.option("--crowd", "crowds", multiple=True, type=int, help="At once; default 10 and 20.")
@click.option("--image", default=f"apportion/base:{__version__}", show_default=True)
@click.option(
    "--json", "json_path", type=click.Path(dir_okay=False), help="Write the figures here."
)
def main(rounds: int, crowds: tuple[int, ...], image: str, json_path: str | None) -> None:
    console = Console()
    client = docker.from_env(timeout=600)
    stock, tuned = ensure_stock_images(client, image, console.print)
    options = {"image": image, "fgpu": 0.5, "cpu": 1, "memory_mib": 1024}
    hubs = [
        Hub("apportion", image, apportion=True, options=options),
        Hub("stock", stock),
        Hub("tuned", tuned),
        Hub("same image", image, command=["jupyterhub-singleuser"]),
        Hub("same start", image),
    ]
    # so that a benchmark that is stopped from outside still cleans up
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        for hub in hubs:
            hub.start(client)
        figures = measure(hubs, rounds, list(crowds) or [10, 20], console.print)
    finally:
        for hub in hubs:
            hub.stop(client)
    console.print(table(figures))
    kept = verdicts(figures)
    for promise, holds in kept.items():
        console.print(
            f"[{'green' if holds else 'red'}]{'holds' if holds else 'FAILS'}[/] {promise}"
        )
    if json_path:
        values = {"figures": [asdict(figure) for figure in figures], "verdicts": kept}
        Path(json_path).write_text(json.dumps(values, indent=2) + "\n")
    raise SystemExit(0 if all(kept.values()) else 1)


if __name__ == "__main__":
    main()

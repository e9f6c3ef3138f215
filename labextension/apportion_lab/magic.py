"""IPython extension of every kernel: ``%apportion``, and MLflow's experiment of this notebook.

Loaded before the first cell, so that nothing slow is imported here. Whatever goes wrong is one
line for the reader, never a traceback.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from apportion_lab import mlflow_home
from apportion_lab.durations import duration_text, read_duration

HELP = (
    "%apportion             this session's slice, its use and the time left\n"
    "%apportion apps        the apps of this session and their addresses\n"
    "%apportion extend 2h   more time, within the limits of your project"
)
OUTSIDE = "This is no session of Apportion."
AWAY = "The hub or the queue service does not answer now; try again in a moment."
REFUSED = "The hub does not take this session's token any more: it has been stopped or replaced."
_TIMEOUT_S = 10.0
_EXTEND_TIMEOUT_S = 15.0
_MIB_OF_GIB = 1024


class Problem(Exception):
    """One line for the reader."""


def load_ipython_extension(shell: Any) -> None:
    """Called by IPython (``ipython_config.py`` of the image)."""
    os.environ.update(mlflow_home.notebooks_experiment(os.environ))
    shell.register_magic_function(apportion, "line", "apportion")


def apportion(line: str) -> None:
    """This session: slice and time left; ``apps``; ``extend 2h``."""
    try:
        print(answer(line, os.environ))
    except Problem as problem:
        print(problem)


def answer(line: str, environ: Mapping[str, str]) -> str:
    """What ``%apportion LINE`` prints. Raises Problem."""
    command, _, rest = line.strip().partition(" ")
    if command == "":
        return session_text(_asked("session", environ))
    if command == "apps" and not rest.strip():
        return apps_text(_own_server("apportion/apps", environ))
    if command == "extend":
        return _extend(rest, environ)
    if command == "help" and not rest.strip():
        return HELP
    raise Problem(f"There is no '%apportion {line.strip()[:40]}'. There is:\n{HELP}")


def _extend(text: str, environ: Mapping[str, str]) -> str:
    try:
        seconds = read_duration(text)
    except ValueError as error:
        raise Problem(str(error)) from None
    told = _asked("do/extend", environ, method="POST", values={"seconds": seconds})
    return f"Extended by {duration_text(seconds)}. {_time_left(told)}"


def session_text(told: Mapping[str, Any]) -> str:
    """A session as people read it: MiB as GiB, milli-CPU as cores."""
    simulated = ", simulated" if told.get("simulated") else ""
    gpu = f"{told['fgpu']:g} fGPU ({_gib(told['gpu_memory_mib'])} GiB{simulated})"
    lines = [
        f"{told['name']}: {gpu if told['fgpu'] else 'no GPU'}, {told['cpu_milli'] / 1000:g} CPU"
        f" cores, {_gib(told['memory_mib'])} GiB of memory; project {told['project']}",
        _time_left(told),
    ]
    use = _use(told)
    lines += [f"In use: {use}"] if use else []
    notice = told.get("notice")
    if notice:
        left = duration_text(notice["seconds_left"])
        lines.append(f"Warning: it is stopped in {left}. {notice['message']}")
    lines += [f"Warning: {alert['message']}" for alert in told.get("alerts") or ()]
    return "\n".join(lines)


def _time_left(told: Mapping[str, Any]) -> str:
    time = told.get("time") or {}
    if time.get("seconds_left") is None:
        return "Time left: no end in sight"
    why = f" ({time['code']})" if time.get("code") else ""
    return f"Time left: {duration_text(time['seconds_left'])}{why}"


def _use(told: Mapping[str, Any]) -> str:
    """What is measured of it."""
    use, parts = told.get("use") or {}, []
    if told["fgpu"] and use.get("gpu_memory_mib") is not None:
        of = _gib(told["gpu_memory_mib"])
        parts.append(f"{_gib(use['gpu_memory_mib'])} of {of} GiB of GPU memory")
    if told["fgpu"] and use.get("gpu") is not None:
        parts.append(f"{use['gpu']:.0%} of the slice's GPU time")
    if use.get("cpu_milli") is not None:
        parts.append(f"{use['cpu_milli'] / 1000:.2g} of {told['cpu_milli'] / 1000:g} CPU cores")
    if use.get("memory_mib") is not None:
        parts.append(f"{_gib(use['memory_mib'])} of {_gib(told['memory_mib'])} GiB of memory")
    return ", ".join(parts)


def _gib(mib: float) -> str:
    return f"{mib / _MIB_OF_GIB:.2g}" if mib < 10 * _MIB_OF_GIB else f"{mib / _MIB_OF_GIB:.0f}"


def apps_text(told: Mapping[str, Any]) -> str:
    """A line for each app: title, state, address."""
    apps = told.get("apps") or []
    if not apps:
        return "This image has no apps."
    wide = max(len(str(app.get("title") or app.get("name"))) for app in apps)
    return "\n".join(
        f"{app.get('title') or app.get('name'):<{wide}}  {app.get('state', ''):<9}"
        f"  {app.get('url') or app.get('path') or ''}".rstrip()
        for app in apps
    )


def _asked(what: str, environ: Mapping[str, str], **options: Any) -> Mapping[str, Any]:
    """The hub's answer about this session. Raises Problem."""
    from apportion_lab.hub import own_address

    address = own_address(environ, what)
    if not address:
        raise Problem(OUTSIDE)
    timeout_s = _TIMEOUT_S if what == "session" else _EXTEND_TIMEOUT_S
    return _fetch(address, environ, **{"method": "GET", "timeout_s": timeout_s} | options)


def _own_server(path: str, environ: Mapping[str, str]) -> Mapping[str, Any]:
    """What this session's own Jupyter server answers. Raises Problem."""
    from urllib.parse import urlsplit

    if not environ.get("APPORTION_SESSION_URL"):
        raise Problem(OUTSIDE)
    server = urlsplit(environ.get("JUPYTERHUB_SERVICE_URL", ""))
    base = f"{server.scheme or 'http'}://127.0.0.1:{server.port or 8888}"
    prefix = environ.get("JUPYTERHUB_SERVICE_PREFIX", "/").strip("/")
    return _fetch(f"{base}/{prefix}/{path}", environ, method="GET", timeout_s=_TIMEOUT_S)


def _fetch(address: str, environ: Mapping[str, str], **options: Any) -> Mapping[str, Any]:
    """In a thread: the kernel's own event loop runs the cell. Raises Problem."""
    from tornado.httpclient import HTTPClient

    from apportion_lab.hub import hub_request, read_answer

    def ask() -> dict[str, Any]:
        client = HTTPClient()
        try:
            response = client.fetch(hub_request(address, environ, **options), raise_error=False)
            return read_answer(response)
        finally:
            client.close()

    with ThreadPoolExecutor(1) as pool:
        try:
            told = pool.submit(ask).result()
        except Exception:  # whatever it is, and its text may name addresses
            raise Problem(AWAY) from None
    if told["state"] == "failed":
        raise Problem(told["error"]["message"])
    if told["state"] == "refused":
        raise Problem(REFUSED)
    if told["state"] != "ok":
        raise Problem(AWAY)
    return dict(told["answer"])

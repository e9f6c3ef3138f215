"""Starts JupyterHub's single-user server in half the time, by loading only what it uses.

``jupyterhub-singleuser`` imports the hub's own handlers, database models, SQLAlchemy and
alembic on its way, and aiohttp before it listens; none of them answers a user's request.
Here they are loaded when something asks for them. If this way of starting fails, with a
JupyterHub of another layout say, the plain one is taken. APPORTION_PLAIN_START=1 asks for it.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from apportion_lab import mlflow_home

_COLLECTION = gc.get_threshold()
_ready = asyncio.Event()

READY_LIMIT_S = 10.0
"""How long the calls to the hub are put off at most, should the extension be switched off."""


def main() -> None:
    """Prepare the session's home and run the server until it ends."""
    home = Path.home()
    runs = mlflow_home.runs_folder(home, _mounts())
    prepare_home(home, runs)
    os.environ.update(mlflow_home.store_settings(runs, home, os.environ))
    os.environ.update(mlflow_home.server_access(os.environ))
    os.environ.update(mlflow_home.projects_experiment(os.environ))
    gc.set_threshold(1_000_000)  # collections during the imports would find nothing
    _server()()


def settled() -> None:
    """The server listens and the hub knows it: from here on nothing is put off."""
    gc.set_threshold(*_COLLECTION)
    _ready.set()


def _mounts() -> list[Path]:
    try:
        return mlflow_home.mount_points(Path("/proc/self/mountinfo").read_text("utf-8", "replace"))
    except OSError:  # no Linux: a trial without containers mounts nothing
        return []


def prepare_home(home: Path, runs: Path) -> None:
    """Folders of the session and an empty MLflow store; the home starts as an empty mount."""
    runtime = Path(os.environ.get("JUPYTER_RUNTIME_DIR") or home / ".local/share/jupyter/runtime")
    runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        mlflow_home.prepare_store(runs / "mlflow.db")
    except OSError as error:  # a full or read-only home must still open, to be cleared up
        print(f"Cannot prepare {runs}: {error}", file=sys.stderr)


def _server() -> Callable[[], None]:
    if os.environ.get("APPORTION_PLAIN_START", "") in {"", "0"}:
        try:
            return _lean_server()
        except Exception as error:  # a start that is slow is better than none
            print(f"Starting the plain way: {error!r}", file=sys.stderr)
            for name in [name for name in sys.modules if name.startswith("jupyterhub.")]:
                del sys.modules[name]
    gc.set_threshold(*_COLLECTION)
    return importlib.import_module("jupyterhub.singleuser").main


def _lean_server() -> Callable[[], None]:
    with _stand_ins():
        extension = importlib.import_module("jupyterhub.singleuser.extension")
        for name in _LOADED_AT_START:
            if importlib.util.find_spec(name) is not None:
                importlib.import_module(name)
    sys.modules["jupyterhub.singleuser"].main = extension.main  # type: ignore[attr-defined]
    _after_ready(extension.JupyterHubSingleUser, "check_hub_version", in_background=True)
    _after_ready(extension.JupyterHubSingleUser, "keep_activity_updated", in_background=False)
    return extension.main


@contextmanager
def _stand_ins() -> Iterator[None]:
    """While the server's modules are imported: small modules in place of what they do not use.

    They are taken away again at the end, so that whoever imports these names later gets the
    real ones. ``jupyterhub.singleuser`` stays: its real code would load the hub's handlers.
    """
    found = importlib.util.find_spec("jupyterhub")
    if found is None or not found.submodule_search_locations:
        raise ImportError("jupyterhub is not installed")
    package = _module("jupyterhub.singleuser")
    package.__path__ = [os.path.join(p, "singleuser") for p in found.submodule_search_locations]
    temporary = {name: _forward(name) for name in _BY_NAME_ONLY} | {
        name: _module(name, **attributes) for name, attributes in _BY_ATTRIBUTE.items()
    }
    temporary = {name: module for name, module in temporary.items() if name not in sys.modules}
    sys.modules.setdefault(package.__name__, package)
    sys.modules.update(temporary)
    try:
        yield
    finally:
        for name, module in temporary.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _module(name: str, **attributes: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(attributes)
    return module


def _forward(name: str) -> ModuleType:
    """A module whose attributes are those of the real one, imported when first asked for."""

    def __getattr__(attribute: str) -> Any:
        if sys.modules.get(name) is module:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    module = _module(name, __getattr__=__getattr__)
    return module


def _later(name: str, attribute: str) -> Callable[..., Any]:
    """A function that imports ``name`` when it is called, and calls ``attribute`` of it."""

    def call(*args: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(name), attribute)(*args, **options)

    return call


class _Unused(Exception):
    """In place of SQLAlchemyError: the hub's functions that catch it never run here."""


class _UnusedHandler:
    """In place of the hub's health check, which the access log knows to keep quiet about."""


_LOADED_AT_START = ("jupyterlab", "jupyter_server_proxy")
"""Server extensions, which the server would import a moment later without the stand-ins."""

_BY_NAME_ONLY = ("aiohttp", "jupyterhub.orm", "jupyterhub.roles", "requests", "sqlalchemy")
"""Imported at start without any attribute of theirs being used."""

_BY_ATTRIBUTE: dict[str, dict[str, Any]] = {
    "jupyterhub.handlers": {},
    "jupyterhub.handlers.pages": {"HealthCheckHandler": _UnusedHandler},
    "jupyterhub.httpclient": {"fetch": _later("jupyterhub.httpclient", "fetch")},
    "jupyterlab.extensions.pypi": {
        "PyPIExtensionManager": _later("jupyterlab.extensions.pypi", "PyPIExtensionManager")
    },
    "sqlalchemy.exc": {"SQLAlchemyError": _Unused},
}
"""What the importers take out of a module at start, and what they get in its place."""


def _after_ready(cls: type, method: str, *, in_background: bool) -> None:
    """Put off a call to the hub until the server listens and the hub knows it.

    ``in_background``: the caller does not wait for it. (JupyterHub checks the hub's version
    before the server listens; here the server that cannot reach its hub ends a moment later.)
    """
    original = getattr(cls, method)

    async def put_off(self: Any) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(_ready.wait(), READY_LIMIT_S)
        settled()
        await asyncio.to_thread(importlib.import_module, "jupyterhub.httpclient")
        await original(self)

    async def start(self: Any) -> None:
        task = asyncio.ensure_future(put_off(self))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)

    setattr(cls, method, start if in_background else put_off)


_tasks: set[asyncio.Future[None]] = set()

if __name__ == "__main__":
    main()

"""MLflow's store and server settings of a session; used without importing MLflow."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

TEMPLATE = Path(sys.prefix, "share", "apportion", "mlflow.db")
_EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"
_EXPERIMENT_ID = "MLFLOW_EXPERIMENT_ID"
_LONGEST_NAME = 250
_ESCAPED = re.compile(r"\\([0-7]{3})")
_LOCAL_HOSTS = ("localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*")


def prepare_store(target: Path, template: Path = TEMPLATE) -> None:
    """Copy the empty store of the image to ``target`` unless there is one.

    Whole or not at all, and only once: several sessions of one home may start together, and
    MLflow's own way of making the tables fails then. Raises OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() or not template.exists():
        return
    scratch = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        scratch.write_bytes(template.read_bytes())
        os.link(scratch, target)
    except FileExistsError:
        return
    finally:
        scratch.unlink(missing_ok=True)


def runs_folder(home: Path, mounts: Iterable[Path] = ()) -> Path:
    """Where a session keeps its runs: a mounted folder named ``mlruns`` if it may write there.

    So a project's folder of that name, mounted in the sessions of its members, has the runs of
    all of them. Otherwise ~/mlruns, which another session of this home shares; what is mounted
    there read-only would take no run, and ~/.mlruns stands in for it.
    """
    usual = home / "mlruns"
    shared = sorted(each for each in mounts if each.name == "mlruns" and home in each.parents)
    for folder in sorted(shared, key=lambda each: each != usual):
        if os.access(folder, os.W_OK):
            return folder
    return home / ".mlruns" if usual in shared else usual


def mount_points(mountinfo: str) -> list[Path]:
    """Of a text like /proc/self/mountinfo (proc(5)), whose paths have octal escapes."""
    fields = [line.split(" ") for line in mountinfo.splitlines()]
    return [Path(_ESCAPED.sub(_unescaped, each[4])) for each in fields if len(each) > 4]


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 8))


def store_settings(folder: Path, home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """MLflow's variables for runs that are not in ~/mlruns, where the image puts them.

    A site or an image that names a tracking server of its own keeps it.
    """
    usual = f"sqlite:///{home / 'mlruns' / 'mlflow.db'}"
    if folder == home / "mlruns" or environ.get("MLFLOW_TRACKING_URI", usual) != usual:
        return {}
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(folder),
    }


def projects_experiment(environ: Mapping[str, str]) -> dict[str, str]:
    """The experiment of what runs in a terminal: that of the project, unless one is named."""
    project = environ.get("APPORTION_PROJECT", "")
    if not project or _names_experiment(environ):
        return {}
    return {_EXPERIMENT: project}


def notebooks_experiment(environ: Mapping[str, str]) -> dict[str, str]:
    """The experiment of a kernel: its notebook's name; without a notebook, the project's.

    JPY_SESSION_NAME is the notebook's path as jupyter_server hands it to the kernel.
    """
    named = environ.get(_EXPERIMENT, "")
    notebook = Path(environ.get("JPY_SESSION_NAME", ""))
    if named not in {"", environ.get("APPORTION_PROJECT", "")} or environ.get(_EXPERIMENT_ID):
        return {}
    if notebook.suffix == ".ipynb" and notebook.stem.strip():
        return {_EXPERIMENT: notebook.stem.strip()[:_LONGEST_NAME]}
    return projects_experiment(environ)


def _names_experiment(environ: Mapping[str, str]) -> bool:
    return bool(environ.get(_EXPERIMENT) or environ.get(_EXPERIMENT_ID))


def sqlite_path(uri: str) -> Path | None:
    """The file of an ``sqlite:////absolute/path`` URI; None for any other."""
    parts = urlsplit(uri)
    if parts.scheme != "sqlite" or parts.netloc or not parts.path.startswith("//"):
        return None
    return Path(parts.path[1:])


def server_access(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that let MLflow's server answer under the hub's address, once it is known.

    MLflow refuses foreign Host and Origin headers. APPORTION_PUBLIC_URL is where browsers reach
    the hub; without it any name is taken, since nobody comes here without the hub's login.
    """
    public = urlsplit(environ.get("APPORTION_PUBLIC_URL", ""))
    if public.hostname:
        host = f"[{public.hostname}]" if ":" in public.hostname else public.hostname
        hosts = ",".join([*_LOCAL_HOSTS, host, f"{host}:*"])
        origins = f"{public.scheme}://{public.netloc.rpartition('@')[2]}"
    else:
        hosts, origins = "*", "http://*,https://*"
    wanted = {
        "MLFLOW_SERVER_ALLOWED_HOSTS": hosts,
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": origins,
    }
    return {name: value for name, value in wanted.items() if name not in environ}

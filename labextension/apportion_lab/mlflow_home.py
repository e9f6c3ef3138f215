"""MLflow's store and server settings of a session; used without importing MLflow."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

TEMPLATE = Path(sys.prefix, "share", "apportion", "mlflow.db")
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

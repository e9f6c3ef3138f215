"""What one deployment keeps for itself: ports, ids and secrets, in ``DATA/settings.json``.

Ports must survive a restart: the URL of the hub is in the environment of every
running container. The file is readable by its owner only.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

FILE_NAME = "settings.json"


class SettingsError(Exception):
    """The settings file cannot be read, written or understood."""


@dataclass(frozen=True, slots=True)
class DeploymentSettings:
    """Identity, internal ports and secrets of one data directory.

    deployment_id: 8 hex digits; labels containers and names the Docker network.
    crypt_key: 64 hex digits; key of the hub's encrypted auth state.
    """

    deployment_id: str
    hub_port: int
    service_port: int
    proxy_api_port: int
    service_token: str
    spawner_token: str
    proxy_token: str
    crypt_key: str

    @classmethod
    def load_or_create(cls, data_dir: Path) -> DeploymentSettings:
        """Read the settings of ``data_dir``, making them on the first start.

        Raises SettingsError when the file is damaged or the directory not writable.
        """
        path = data_dir / FILE_NAME
        if path.exists():
            return cls.load(data_dir)
        settings = cls(
            deployment_id=secrets.token_hex(4),
            **_free_ports(),
            service_token=secrets.token_hex(32),
            spawner_token=secrets.token_hex(32),
            proxy_token=secrets.token_hex(32),
            crypt_key=secrets.token_hex(32),
        )
        _write_private(path, json.dumps(asdict(settings), indent=2) + "\n")
        return settings

    @classmethod
    def load(cls, data_dir: Path) -> DeploymentSettings:
        """Read existing settings. Raises SettingsError naming the file and the field."""
        path = data_dir / FILE_NAME
        try:
            values = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise SettingsError(
                f"{path} is not valid JSON ({error}). Restore it from a backup; without it"
                " running sessions cannot be found again."
            ) from error
        if not isinstance(values, dict):
            raise SettingsError(f"{path} must hold a JSON object.")
        arguments: dict[str, Any] = {}
        for spec in fields(cls):
            value = values.get(spec.name)
            expected = int if spec.name.endswith("_port") else str
            if not isinstance(value, expected) or isinstance(value, bool) or not value:
                raise SettingsError(f"{path}: field '{spec.name}' is missing or not {expected}.")
            arguments[spec.name] = value
        return cls(**arguments)


def _free_ports() -> dict[str, int]:
    """Three different ports that nothing listens on now."""
    names = ("hub_port", "service_port", "proxy_api_port")
    sockets = [socket.socket() for _ in names]
    try:
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        ports = [listener.getsockname()[1] for listener in sockets]
        return dict(zip(names, ports, strict=True))
    finally:
        for listener in sockets:
            listener.close()


def _write_private(path: Path, text: str) -> None:
    """Write whole or not at all, mode 0600."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}.") from error

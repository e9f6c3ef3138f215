"""A real registry on loopback: Debian's docker-registry."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
from pathlib import Path

import bcrypt
import httpx

from tests.e2e.lab import free_port, until


class Registry:
    """Started at once; Docker engines trust 127.0.0.0/8 without TLS.

    With ``password`` it asks for that of ``user``, for all it does.
    """

    user = "lab"

    def __init__(self, directory: Path, password: str = "") -> None:
        program = shutil.which("docker-registry")
        assert program is not None, "install the package docker-registry"
        self.host = f"127.0.0.1:{free_port()}"
        self._auth = httpx.BasicAuth(self.user, password) if password else None
        config = {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(directory / "blobs")}},
            "http": {"addr": self.host},
        }
        if password:
            known = directory / "htpasswd"
            hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
            known.write_text(f"{self.user}:{hashed}\n")
            config["auth"] = {"htpasswd": {"realm": "lab", "path": str(known)}}
        path = directory / "config.yml"
        path.write_text(json.dumps(config))  # JSON is YAML
        with (directory / "registry.log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "serve", str(path)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        until(self._answers, limit_s=30, what="the registry answers")

    def _answers(self) -> bool:
        try:
            return self._get("").status_code == 200
        except httpx.HTTPError:
            return False

    def _get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://{self.host}/v2/{path}", auth=self._auth, timeout=10)

    def repositories(self) -> list[str]:
        """Names of all that was pushed."""
        return list(self._get("_catalog").json()["repositories"])

    def log_in(self, directory: Path, password: str) -> None:
        """Write what ``docker login`` keeps into ``config.json`` of a directory."""
        entry = base64.b64encode(f"{self.user}:{password}".encode()).decode()
        keep = {"auths": {self.host: {"auth": entry}}}
        (directory / "config.json").write_text(json.dumps(keep))

    def close(self) -> None:
        """Stop it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
